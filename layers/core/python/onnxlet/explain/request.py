"""What is asked of an explanation, and what of it is refused."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from time import monotonic
from typing import Any, Literal

import msgspec

from onnxlet.errors import InvalidInputError

AUTO = "auto"
MOST_EVALUATIONS = 1_000_000
"""Rows that the model may be asked about, for each that is explained."""
_NOT_DONE = ("gradient", "counterfactual", "interaction")
_FIELDS = "method, output, scale, classes, seed, max_evaluations, max_ms, above and overlay"

Class = str | int
Scale = Literal["output", "raw"]
"""What attributions add up to: what is served, or what a model adds up itself before that, such as log-odds."""


class ExplanationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to explain, and how.

    `method` is one of the table, or `auto`. `scale` says of which the attributions are, where a method knows more than
    one; None: its own. `output` is a served output, `classes` are the labels or positions of its
    columns; None: all. `seed` makes what is sampled repeatable. `max_evaluations` bounds the rows that the model is
    asked about for each row that is explained, `max_ms` the time for all of them. `above`: explain only rows where an
    explained class, or the value, is more than this. `overlay`: draw the heatmaps of pictures too.
    """

    method: str = AUTO
    output: str | None = None
    scale: Scale | None = None
    classes: tuple[Class, ...] | Class | None = None
    seed: int = 0
    max_evaluations: int | None = None
    max_ms: float | None = None
    above: float | None = None
    overlay: bool = False

    def __post_init__(self) -> None:
        """Raise InvalidInputError for budgets of nothing, and seeds that are none."""
        for name, budget in (("max_evaluations", self.max_evaluations), ("max_ms", self.max_ms)):
            if budget is not None and not (isfinite(budget) and budget > 0):
                raise InvalidInputError(
                    f"explain: '{name}' is {budget}, and nothing can be explained with it: give more"
                )
        if self.max_evaluations is not None and self.max_evaluations > MOST_EVALUATIONS:
            raise InvalidInputError(f"explain: 'max_evaluations' may be {MOST_EVALUATIONS:,} at most, for each row")
        if not 0 <= self.seed < 2**63:
            raise InvalidInputError("explain: 'seed' is a whole number from 0")
        if self.above is not None and not isfinite(self.above):
            raise InvalidInputError("explain: 'above' must be a finite number")

    def columns_of(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """Which of an output's columns are asked for. Raises InvalidInputError for one that it lacks."""
        if self.classes is None:
            return tuple(range(len(names)))
        wanted = self.classes if isinstance(self.classes, tuple) else (self.classes,)
        if not wanted:
            raise InvalidInputError("explain: 'classes' is empty: leave it out for all of them")
        if len(wanted) > len(names):
            raise InvalidInputError(f"explain: 'classes' names {len(wanted):,}, and there are {len(names)}")
        return tuple(dict.fromkeys(_position(each, names) for each in wanted))


def _position(wanted: Class, names: tuple[str, ...]) -> int:
    if str(wanted) in names:
        return names.index(str(wanted))
    if isinstance(wanted, int) and 0 <= wanted < len(names):
        return wanted
    raise InvalidInputError(
        f"explain: there is no class {str(wanted)[:80]!r}, only {', '.join(map(repr, names[:20]))}"
        + (" and others" if len(names) > 20 else "")  # noqa: PLR2004 - as many as are shown
    )


def read_request(document: Any) -> ExplanationRequest:  # noqa: ANN401 - a JSON value
    """A request as JSON has it: an object, or `true`. Raises InvalidInputError, also for what is not done here."""
    if document is True:
        return ExplanationRequest()
    if not isinstance(document, Mapping):
        raise InvalidInputError(f"'explain' is true, or an object of {_FIELDS}")
    for word in (str(document.get("method", "")), *map(str, document)):
        for kind in _NOT_DONE:
            if kind in word.lower():
                raise InvalidInputError(f"{kind}s are not computed here: attributions of columns are")
    try:
        return msgspec.convert(dict(document), ExplanationRequest)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"'explain' takes {_FIELDS}: {error}") from None


def write_request(request: ExplanationRequest) -> dict[str, Any]:
    """A request as JSON has it, without what it leaves as it is."""
    usual = ExplanationRequest()
    fields = ((name, getattr(request, name)) for name in request.__struct_fields__)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in fields
        if value != getattr(usual, name)
    }


class Budget:
    """What is left of a request's time, and how many evaluations each row may take; None: a method's own default."""

    def __init__(self, request: ExplanationRequest, rows: int) -> None:
        self.seed = request.seed
        self.evaluations = request.max_evaluations
        self._until = None if request.max_ms is None else monotonic() + request.max_ms / 1000
        self._rows_left = rows

    @property
    def until(self) -> float | None:
        """When the time is over, by the monotonic clock; None: never."""
        return self._until

    def next_row(self) -> float | None:
        """When the next row has to be done, by the monotonic clock: what is left is shared by those that are left."""
        if self._until is None:
            return None
        now = monotonic()
        share = max(0.0, self._until - now) / max(1, self._rows_left)
        self._rows_left -= 1
        return now + share
