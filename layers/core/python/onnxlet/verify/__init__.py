"""Verify: compare answers, measure them, and judge by an accuracy contract whether a model is what it was."""

from __future__ import annotations

from onnxlet.verify.comparison import Comparison, compare, distances, untie
from onnxlet.verify.metrics import classification_metrics, regression_metrics

__all__ = ["Comparison", "classification_metrics", "compare", "distances", "regression_metrics", "untie"]
