"""Events: what others are told when an alarm opens or closes, and by which way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

SOURCE = "onnxlet"
"""Of all our events on a bus."""


class AlarmEvent(msgspec.Struct, frozen=True):
    """An alarm of a model's version that opened (`found`) or closed (`over`).

    `kind` is what programs know it by: `drift`, `quality`, `no traffic`, `stale baseline` …; `about` the column, empty
    for the whole version; `aliases` those that routed to the version then; `says` one line for people, which quotes no
    value of a row. `time` is RFC 3339, `day` the newest day of rows it is about. Who gets an event twice knows it by
    its `id`.
    """

    id: str
    time: str
    model: str
    version: int
    aliases: tuple[str, ...]
    kind: str
    about: str
    state: Literal["found", "over"]
    day: str
    says: str
    schema: int = 1

    @property
    def detail_type(self) -> str:
        """What rules of a bus match: `drift found`, `quality over`."""
        return f"{self.kind} {self.state}"


class Announcer(Protocol):
    """Hands events to whoever listens."""

    def announce(self, events: Sequence[AlarmEvent]) -> Sequence[AlarmEvent]:
        """Hand them on, and return those that could not be: they are tried again. Raises nothing for them."""
