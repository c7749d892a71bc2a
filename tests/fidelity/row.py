"""Rows of the table: what was found of one case, written as JSON by the environment that found it."""

from __future__ import annotations

from typing import Literal

import msgspec


class Speed(msgspec.Struct, frozen=True):
    """Seconds for one row: the framework's own, the float graph's, the optimized graph's; and for 32 rows."""

    framework: float
    float_graph: float
    optimized: float
    float_graph_32: float
    optimized_32: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one case.

    `relative` and `absolute` are the largest distances framework - ONNX, `agreement` the share of equal labels there;
    None where there are none. `moved` is the largest distance framework - optimized, on the contract's scale.
    """

    name: str
    framework: str
    data: str
    outcome: Literal["measured", "refused", "failed"]
    reason: str = ""
    cause: str = ""
    seconds: float
    rows: int = 0
    precision: str = ""
    agreement: float | None = None
    relative: float | None = None
    absolute: float | None = None
    metric: str = ""
    values: tuple[float, ...] = ()
    """The metric of the framework, of the ONNX graph and of the optimized one."""
    bytes_before: int = 0
    bytes_after: int = 0
    method: str = ""
    why: str = ""
    labels_kept: float | None = None
    moved: float | None = None
    holds: bool = False
    breaches: str = ""
    reference: str = ""
    """Whose answers the version is held to; empty for a graph that came alone."""
    probing: int = 0
    """Rows made of what the model knows, to which the graph answers as the model does; of these `tied`."""
    tied: int = 0
    fresh: int = 0
    """Fresh rows that the published version was asked, and the public call of the framework."""
    fresh_agreement: float | None = None
    fresh_distance: float | None = None
    speed: Speed | None = None


class Head(msgspec.Struct, frozen=True):
    """Where rows were measured, and how many there are to be."""

    environment: str
    date: str
    machine: str
    versions: dict[str, str]
    cases: int


def write(document: Head | Row) -> bytes:
    """A line of JSON."""
    return msgspec.json.encode(document) + b"\n"


def read(lines: bytes) -> tuple[Head, list[Row]]:
    """What an environment wrote: a head, then rows."""
    head, *rows = lines.splitlines()
    return msgspec.json.decode(head, type=Head), [msgspec.json.decode(row, type=Row) for row in rows]
