"""Signatures: names, datatypes and shapes of a model's inputs and outputs."""

import msgspec

from onnxlet.values.datatypes import DATATYPES, VARIABLE, Datatype

SERVING_DEFAULT = "serving_default"
"""The signature that every model has, as TensorFlow Serving calls it."""
COLUMNS = "columns"
"""The signature of named columns, which some models have as well."""
IMAGES = "images"
"""The signature of encoded pictures, which some models have as well."""
TOKENS = "tokens"
"""The signature of token ids, which models of texts have as well."""


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tensor's name, datatype (a key of DATATYPES) and shape, where -1 is a dimension of any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def type(self) -> Datatype:
        """The datatype's row in the table."""
        return DATATYPES[self.datatype]

    @property
    def batched(self) -> bool:
        """Whether the first dimension is free, so that it can count rows."""
        return bool(self.shape) and self.shape[0] == VARIABLE

    def __str__(self) -> str:
        return f"{self.name}: {self.datatype}{list(self.shape)}"

    def agrees(self, other: "TensorSpec") -> bool:
        """Whether both may describe one tensor: equal names and datatypes, and no size in which the shapes differ.

        Of shapes one ONNX Runtime may know more than another; a shape that is not known and a scalar's look the same.
        """
        if (self.name, self.datatype) != (other.name, other.datatype):
            return False
        if not self.shape or not other.shape:
            return True
        return len(self.shape) == len(other.shape) and all(
            mine == its or VARIABLE in (mine, its) for mine, its in zip(self.shape, other.shape, strict=True)
        )


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes in and what comes out, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def __str__(self) -> str:
        inputs, outputs = (", ".join(map(str, specs)) for specs in (self.inputs, self.outputs))
        return f"({inputs}) -> ({outputs})"

    def agrees(self, other: "Signature") -> bool:
        """Whether both may describe one graph, input by input and output by output."""
        mine, its = (*self.inputs, *self.outputs), (*other.inputs, *other.outputs)
        counts = (len(self.inputs), len(self.outputs)) == (len(other.inputs), len(other.outputs))
        return counts and all(map(TensorSpec.agrees, mine, its))
