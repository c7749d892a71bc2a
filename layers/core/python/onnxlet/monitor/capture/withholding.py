"""Withholding: columns that a policy drops are taken out of an observation before anything holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from onnxlet.errors import IntegrityError
from onnxlet.monitor.capture.policy import NOTHING, CapturePolicy, policy_of
from onnxlet.monitor.capture.rules import Drop
from onnxlet.monitor.columns import column_names
from onnxlet.steps import Steps
from onnxlet.telemetry import log
from onnxlet.telemetry.recording import Prediction
from onnxlet.values.manifest import Manifest
from onnxlet.values.tensors import Tensor

Withhold = Callable[[Prediction], Prediction]


def read_version_policy(manifest: Manifest) -> CapturePolicy:
    """The policy of a version that has one; one that drops everything where it cannot be read, which is logged."""
    try:
        return policy_of(manifest.policy) or NOTHING
    except IntegrityError as error:
        log(__name__).error("nothing of %s:%d is kept: %s", manifest.model, manifest.version, error)
        return NOTHING


def withholder(policy: CapturePolicy, steps: Steps) -> Withhold | None:
    """What takes dropped columns out of a prediction; None where none is dropped.

    Of a whole tensor its shape's first dimension stays, and nothing else; in a matrix the columns are blanked. What is
    sent in another way than as the raw columns that the policy knows, token ids say, is dropped with them.
    """
    if not policy.drops:
        return None
    matrices = column_names(steps)
    blanked = {
        name: [place for place, column in enumerate(columns) if isinstance(policy.rule_of(column), Drop)]
        for name, columns in matrices.items()
    }
    columns = steps.columns
    raw = None if columns is None else {column.name for column in columns}

    def keep_input(name: str, tensor: Tensor) -> Tensor:
        if name in blanked:
            return _blanked(tensor, blanked[name], len(matrices[name]))
        unknown = raw is not None and name not in raw
        return _emptied(tensor) if unknown or isinstance(policy.rule_of(name), Drop) else tensor

    def keep_output(name: str, tensor: Tensor) -> Tensor:
        return _emptied(tensor) if isinstance(policy.rule_of(name), Drop) else tensor

    def withhold(prediction: Prediction) -> Prediction:
        return Prediction(
            prediction.signature,
            _each(keep_input, prediction.inputs),
            _each(keep_output, prediction.outputs),
            prediction.run,
        )

    return withhold


def _each(keep: Callable[[str, Tensor], Tensor], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: keep(name, tensor) for name, tensor in tensors.items()}


def _emptied(tensor: Tensor) -> Tensor:
    """As many rows, without values."""
    return np.empty((len(tensor) if tensor.ndim else 1, 0), tensor.dtype)


def _blanked(matrix: Tensor, places: list[int], width: int) -> Tensor:
    if not places:
        return matrix
    if matrix.ndim < 2 or matrix.shape[1] != width:  # noqa: PLR2004 - rows and columns
        return _emptied(matrix)
    kept = matrix.copy()
    kept[:, places] = np.nan if matrix.dtype.kind == "f" else "" if matrix.dtype.kind in "OSU" else 0
    return kept
