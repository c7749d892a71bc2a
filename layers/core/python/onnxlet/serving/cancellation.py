"""Ending the run of a model from another thread than its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Protocol

    class Terminable(Protocol):
        """What a run can be ended by: ONNX Runtime's options of it."""

        terminate: bool


class Cancellation:
    """Ends the run that carries it, also one that has not begun.

    `cancelled` is set before `running` is looked at, and a run leaves `running` before it looks at `cancelled`: neither
    side needs a lock, and what another run may use next is never terminated.
    """

    __slots__ = ("cancelled", "running")

    def __init__(self) -> None:
        self.cancelled = False
        self.running: Terminable | None = None

    def cancel(self) -> None:
        """End the run, now or as soon as it begins."""
        self.cancelled = True
        running = self.running
        if running is not None:
            running.terminate = True
