"""Models of a table of numeric features: what boosting libraries, LIBSVM and scikit-learn have in common."""
