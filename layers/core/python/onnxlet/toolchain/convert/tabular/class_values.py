"""Class values: those of a framework as the graph gives them."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.values.tensors import Tensor


def class_tuple(classes: Any) -> tuple[int | str, ...]:
    """A classifier's class values: truth values as such, others as `class_values` has them. Raises ConversionError."""
    values = np.asarray(classes)
    if values.dtype.kind == "b":
        return tuple(values.tolist())
    return tuple(class_values(values).tolist())


def class_values(classes: Any) -> Tensor:
    """Class values, or labels that a model answered, as int64 or str objects. Raises ConversionError for fractions."""
    values = np.asarray(classes)
    if values.dtype.kind in "OSU":
        return np.array([str(value) for value in values], dtype=object)
    if values.dtype.kind == "f" and not (values == np.floor(values)).all():
        raise ConversionError(
            "class values must be whole numbers or texts: fit with encoded classes, and give --labels"
        )
    return values.astype(np.int64)
