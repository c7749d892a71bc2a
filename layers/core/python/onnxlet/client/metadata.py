"""What a served version takes and gives, read from TensorFlow Serving's metadata document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from onnxlet.errors import InvalidInputError, OnnxletError
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.signature import COLUMNS, SERVING_DEFAULT, Signature, TensorSpec

_DATATYPES = {datatype.tensorflow: datatype.name for datatype in DATATYPES.values()}


class Metadata(NamedTuple):
    """A version of a model, and its signatures by name.

    `serving_default` takes the model's tensors; a model with named columns has `columns` besides, with one input [N]
    for each column in the model's order.
    """

    model: str
    version: int
    signatures: dict[str, Signature]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The tensors that the model takes."""
        return self.signatures[SERVING_DEFAULT].inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The tensors that it gives."""
        return self.signatures[SERVING_DEFAULT].outputs

    @property
    def columns(self) -> tuple[TensorSpec, ...]:
        """The named columns that it takes; empty if it has none."""
        return self.signatures[COLUMNS].inputs if COLUMNS in self.signatures else ()

    def check_outputs(self, names: Sequence[str]) -> None:
        """Raises InvalidInputError unless all of the names are outputs."""
        served = [spec.name for spec in self.outputs]
        unknown = [name for name in names if name not in served]
        if unknown:
            raise InvalidInputError(
                f"the model has no output {', '.join(map(repr, unknown))}, only {', '.join(map(repr, served))}"
            )


def read_metadata(document: Any) -> Metadata:  # noqa: ANN401 - a JSON value
    """Read the document. Raises OnnxletError if it is none that TensorFlow Serving would answer."""
    try:
        spec = document["model_spec"]
        signatures = {
            name: Signature(
                *(tuple(_read_spec(*item) for item in definition[side].items()) for side in ("inputs", "outputs"))
            )
            for name, definition in document["metadata"]["signature_def"]["signature_def"].items()
        }
        metadata = Metadata(spec["name"], int(spec["version"]), signatures)
        metadata.inputs  # noqa: B018 - one that has no default is of no use
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise OnnxletError("the server's metadata is not TensorFlow Serving's") from error
    return metadata


def _read_spec(name: str, definition: dict[str, Any]) -> TensorSpec:
    shape = definition["tensor_shape"]
    return TensorSpec(name, _DATATYPES[definition["dtype"]], tuple(int(part["size"]) for part in shape.get("dim", ())))
