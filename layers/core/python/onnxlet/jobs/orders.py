"""Orders: which file is to be scored, by which ref, into what. What the state machine is started with."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from onnxlet.values.canonical import canonical
from onnxlet.values.keys import BATCH_IN, BATCH_OUT, BATCH_WORK


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The file `key` of the store `input`, by the version that `ref` means, into `name` of the store `output`.

    Empty stores are the one that models lie in. Options are those of `onnxlet.batch.scoring.Options`; `job` is the id
    of the job that asks for it, if one does.
    """

    ref: str
    key: str
    name: str
    input: str = ""
    output: str = ""
    keep: tuple[str, ...] | None = None
    max_bad: float = 1.0
    columns: tuple[str, ...] | None = None
    explain: dict[str, Any] | None = None
    job: str = ""


_JOB = re.compile(r"[^/]+/([0-9]{8}T[0-9]{6}-[0-9a-f]{8})/[^/]+")
_decoder = msgspec.json.Decoder(Order)


def order_landed(key: str, ref: str) -> Order:
    """The order that a file in `batch/in/` is; uploads of jobs lie in a folder of the job's id."""
    inside = key.removeprefix(BATCH_IN)
    job = _JOB.fullmatch(inside)
    return Order(ref=ref, key=key, name=BATCH_OUT + inside, job=job[1] if job else "")


def decode_order(data: bytes) -> Order:
    """Read an order. Raises msgspec.MsgspecError for what is none."""
    return _decoder.decode(data)


def work_prefix(order: Order, identity: str, model_digest: str) -> str:
    """Where the work on an order lies: the same source, model and options share it, whoever asks how often."""
    asked = canonical([order, identity, model_digest])
    return f"{BATCH_WORK}{hashlib.sha256(asked).hexdigest()[:32]}/"


def execution_name(order: Order, identity: str) -> str:
    """The name of the execution that works on an order, but for the number that a repetition adds."""
    return hashlib.sha256(canonical([order, identity])).hexdigest()[:40]
