"""Explanations in the Open Inference Protocol, an extension: more output tensors, and parameters that say of what.

A request asks for them at `/explain`, or with the parameter `explain`: true at `/infer`; `explain_method`,
`explain_output`, `explain_scale`, `explain_classes` (one, or several with commas), `explain_seed`,
`explain_max_evaluations`, `explain_max_ms`, `explain_above` and `explain_overlay` are parameters too, since parameters
hold strings, numbers and booleans alone.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from onnxlet.dataplane.protocols.open_inference.body import Call, Explained
from onnxlet.explain.answer import Explanation
from onnxlet.explain.request import read_request
from onnxlet.explain.writing import check_size
from onnxlet.serving.cancellation import Cancellation
from onnxlet.serving.model import Model
from onnxlet.values.tensors import Tensor

PREFIX = "explain_"


def explain(call: Call, model: Model, due: float, cancellation: Cancellation | None) -> Explained:
    """What explains the answer to a call. Raises NotExplainableError, InvalidInputError, and what predicting raises."""
    request = read_request(_asked(call.parameters))
    explanation = model.explain(call.inputs, call.signature, request, due=due, cancellation=cancellation)
    check_size(explanation)
    tensors = {PREFIX + name: tensor for name, tensor in _tensors(explanation).items()}
    kinds = {"O": "BYTES", "i": "INT64", "f": "FP64"}
    return Explained(
        tensors, {name: kinds[tensor.dtype.kind] for name, tensor in tensors.items()}, _parameters(explanation)
    )


def _asked(parameters: Mapping[str, Any]) -> dict[str, Any]:
    asked = {
        name.removeprefix(PREFIX): value
        for name, value in parameters.items()
        if name.startswith(PREFIX) and value is not None
    }
    classes = asked.get("classes")
    if isinstance(classes, str) and "," in classes:
        asked["classes"] = [each.strip() for each in classes.split(",")]
    return asked


def _tensors(explanation: Explanation) -> dict[str, Tensor]:
    tensors = {
        "attributions": explanation.attributions,
        "expected": explanation.expected,
        "predictions": explanation.predictions,
        "rows": np.array(explanation.rows, dtype=np.int64),
        "players": np.array(explanation.players, dtype=object),
        "classes": np.array(explanation.classes, dtype=object),
    }
    overlays = [b64encode(each).decode() for each in explanation.overlays]
    more = {
        "interval": explanation.interval,
        "residual": explanation.residual,
        "overlay": np.array(overlays, dtype=object) if overlays else None,
    }
    return tensors | {name: tensor for name, tensor in more.items() if tensor is not None}


def _parameters(explanation: Explanation) -> dict[str, Any]:
    names = ("method", "output", "unit", "seed", "pairs", "unreliable", "sum_error", "evaluations")
    background = {} if explanation.background is None else msgspec.structs.asdict(explanation.background)
    told = {name: getattr(explanation, name) for name in names} | {
        f"background_{name}": value for name, value in background.items()
    }
    return {PREFIX + name: value for name, value in told.items() if value is not None}
