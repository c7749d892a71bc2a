"""Steps: what a manifest declares around the graph. Pure functions from tensors to tensors."""

from __future__ import annotations

from onnxlet.steps.classification import PROVIDES, Classifier, classify
from onnxlet.steps.tabular import ColumnReader, columns_signature, columns_to_inputs

__all__ = ["PROVIDES", "Classifier", "ColumnReader", "classify", "columns_signature", "columns_to_inputs"]
