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


class Split(msgspec.Struct, frozen=True):
    """Which rows chose the rung, so that others judge it.

    `choosing` rows of the data chose, `judging` others judge. Of several `splits` each row judges what the others chose
    where that is the graph that was taken, as `agreeing` of them did. `group` is the column whose values stay on one
    side. Where rows of another file judge, `judge_digest` is its digest, and all rows of the data chose.
    """

    seed: int
    choosing: int
    judging: int
    data_digest: str
    splits: int = 1
    agreeing: int = 1
    group: str = ""
    judge_digest: str | None = None


class Optimization(msgspec.Struct, frozen=True):
    """What was done to make the graph smaller; `reason` says why, `rungs` what was tried.

    `method` is `none`, `dynamic-int8`, `static-int8`, `weight-only` or `fp16-weights`; `cpu` what its integers are
    meant for, `objective` by what it was chosen, `kept` names the nodes that stayed float, `split` says which rows
    chose.
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
    split: Split | None = None
