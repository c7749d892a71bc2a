"""Converters for estimators that skl2onnx has none for, or a wrong one.

table                 which converter writes which estimator: the one place that lists them
histogram_boosting    trees that split by categories, and exponentials of their sums
isolation_forest      forests whose short paths are outliers
local_outlier_factor  rows whose neighbours lie denser than they do
text_vectorizers      texts become graph inputs, and what reads them a step
thresholds            classifiers that choose their label by a threshold of their own
"""
