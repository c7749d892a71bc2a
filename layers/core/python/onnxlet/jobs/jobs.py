"""Jobs that were asked for: made, listed, followed, cancelled, and repeated for the rows that were bad.

`batch/jobs/<id>.json` says what was asked, `<id>.work.json` where a large file is worked on; `onnxlet.jobs.uploads`
says what else lies there. How a job stands is read from what stands: the upload, the work area, the book.
"""

from __future__ import annotations

import re
import secrets
import time
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import msgspec

from onnxlet.errors import ConflictError, InvalidInputError, ObjectNotFoundError, PreconditionFailedError
from onnxlet.jobs.bad_rows import has_places, take_rows
from onnxlet.jobs.identity import Identity, check_output, identify
from onnxlet.jobs.orders import Order
from onnxlet.jobs.uploads import cancelled_key, find_execution, job_key, stands
from onnxlet.registry.parallel import map_parallel
from onnxlet.registry.reading.lookup import resolve
from onnxlet.store import Store, open_store
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import BATCH_IN, BATCH_JOBS, BATCH_OUT
from onnxlet.values.refs import parse_ref
from onnxlet.values.timestamps import format_timestamp, utc_now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onnxlet.jobs.state_machine import StateMachine

BOOK, ERRORS = ".book.json", ".errors.jsonl"
MOST_LISTED = 100
MOST_RETRIED = 10_000
"""Bad rows of a file that are scored again by themselves."""
_ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{8}")
_LOCATION = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)")


class Job(msgspec.Struct, frozen=True):
    """What was asked for, when (RFC 3339) and by whom; an execution of the state machine if it began at once."""

    id: str
    created: str
    by: str
    order: Order
    execution: str = ""


