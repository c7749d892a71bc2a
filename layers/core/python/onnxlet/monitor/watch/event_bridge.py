"""Events on Amazon EventBridge's default bus, by boto3, which Lambda's runtime brings.

Format: PutEvents of the EventBridge API reference: at most ten entries a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from onnxlet.monitor.alarms.events import SOURCE, AlarmEvent
from onnxlet.telemetry import log

MOST_AT_ONCE = 10
_SECONDS = 5
_ATTEMPTS = 3


class EventBridge:
    """Announces alarms to rules of the account's default bus."""

    def announce(self, events: Sequence[AlarmEvent]) -> list[AlarmEvent]:
        """Put the events, and return those that the bus did not take, for whichever reason; the log has it."""
        if not events:
            return []
        import boto3
        from botocore.config import Config  # type: ignore[import-untyped]
        from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

        retries: dict[str, object] = {"total_max_attempts": _ATTEMPTS, "mode": "standard"}
        try:
            client = boto3.client(
                "events", config=Config(connect_timeout=_SECONDS, read_timeout=_SECONDS, retries=retries)
            )
        except BotoCoreError as error:
            return _keep(events, error)
        kept: list[AlarmEvent] = []
        for start in range(0, len(events), MOST_AT_ONCE):
            some = events[start : start + MOST_AT_ONCE]
            try:
                answer = client.put_events(Entries=list(map(_entry, some)))
            except (BotoCoreError, ClientError) as error:
                return [*kept, *_keep(events[start:], error)]
            refused = [event for event, told in zip(some, answer["Entries"], strict=True) if "EventId" not in told]
            if refused:
                log(__name__).warning("the event bus refused %d events; they are tried again", len(refused))
            kept.extend(refused)
        return kept


def _entry(event: AlarmEvent) -> dict[str, object]:
    return {
        "Source": SOURCE,
        "DetailType": event.detail_type,
        "Time": datetime.fromisoformat(event.time),
        "Detail": msgspec.json.encode(event).decode(),
    }


def _keep(events: Sequence[AlarmEvent], error: Exception) -> list[AlarmEvent]:
    log(__name__).warning("%d events wait, for the event bus does not take them: %s", len(events), error)
    return list(events)
