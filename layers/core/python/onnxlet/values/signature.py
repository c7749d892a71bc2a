"""Signatures: names, datatypes and shapes of a model's inputs and outputs."""

import msgspec

from onnxlet.values.datatypes import DATATYPES, VARIABLE, Datatype


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


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What goes in and what comes out, in the model's own order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