class Status(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a job stands: `awaiting upload`, `waiting`, `running`, `scored`, `failed` or `cancelled`.

    Of a large file sections that are done of all, and their number a second since the job began.
    """

    id: str
    state: str
    created: str
    ref: str
    input: str
    output: str
    done: int | None = None
    sections: int | None = None
    rate: float | None = None
    rows: dict[str, int] | None = None
    failure: str | None = None


class _Book(msgspec.Struct):
    """What a job wants of a book."""

    state: str
    source: dict[str, Any] | None = None
    separator: str = ","
    rows: dict[str, int] | None = None
    failure: dict[str, str] | None = None
    outputs: list[dict[str, Any]] = []
    scorer: dict[str, Any] | None = None
    options: str = ""

    @property
    def identity(self) -> Identity:
        """What it is of."""
        return Identity((self.source or {}).get("key", ""), (self.scorer or {}).get("digest", ""), self.options)

    def is_of(self, order: Order) -> bool:
        """Whether it may be an order's."""
        version, scored_by = parse_ref(order.ref).version, (self.scorer or {}).get("version")
        same = version is None or scored_by is None or version == scored_by
        return same and identify(order, "").agrees(self.identity)


def create(store: Store, order: Order, *, by: str, machine: StateMachine | None, granted: Sequence[str] = ()) -> Job:
    """Ask for a scoring. An order without an input store is an upload, whose key is chosen here; others begin now.

    Raises InvalidInputError for an order that cannot be, and for one of files outside the prefixes that are `granted`;
    ConflictError if the output it names holds another scoring; and as `lookup.resolve` does for a ref of nothing.
    """
    if not store.url.startswith("s3://"):
        raise InvalidInputError(
            f"{store.url!r} is not in S3, and nothing there scores jobs: run `onnxlet score` instead"
        )
    _, model = resolve(store, parse_ref(order.ref))
    identifier = f"{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    file = PurePosixPath(order.key).name
    name = order.name or f"{BATCH_OUT}{order.ref}/{identifier}/{file}"
    if not order.input:
        placed = msgspec.structs.replace(order, key=f"{BATCH_IN}{order.ref}/{identifier}/{file}", name=name)
    else:
        for store_url, key in ((order.input, order.key), (order.output, order.name)):
            if store_url and not any(f"{store_url}/{key}".startswith(prefix) for prefix in granted):
                raise InvalidInputError(f"'{store_url}/{key}' is not granted: the parameter BatchArns names what is")
        placed = msgspec.structs.replace(order, name=name)
    placed = msgspec.structs.replace(placed, job=identifier)
    execution = ""
    if order.input:
        if machine is None:
            raise InvalidInputError("no state machine is named, which scores files of other stores: upload the file")
        _check_output(store, placed, model)
        execution = machine.start(placed, identifier)
    job = Job(identifier, format_timestamp(utc_now()), by, placed, execution)
    store.create(job_key(identifier), canonical(job))
    return job


def split_location(url: str) -> tuple[str, str]:
    """The store and the key of `s3://bucket/key`. Raises InvalidInputError."""
    match = _LOCATION.fullmatch(url)
    if match is None:
        raise InvalidInputError(f"{url!r} is no file in S3: write s3://bucket/path/file.csv")
    return f"s3://{match[1]}", match[2]


def read(store: Store, identifier: str) -> Job:
    """A job. Raises ObjectNotFoundError."""
    if not _ID.fullmatch(identifier):
        raise ObjectNotFoundError(f"there is no job {identifier!r}", job=identifier)
    return msgspec.json.decode(store.get(job_key(identifier)).data, type=Job)


def listed(store: Store) -> list[Status]:
    """How the newest jobs stand, the newest first."""
    keys = [entry.key for entry in store.list(BATCH_JOBS)]
    names = [key.removeprefix(BATCH_JOBS).removesuffix(".json") for key in keys]
    newest = islice(reversed([name for name in names if _ID.fullmatch(name)]), MOST_LISTED)
    return map_parallel(lambda name: status(store, read(store, name)), newest)


def status(store: Store, job: Job, machine: StateMachine | None = None) -> Status:
    """How a job stands; `machine` tells of an execution that failed without a book."""
    order = job.order
    base = Status(
        job.id, "waiting", job.created, order.ref, f"{order.input or store.url}/{order.key}", _output(store, job)
    )
    book = _read_book(store, job)
    cancelled = stands(store, cancelled_key(job.id))
    if cancelled and (book is None or book.state == "failed"):
        return msgspec.structs.replace(base, state="cancelled")
    if book is not None:
        failure = None if book.failure is None else book.failure.get("detail")
        return msgspec.structs.replace(base, state=book.state, rows=book.rows, failure=failure)
    execution = _execution(store, job) if machine is not None else ""
    if execution and machine is not None:
        ended, cause = machine.status(execution)
        if ended in {"FAILED", "TIMED_OUT", "ABORTED"}:
            return msgspec.structs.replace(base, state="failed", failure=cause or ended)
    try:
        work = msgspec.json.decode(store.get(f"{BATCH_JOBS}{job.id}.work.json").data)["work"]
    except ObjectNotFoundError:
        uploaded = bool(order.input) or stands(store, order.key)
        return base if uploaded else msgspec.structs.replace(base, state="awaiting upload")
    done, sections = _count(store, work)
    seconds = max(1.0, time.time() - datetime.fromisoformat(job.created).timestamp())
    return msgspec.structs.replace(base, state="running", done=done, sections=sections, rate=round(done / seconds, 2))


def cancel(store: Store, job: Job, machine: StateMachine | None, by: str) -> Status:
    """End a job; what one process has begun it finishes. Raises ConflictError if it has ended."""
    before = status(store, job, machine)
    if before.state in {"scored", "failed"}:
        raise ConflictError(f"job {job.id} has {before.state} already")
    # who cancelled it before may have been killed here: what follows can be repeated
    with suppress(PreconditionFailedError):
        store.create(cancelled_key(job.id), canonical({"by": by, "at": format_timestamp(utc_now())}))
    execution = _execution(store, job) if machine is not None else ""
    if execution and machine is not None:
        machine.stop(execution, f"cancelled by {by}")
    if not job.order.input:
        store.delete(job.order.key)
    return msgspec.structs.replace(before, state="cancelled")


def retry(store: Store, job: Job, by: str) -> Job:
    """Another job, of the rows that were bad alone, under the same heading; any share of them may be bad again.

    Their file must be lines, CSV or JSON, and still be the one that was scored. Raises ConflictError.
    """
    book = _read_book(store, job)
    errors = [] if book is None else [each for each in book.outputs if each["key"].endswith(ERRORS)]
    if book is None or not errors:
        raise ConflictError(f"job {job.id} has no bad rows, or has not ended")
    if errors[0]["rows"] > MOST_RETRIED or not has_places(job.order.key):
        raise ConflictError(
            f"the {errors[0]['rows']:,} bad rows of job {job.id} cannot be taken out: upload them by themselves"
        )
    lines = _outputs(store, job).get(errors[0]["key"]).data.splitlines()
    places = [msgspec.json.decode(line)["byte"] for line in lines]
    etag = None if book.source is None else book.source.get("etag")
    content = take_rows(store_of(store, job.order.input), job.order, etag, book.separator, places)
    order = msgspec.structs.replace(job.order, input="", output="", name="", job="", max_bad=1.0)
    again = create(store, order, by=by, machine=None)
    store.put(again.order.key, content)
    return again


def outputs(store: Store, job: Job) -> list[tuple[str, str]]:
    """Store and key of each file of a job that has ended: output, errors, book. Raises ConflictError."""
    book = _read_book(store, job)
    if book is None:
        raise ConflictError(f"job {job.id} has no results yet")
    url = job.order.output or store.url
    return [(url, each["key"]) for each in book.outputs] + [(url, job.order.name + BOOK)]


def presign(url: str, key: str, operation: str, seconds: int = 3600) -> str:
    """A URL that lets its bearer `get_object` or `put_object` one key for a while. Raises InvalidInputError."""
    if not url.startswith("s3://"):
        raise InvalidInputError(f"{url!r} is no store in S3: only S3 gives URLs for its objects")
    import boto3
    from botocore.config import Config  # type: ignore[import-untyped]

    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    place = f"{prefix.strip('/')}/{key}" if prefix.strip("/") else key
    # in some regions botocore still signs URLs in the old way, which encryption by keys of KMS refuses
    signed: str = boto3.client("s3", config=Config(signature_version="s3v4")).generate_presigned_url(
        operation, Params={"Bucket": bucket, "Key": place}, ExpiresIn=seconds
    )
    return signed


def store_of(store: Store, url: str) -> Store:
    """The store that an order names: an empty URL is the one where models lie."""
    return open_store(url) if url else store


def _execution(store: Store, job: Job) -> str:
    """The execution that works on a job: its own, or the one that its upload got."""
    return job.execution or find_execution(store, job.id)


def _read_book(store: Store, job: Job) -> _Book | None:
    """The book of a job; that of another scoring at the same output is none."""
    book = _find_book(store, job.order)
    if book is None or (job.order.input and not book.is_of(job.order)):
        return None
    return book


def _find_book(store: Store, order: Order) -> _Book | None:
    try:
        return msgspec.json.decode(store_of(store, order.output).get(order.name + BOOK).data, type=_Book)
    except ObjectNotFoundError:
        return None


def _check_output(store: Store, order: Order, model: str) -> None:
    """Raise ConflictError if another scoring stands where an order writes."""
    book = _find_book(store, order)
    if book is not None and book.state == "scored":
        check_output(order, identify(order, model), book.identity)


def _outputs(store: Store, job: Job) -> Store:
    return store_of(store, job.order.output)


def _output(store: Store, job: Job) -> str:
    return f"{job.order.output or store.url}/{job.order.name}"


def _count(store: Store, work: str) -> tuple[int, int | None]:
    done = sum(1 for _ in store.list(f"{work}sections/"))
    try:
        return done, len(msgspec.json.decode(store.get(f"{work}plan.json").data)["places"])
    except ObjectNotFoundError:
        return 0, None
