"""Private parts of skl2onnx that are patched: each is checked to be there before any of them is replaced.

They have no public way in, and may go with any release: hence the upper bound on skl2onnx in pyproject.toml.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Any

from onnxlet.errors import ConversionError

SUPPORTED = "skl2onnx>=1.19,<1.21"
"""The releases that were looked at, as pyproject.toml has them."""
PATCHED = (
    ("skl2onnx.common._registration", "get_converter"),
    ("skl2onnx.common._registration", "get_shape_calculator"),
    ("skl2onnx.common._registration", "register_converter"),
    ("skl2onnx.common._registration", "register_shape_calculator"),
    ("skl2onnx.common.tree_ensemble", "add_tree_to_attribute_pairs"),
    ("skl2onnx.common.tree_ensemble", "sklearn_threshold"),
    ("skl2onnx.operator_converters.calibrated_classifier_cv", "_transform_isotonic"),
    ("skl2onnx.operator_converters.calibrated_classifier_cv", "_transform_sigmoid"),
    ("skl2onnx.operator_converters.decision_tree", "add_tree_to_attribute_pairs"),
    ("skl2onnx.operator_converters.random_forest", "add_tree_to_attribute_pairs"),
)
"""What is used or replaced: a module of skl2onnx, and the name of its attribute."""


def check_internals() -> None:
    """Raise ConversionError, naming the installed skl2onnx, if something that is patched is not there."""
    for module, name in PATCHED:
        try:
            present = hasattr(import_module(module), name)
        except ImportError:
            present = False
        if not present:
            raise missing_part(f"{module}.{name}")


def registered_converter(alias: str) -> tuple[Any, dict[str, Any] | None]:
    """The converter that skl2onnx has for `alias`, and its options. Raises ConversionError if it has none."""
    from skl2onnx.common._registration import get_converter

    try:
        registered = get_converter(alias)
        convert, options = registered._fct, registered._options  # noqa: SLF001 - there is no public way
    except (ValueError, AttributeError) as error:
        raise missing_part(f"converter {alias!r}") from error
    return convert, options


def missing_part(what: str) -> ConversionError:
    """The error for an skl2onnx without `what`, a private part that is patched."""
    installed = metadata.version("skl2onnx")
    return ConversionError(
        f"skl2onnx {installed} has no {what}, which onnxlet patches: pip install '{SUPPORTED}'", skl2onnx=installed
    )
