"""Large files: not scored by the function that their event reaches, but handed to the state machine."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from onnxlet.batch.large.concluding import is_closed
from onnxlet.batch.large.opening import describe_source
from onnxlet.batch.large.tables import has_sections
from onnxlet.batch.objects import parse_key
from onnxlet.errors import InvalidInputError, ObjectNotFoundError
from onnxlet.jobs.state_machine import StateMachine
from onnxlet.jobs.uploads import is_cancelled, note_execution, read_order
from onnxlet.settings import MIB

if TYPE_CHECKING:
    from onnxlet.settings import Settings
    from onnxlet.store import Store

log = logging.getLogger(__name__)


class Diversion:
    """Hands large files of a store to the state machine that the settings name."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._machine = StateMachine(settings.state_machine)
        self._least = settings.large_file_mb * MIB

    def take(self, key: str) -> bool:
        """Whether the file under a key is large, and so is being scored, or is scored. Raises StoreUnavailableError."""
        try:
            ref = parse_key(key)
            order = read_order(self._store, key, str(ref))
            source = describe_source(self._store, order)
            if source.size < self._least or not has_sections(key):
                return False
        except (InvalidInputError, ObjectNotFoundError):
            return False  # who scores it says what is wrong
        if not is_closed(self._store, order, source):
            execution = self._machine.start(order, source.identity)
            if order.job:
                note_execution(self._store, order.job, execution)
                if is_cancelled(self._store, key):
                    # who cancelled it may not have seen the note
                    self._machine.stop(execution, "cancelled before it began")
            log.info("%s is scored in sections", key, extra={"execution": execution, "size": source.size})
        return True
