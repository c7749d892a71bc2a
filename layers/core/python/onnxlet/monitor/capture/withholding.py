"""Withholding: columns that a policy drops are taken out of an observation before anything holds it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

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
        name: np.array([at for at, column in enumerate(columns) if isinstance(policy.rule_of(column), Drop)], np.intp)
        for name, columns in matrices.items()
    }
    columns = steps.columns
    raw = None if columns is None else {column.name for column in columns}

    @lru_cache(maxsize=1024)  # names are the model's own; a request pays a look for each
    def keeps_input(name: str) -> bool:
        known = raw is None or name in raw
        return known and name not in blanked and not isinstance(policy.rule_of(name), Drop)

    @lru_cache(maxsize=1024)
    def keeps_output(name: str) -> bool:
        return not isinstance(policy.rule_of(name), Drop)

    def lessen(name: str, tensor: Tensor) -> Tensor:
        if name in blanked:
            return _blanked(tensor, blanked[name], len(matrices[name]))
        return _emptied(tensor)

    def withhold(prediction: Prediction) -> Prediction:
        return Prediction(
            prediction.signature,
            {name: each if keeps_input(name) else lessen(name, each) for name, each in prediction.inputs.items()},
            {name: each if keeps_output(name) else _emptied(each) for name, each in prediction.outputs.items()},
            prediction.run,
        )

    return withhold


def _emptied(tensor: Tensor) -> Tensor:
    """As many rows, without values."""
    return np.empty((len(tensor) if tensor.ndim else 1, 0), tensor.dtype)


def _blanked(matrix: Tensor, places: Tensor, width: int) -> Tensor:
    if not len(places):
        return matrix
    if matrix.ndim < 2 or matrix.shape[1] != width:  # noqa: PLR2004 - rows and columns
        return _emptied(matrix)
    kept = matrix.copy()
    kept[:, places] = np.nan if matrix.dtype.kind == "f" else "" if matrix.dtype.kind in "OSU" else 0
    return kept
