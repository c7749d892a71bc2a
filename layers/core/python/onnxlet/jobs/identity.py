"""What an output is of: its source, the version that scored it, and the options. Others do not take its place."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from onnxlet.errors import ConflictError
from onnxlet.jobs.orders import Order
from onnxlet.values.canonical import canonical
from onnxlet.values.digests import ALGORITHM


class Identity(NamedTuple):
    """A source's key, the digest of the manifest that scores it, and that of the options; what is unknown is empty."""

    source: str
    model: str
    options: str

    def agrees(self, other: Identity) -> bool:
        """Whether both are the same, as far as it is known."""
        return all(mine == theirs or not mine or not theirs for mine, theirs in zip(self, other, strict=True))


def digest_options(order: Order) -> str:
    """What tells the options of an order from others: columns kept, share of bad rows, header, explanations."""
    asked = canonical([order.keep, order.max_bad, order.columns, order.explain])
    return ALGORITHM + hashlib.sha256(asked).hexdigest()


def identify(order: Order, model: str) -> Identity:
    """What an order asks for; `model` is its version's digest, if that is known."""
    return Identity(f"{order.input}/{order.key}" if order.input else order.key, model, digest_options(order))


def check_output(order: Order, asked: Identity, standing: Identity) -> None:
    """Raise ConflictError if what stands where an order writes was scored of other things than are asked for."""
    if asked.agrees(standing):
        return
    named = f"{order.output}/{order.name}" if order.output else order.name
    parts = zip(("file", "model version", "options"), zip(asked, standing, strict=True), strict=True)
    others = [name for name, (mine, theirs) in parts if mine and theirs and mine != theirs]
    raise ConflictError(f"{named!r} holds what was scored with another {' and '.join(others)}: choose another output")
