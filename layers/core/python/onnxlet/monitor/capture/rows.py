"""Captured rows: what the rules leave of an observation, one JSON document for each row.

{"columns": {"age": "[60, 70)"}, "id": "visit-42", "outputs": {"label": "benign"}, "row": 0, "version": 3}
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from onnxlet.monitor.capture.data_key import DataKey
from onnxlet.monitor.capture.policy import CapturePolicy
from onnxlet.monitor.capture.rules import Bucket, Cell, Hash, Keep, release_column
from onnxlet.monitor.columns import column_names
from onnxlet.steps import Steps
from onnxlet.telemetry.recording import Observation
from onnxlet.values.canonical import canonical
from onnxlet.values.tensors import Tensor

COLUMN, OUTPUT, REQUEST = "column", "output", "request"
"""What derived keys are for."""
Released = dict[str, list[Cell]]


class RowMaker:
    """Makes the rows of one version. `key` is the data key; None where nothing is hashed."""

    def __init__(self, model: str, policy: CapturePolicy, steps: Steps, key: DataKey | None) -> None:
        self._model = model
        self._policy = policy
        self._key = key
        self._rules = {
            kind: {name: rule for name, rule in rules.items() if rule.captures}
            for kind, rules in ((COLUMN, policy.columns), (OUTPUT, policy.outputs))
        }
        self._matrices = column_names(steps)
        columns = steps.columns
        self._raw = None if columns is None else frozenset(column.name for column in columns)

    def is_sampled(self, request_id: str) -> bool:
        """Whether a request is captured: its id alone says so."""
        return self._policy.sample >= 1 or share_of(request_id) < self._policy.sample

    def make(self, seen: Observation) -> Iterator[bytes]:
        """Its rows in their order, as lines of canonical JSON, no more of a request than the policy allows."""
        assert seen.prediction is not None  # noqa: S101 - who calls has looked
        assert seen.served is not None  # noqa: S101 - same
        rows = min(seen.rows, self._policy.rows_per_request)
        known = self._of_request(seen, seen.served.version)
        columns = self._columns(seen.prediction.inputs, seen.rows, rows)
        outputs = self._released(OUTPUT, seen.prediction.outputs, seen.rows, rows)
        for row in range(rows):
            document = {
                **known,
                "row": row,
                "columns": {name: values[row] for name, values in columns.items()},
                "outputs": {name: values[row] for name, values in outputs.items()},
            }
            yield canonical(document) + b"\n"

    def _of_request(self, seen: Observation, version: int) -> dict[str, Cell]:
        known: dict[str, Cell] = {}
        if isinstance(self._policy.request_id, Keep):
            known["id"] = seen.request_id
        elif isinstance(self._policy.request_id, Hash):
            known["id"] = self._policy.request_id.release(seen.request_id, self._derive(REQUEST, "id"))
        if isinstance(self._policy.version, Keep):
            known["version"] = version
        if isinstance(self._policy.time, Keep | Bucket):
            width = self._policy.time.width if isinstance(self._policy.time, Bucket) else None
            known["time"] = timestamp(seen.time // width * width if width else seen.time)
        return known

    def _columns(self, inputs: Mapping[str, Tensor], rows: int, most: int) -> Released:
        apart: dict[str, Tensor] = {}
        wanted = self._rules[COLUMN]
        for name, tensor in inputs.items():
            columns = self._matrices.get(name)
            if columns is not None and tensor.ndim > 1 and tensor.shape[1] == len(columns):
                apart |= {column: tensor[:, place] for place, column in enumerate(columns) if column in wanted}
            elif self._raw is None or name in self._raw:
                apart[name] = tensor
        return self._released(COLUMN, apart, rows, most)

    def _released(self, kind: str, tensors: Mapping[str, Tensor], rows: int, most: int) -> Released:
        rules = self._rules[kind]
        return {
            name: release_column(
                rule, _without_ones(tensor)[:most], self._derive(kind, name) if rule.needs_key else b""
            )
            for name, tensor in tensors.items()
            if (rule := rules.get(name)) is not None and tensor.ndim and len(tensor) == rows
        }

    def _derive(self, kind: str, name: str) -> bytes:
        assert self._key is not None  # noqa: S101 - a policy that hashes is given one
        return self._key.derive(self._model, kind, name)


def share_of(request_id: str) -> float:
    """A number from 0 to 1 that only the id decides, evenly spread."""
    return int.from_bytes(hashlib.sha256(request_id.encode()).digest()[:8]) / 2**64


def timestamp(seconds: float) -> str:
    """`2026-11-29T13:00:00Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _without_ones(tensor: Tensor) -> Tensor:
    """A column [N, 1] as [N]."""
    return tensor.reshape(-1) if tensor.size == len(tensor) else tensor
