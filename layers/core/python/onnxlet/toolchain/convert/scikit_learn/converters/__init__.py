"""Converters for estimators that skl2onnx has none for, or a wrong one.

table       which converter writes which estimator: the one place that lists them
thresholds  classifiers that choose their label by a threshold of their own
"""
