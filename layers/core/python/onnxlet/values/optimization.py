"""What was done to make a version's graph smaller, and what else was tried."""

from typing import Literal

import msgspec


class Calibration(msgspec.Struct, frozen=True):
    """The sample that ranges of activations were measured on: how, on how many rows, and their digest."""

    method: str
    rows: int
    digest: str


class Rung(msgspec.Struct, frozen=True):
    """One rung of the optimization's ladder: what it gave, and why it was chosen, passed over, refused or skipped.

    `latency` is in seconds for 1 and for 32 rows, on the machine that optimized; `distance` the largest one from the
    model's own answers, or the float graph's where those are not known, on the contract's scale; `metrics` are there
    where the truth was known.
    """

    name: str
    method: str
    outcome: Literal["chosen", "passed", "refused", "skipped"]
    reason: str
    bytes: int | None = None
    latency: float | None = None
    latency_32: float | None = None
    metrics: dict[str, float] = {}
    distance: float | None = None


class Optimization(msgspec.Struct, frozen=True):
    """What was done to make the graph smaller; `reason` says why, `rungs` what was tried.

    `method` is `none`, `dynamic-int8`, `static-int8`, `weight-only` or `fp16-weights`; `cpu` what its integers are
    meant for, `objective` by what it was chosen, `kept` names the nodes that stayed float.
    """

    method: str
    reason: str
    bytes_before: int
    bytes_after: int
    objective: str = ""
    cpu: str = ""
    calibration: Calibration | None = None
    kept: tuple[str, ...] = ()
    rungs: tuple[Rung, ...] = ()
