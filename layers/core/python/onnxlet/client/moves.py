"""Moving an alias over HTTP, once: what may have been done already is looked at before it is asked for again.

Each request names the state that it changes (If-Match), so that repeating one that was done after all changes nothing.
"""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

from onnxlet.client.transport import MAX_RETRY_AFTER, Transport, backoff
from onnxlet.errors import (
    AliasNotFoundError,
    DeadlineExceededError,
    OnnxletError,
    PreconditionFailedError,
    UnavailableError,
)
from onnxlet.values.aliases import Alias, decode_alias

MODELS = "/registry/models"


class MoveRequest(NamedTuple):
    """A change of an alias: the request for it, and what the alias's entry says once it is done."""

    model: str
    alias: str
    why: str
    action: str
    method: str
    path: str
    document: dict[str, Any]

    def is_done(self, now: Alias | None, before: Alias | None) -> bool:
        """Whether the alias as it is now is what this move makes of the one before."""
        if now is None or (before is not None and now.sequence != before.sequence + 1):
            return False
        if self.action == "promote" and [route.version for route in now.routes] != [self.document["version"]]:
            return False
        return (now.entry.action, now.entry.why) == (self.action, self.why)


def promotion(model: str, version: int, *, alias: str, why: str, force: bool) -> MoveRequest:
    """The move of an alias to a version."""
    document = {"version": version, "why": why, "force": force}
    return MoveRequest(model, alias, why, "promote", "PUT", f"{MODELS}/{model}/aliases/{alias}", document)


def rollback(model: str, *, alias: str, why: str, force: bool) -> MoveRequest:
    """The move of an alias back to where it was."""
    document = {"alias": alias, "why": why, "force": force}
    return MoveRequest(model, alias, why, "rollback", "POST", f"{MODELS}/{model}:rollback", document)


def execute(move: MoveRequest, transport: Transport) -> Alias:
    """The alias, moved. While the server is busy or cut off it is asked again, if the alias is still as it was.

    Raises PreconditionFailedError if somebody else moved it meanwhile, UnavailableError if it cannot be done now or
    nobody can tell whether it was, and what the server refuses it with.
    """
    before, etag = _read_alias(move, transport)
    condition = {"If-None-Match": "*"} if etag is None else {"If-Match": etag}
    body = json.dumps(move.document).encode()
    pauses = backoff(transport.retries)
    while True:
        pause = next(pauses, None)
        try:
            return decode_alias(transport.call(move.method, move.path, body, condition, retry=False).body)
        except (UnavailableError, PreconditionFailedError) as error:
            now, etag_now = _read_alias_after(move, transport, error)
            if now is not None and move.is_done(now, before):
                return now
            if etag_now != etag:
                raise PreconditionFailedError(
                    f"alias {move.alias!r} of {move.model!r} was moved by somebody else meanwhile: look and decide anew"
                ) from error
            retry_after = _retry_after(error)
            final = isinstance(error, DeadlineExceededError | PreconditionFailedError) or retry_after > MAX_RETRY_AFTER
            if pause is None or final:
                raise
            time.sleep(pause + retry_after)


def _read_alias(move: MoveRequest, transport: Transport) -> tuple[Alias | None, str | None]:
    """The alias and its ETag; twice None if there is none."""
    try:
        response = transport.get(f"{MODELS}/{move.model}/aliases/{move.alias}")
    except AliasNotFoundError:
        return None, None
    return decode_alias(response.body), response.headers.get("ETag")


def _read_alias_after(move: MoveRequest, transport: Transport, error: Exception) -> tuple[Alias | None, str | None]:
    try:
        return _read_alias(move, transport)
    except UnavailableError:
        raise UnavailableError(
            f"whether alias {move.alias!r} of {move.model!r} was moved is not known ({error}): "
            "look at it once the server answers"
        ) from error


def _retry_after(error: OnnxletError) -> float:
    seconds = error.context.get("retry_after")
    return seconds if isinstance(seconds, float | int) else 0.0
