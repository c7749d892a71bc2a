"""Texts as scikit-learn's vectorizers read them, without scikit-learn.

analysis   a text becomes features: words, characters, n-grams of them
columns    features become columns: those of a vocabulary, or hashed ones
weights    counts become weights: logarithms, document frequencies, norms
wordlist   the artifact with the words
reading    all of it, planned for one step
"""
