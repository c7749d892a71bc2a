"""Token ids: those that the model has no vector for are refused, and not taken for others."""

from __future__ import annotations

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.steps.base import FLAGS, Preprocessor, Specs, Step
from onnxlet.values.signature import SERVING_DEFAULT, TOKENS
from onnxlet.values.tensors import Tensors


class Bound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The input of a name holds numbers from 0 to below `below`."""

    input: str
    below: int


class TokenIds(Step, frozen=True, tag="token_ids", omit_defaults=True):
    """Inputs [N, tokens] of a transformer, which are looked up in its tables and so have `bounds`.

    A text has at most `most_tokens`, which is how many positions the model knows. Opens the signature `tokens`, which
    is the one way for token ids where `serving_default` takes texts.
    """

    bounds: tuple[Bound, ...]
    most_tokens: int | None = None
    flags: bool = False
    """Whether a tokenizer flags texts that it cuts: token ids are served with no flags, as nobody cut them."""

    def signatures(self) -> tuple[str, ...]:
        """All but that of texts by name, which the tokenizer makes as they must be."""
        return SERVING_DEFAULT, TOKENS

    def fills(self) -> tuple[str, ...]:
        """What it looks at."""
        return tuple(bound.input for bound in self.bounds)

    def preprocessor(self, wanted: Specs) -> Preprocessor:  # noqa: ARG002 - it changes nothing
        """What refuses other numbers."""
        return self._check

    def describe(self) -> str:
        """`input_ids below 30522, at most 512 tokens`."""
        bounds = ", ".join(f"{bound.input} below {bound.below}" for bound in self.bounds)
        return f"{bounds}, at most {self.most_tokens} tokens" if self.most_tokens else bounds

    def _check(self, tensors: Tensors) -> Tensors:
        for bound in self.bounds:
            tensor = tensors[bound.input]
            tokens = tensor.shape[-1]
            if self.most_tokens is not None and tokens > self.most_tokens:
                raise InvalidInputError(
                    f"{bound.input!r} has {tokens} tokens a row, the model reads {self.most_tokens}", input=bound.input
                )
            # as unsigned ones negative numbers are larger than any
            unsigned = tensor.view(f"u{tensor.itemsize}")
            if tensor.size and int(unsigned.max()) >= bound.below:
                row = int(np.argmax(unsigned.max(axis=-1) >= bound.below))
                raise InvalidInputError(
                    f"{bound.input!r} has a number in row {row} that the model does not know: they go from 0 to "
                    f"{bound.below - 1}",
                    input=bound.input,
                    row=row,
                )
        if self.flags and FLAGS not in tensors:
            rows = len(tensors[self.bounds[0].input])
            return tensors | {FLAGS: np.full(rows, "", dtype=object)}
        return tensors
