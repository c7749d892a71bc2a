"""S3 events → files to score. Three shapes of them arrive, and they spell keys differently:

- EventBridge's (`"source": "aws.s3"`, `"detail-type": "Object Created"`): keys are raw.
- S3's own notifications (`{"Records": [{"eventSource": "aws:s3", …}]}`): keys are URL-encoded, a space as `+`.
- SQS messages (`{"Records": [{"eventSource": "aws:sqs", "body": …}]}`) with either of them as their body.

What is asked of the function: docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html and
notification-content-structure.html, docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html.

A file that fails is never dropped: its SQS message is reported as failed, comes again as often as the queue allows and
then lies in the dead-letter queue; an event that came directly raises, which Lambda retries and then hands to the
function's failure destination. If trying again cannot help, a book of state `failed` says why as well.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import msgspec

from onnxlet.batch.objects import score_object
from onnxlet.batch.scoring import BOOK, ERRORS
from onnxlet.errors import InvalidInputError, OnnxletError
from onnxlet.jobs.uploads import is_cancelled
from onnxlet.values.keys import BATCH_IN

if TYPE_CHECKING:
    from onnxlet.batch.book import Book
    from onnxlet.serving.predictor import Predictor
    from onnxlet.store import Store

log = logging.getLogger(__name__)


Divert = Callable[[str], bool]
"""Hands the file of a key to others who score it; False if it does not."""


def _do_nothing() -> None:
    """Nobody wants to know."""


def _keep(_key: str) -> bool:
    """Every file is scored here."""
    return False


def handle(
    store: Store,
    predictor: Predictor,
    event: Mapping[str, Any],
    *,
    divert: Divert = _keep,
    answered: Callable[[], None] = _do_nothing,
) -> dict[str, Any]:
    """Score the files that an event names: for SQS which messages failed, for others the books, or the error.

    `answered` is called at the end, whichever it is.
    """
    try:
        return _score_event(store, predictor, event, divert)
    finally:
        answered()


def _score_event(store: Store, predictor: Predictor, event: Mapping[str, Any], divert: Divert) -> dict[str, Any]:
    records = event.get("Records") or []
    if any(record.get("eventSource") == "aws:sqs" for record in records):
        failed = [record["messageId"] for record in records if not _score_message(store, predictor, record, divert)]
        return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}
    books = _score_keys(store, predictor, keys_to_score(event, store.url), divert)
    return {"scored": [msgspec.to_builtins(book) for book in books]}


def _score_message(store: Store, predictor: Predictor, record: Mapping[str, Any], divert: Divert) -> bool:
    try:
        _score_keys(store, predictor, keys_to_score(_decode_body(record), store.url), divert)
    except OnnxletError as error:
        message = record["messageId"]
        log.error("message %s failed: %s", message, error.detail, extra={"message_id": message})  # noqa: TRY400 - ours
        return False
    return True


def _score_keys(store: Store, predictor: Predictor, keys: list[str], divert: Divert) -> list[Book]:
    """Score each, whatever becomes of the others. Raises the first error, once all had their turn."""
    books, errors = [], []
    for key in keys:
        try:
            if is_cancelled(store, key):
                log.info("%s ignored: its job was cancelled", key)
            elif not divert(key):
                books.append(_score_key(store, predictor, key))
        except OnnxletError as error:
            log.error("%s was not scored: %s", key, error.detail)  # noqa: TRY400 - ours
            errors.append(error)
    if errors:
        raise errors[0]
    return books


def _decode_body(record: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        body = json.loads(record["body"])
    except ValueError as error:
        raise InvalidInputError("the message's body is not JSON") from error
    if not isinstance(body, dict):
        raise InvalidInputError("the message's body is not an event")
    return body


def _score_key(store: Store, predictor: Predictor, key: str) -> Book:
    book = score_object(store, predictor, key)
    facts = {"scorer": msgspec.to_builtins(book.scorer), "rows": msgspec.to_builtins(book.rows)}
    log.info("%s scored", key, extra=facts)
    return book


def keys_to_score(event: Mapping[str, Any], url: str) -> list[str]:
    """The keys, relative to the store at `url`, of the files that an event wants scored.

    Raises InvalidInputError for events of another kind or another bucket.
    """
    keys = []
    for bucket, key in _find_written(event):
        inside = _strip_store(bucket, key, url)
        reason = "outside the store" if inside is None else _why_ignored(inside)
        if inside is None or reason:
            log.info("%s ignored: %s", key, reason)
        else:
            keys.append(inside)
    return keys


def _find_written(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Bucket and key of each object that the event says was written."""
    try:
        if event.get("source") == "aws.s3":
            if event["detail-type"] == "Object Created":
                yield event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
        elif event.get("Event") == "s3:TestEvent":
            log.info("test event ignored")
        else:
            for record in event["Records"]:
                if record["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
                    yield record["s3"]["bucket"]["name"], unquote_plus(record["s3"]["object"]["key"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError("this is no event of an object written to S3") from error


def _strip_store(bucket: str, key: str, url: str) -> str | None:
    """The key below the store's prefix, None if it is not there. Other stores than S3 answer for any bucket."""
    scheme, _, address = url.partition("://")
    if scheme != "s3":
        return key
    own_bucket, _, prefix = address.partition("/")
    if bucket != own_bucket:
        raise InvalidInputError(
            f"the event is of bucket {bucket!r}, this function scores {own_bucket!r}", bucket=bucket
        )
    prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""
    return key.removeprefix(prefix) if key.startswith(prefix) else None


def _why_ignored(key: str) -> str | None:
    """Why an object is nothing to score, if so."""
    if not key.startswith(BATCH_IN):
        return f"outside {BATCH_IN}"
    if key.endswith("/"):
        return "a folder's marker"
    if key.endswith((ERRORS, BOOK)):
        return "an output of scoring"
    return None
