"""What an event asks of the functions: files that landed, or a step of the state machine that scores a large one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnxlet.batch.events import handle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from onnxlet.serving.predictor import Predictor
    from onnxlet.settings import Settings
    from onnxlet.store import Store


class Scoring:
    """Scores for a store what events name; `answered` is called after each of them."""

    def __init__(self, store: Store, predictor: Predictor, settings: Settings, answered: Callable[[], None]) -> None:
        self._store = store
        self._predictor = predictor
        self._settings = settings
        self._answered = answered

    def answer(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Do what one event asks for. Raises as `handle` and `Steps` do."""
        if "step" not in event:
            return handle(self._store, self._predictor, event, divert=self._divert, answered=self._answered)
        from onnxlet.batch.large.steps import Steps

        try:
            return Steps(self._store, self._predictor, self._settings).take(event, context)
        finally:
            self._answered()

    def _divert(self, key: str) -> bool:
        if not self._settings.state_machine:
            return False
        from onnxlet.batch.large.diverting import Diversion

        return Diversion(self._store, self._settings).take(key)
