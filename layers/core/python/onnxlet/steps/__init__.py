"""Steps: what a manifest declares around the graph. Pure functions from tensors to tensors."""

from __future__ import annotations

from onnxlet.steps.classification import Classifier, Classifiers, Names, classifier_of, classify, names_of
from onnxlet.steps.tabular import ColumnReader, columns_signature, columns_to_inputs

__all__ = [
    "Classifier",
    "Classifiers",
    "ColumnReader",
    "Names",
    "classifier_of",
    "classify",
    "columns_signature",
    "columns_to_inputs",
    "names_of",
]
