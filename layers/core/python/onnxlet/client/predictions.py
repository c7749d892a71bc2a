"""Predictions: the outputs of a model by name, and which version made them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from onnxlet.errors import InvalidInputError, MissingExtraError, OnnxletError
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor, Tensors

if TYPE_CHECKING:
    import pandas as pd

BYTES_SUFFIX = "_bytes"
"""Outputs of this name are base64 in JSON, as TensorFlow Serving has it."""
LABEL = "label"


class Predictions(Mapping[str, Tensor]):
    """A model's outputs as arrays by name, one entry per row: `predictions["probabilities"]`.

    `version` made them, which `alias` led to (None if a version was asked for). `stale`: the server's store did not
    answer, and the alias may have moved since. `fallback`: the version that should have answered failed its golden
    cases, and one before it did.
    """

    def __init__(
        self,
        outputs: Tensors,
        *,
        model: str,
        version: int,
        alias: str | None,
        stale: bool,
        fallback: bool,
        index: Any = None,  # noqa: ANN401 - a pandas index
    ) -> None:
        self.model = model
        self.version = version
        self.alias = alias
        self.stale = stale
        self.fallback = fallback
        self._outputs = outputs
        self._index = index

    def __getitem__(self, name: str) -> Tensor:
        return self._outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._outputs)

    def __len__(self) -> int:
        return len(self._outputs)

    @property
    def label(self) -> Tensor:
        """The predicted class of each row. Raises InvalidInputError if the model is no classifier of one target."""
        if LABEL not in self:
            raise InvalidInputError(f"{self.model!r} gives no label, only {', '.join(map(repr, self))}")
        return self[LABEL]

    def to_frame(self) -> pd.DataFrame:
        """A pandas DataFrame, with the index of the one that was predicted.

        An output of several numbers per row has several columns: `probabilities.0`, `probabilities.1` …
        Raises MissingExtraError without pandas.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise MissingExtraError("data frames need pandas: pip install pandas") from error
        columns: dict[str, Tensor] = {}
        for name, tensor in self._outputs.items():
            if tensor.ndim == 1:
                columns[name] = tensor
            else:
                flat = tensor.reshape(len(tensor), -1)
                columns |= {f"{name}.{place}": flat[:, place] for place in range(flat.shape[1])}
        return pd.DataFrame(columns, index=self._index)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in self._outputs.items())
        alias = f" (alias {self.alias!r})" if self.alias else ""
        remarks = "".join(f", {word}" for word, true in (("stale", self.stale), ("fallback", self.fallback)) if true)
        return f"<Predictions of {self.model}:{self.version}{alias}{remarks}: {shapes}>"

    def _repr_html_(self) -> str | None:
        """The frame, for notebooks; None without pandas."""
        try:
            frame: str = self.to_frame()._repr_html_()
        except MissingExtraError:
            return None
        return f"<p>{self.model}:{self.version}</p>{frame}"


def read_outputs(parts: Sequence[tuple[int, bytes]], specs: Sequence[TensorSpec]) -> Tensors:
    """The outputs of rows that were asked for in parts: so many rows each, and the body of their answer.

    Raises OnnxletError for answers that do not fit the outputs, InvalidInputError if an output has no row for each.
    """
    tensors = [_read(body, specs) for _, body in parts]
    if len(parts) == 1:
        return tensors[0]
    for (rows, _), part in zip(parts, tensors, strict=True):
        for name, tensor in part.items():
            if tensor.shape[:1] != (rows,):
                raise InvalidInputError(
                    f"output {name!r} does not have one entry per row, so the rows must go in one request of up to 6 MB"
                )
    return {name: np.concatenate([part[name] for part in tensors]) for name in tensors[0]}


def _read(body: bytes, specs: Sequence[TensorSpec]) -> Tensors:
    """The arrays of one answer, in the datatypes of the outputs."""
    try:
        document = _parse(body)
        values = document["outputs"] if "outputs" in document else document["predictions"]
        if len(specs) == 1:
            values = {specs[0].name: values}
        elif isinstance(values, list):
            values = {spec.name: [row[spec.name] for row in values] for spec in specs}
        return {spec.name: _to_tensor(values[spec.name], spec) for spec in specs}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise OnnxletError(f"the server's answer does not fit its own metadata: {error!r}") from error


def _parse(body: bytes) -> Any:  # noqa: ANN401 - a JSON value
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:  # NaN and the infinities are words that it does not know
        return json.loads(body)


def _to_tensor(value: Any, spec: TensorSpec) -> Tensor:  # noqa: ANN401 - a JSON value
    if spec.type.kind == "s" and spec.name.endswith(BYTES_SUFFIX):
        value = _decode_bytes(value)
    tensor: Tensor = np.array(value, dtype=spec.type.numpy)
    return tensor


def _decode_bytes(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    import base64

    return [_decode_bytes(item) for item in value] if isinstance(value, list) else base64.b64decode(value["b64"])
