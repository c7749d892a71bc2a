"""scikit-learn estimators and pipelines, through skl2onnx and what has to be put right about it."""
