"""Uploads of jobs, as they land: what was asked for with them, and whether it still is.

Beside `batch/jobs/<id>.json`, which says what was asked, `<id>.cancelled.json` says who ended it and
`<id>.execution.json` which execution of the state machine an upload got.
"""

from __future__ import annotations

import msgspec

from onnxlet.errors import IntegrityError, ObjectNotFoundError
from onnxlet.jobs.orders import Order, order_landed
from onnxlet.store import Store
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import BATCH_JOBS


class _Asked(msgspec.Struct):
    order: Order


class _Execution(msgspec.Struct):
    execution: str


def job_key(job: str) -> str:
    """Where it stands what was asked for."""
    return f"{BATCH_JOBS}{job}.json"


def cancelled_key(job: str) -> str:
    """Where it stands who cancelled a job, if somebody did."""
    return f"{BATCH_JOBS}{job}.cancelled.json"


def read_order(store: Store, key: str, ref: str) -> Order:
    """The order that a file under `batch/in/` is, with the options that its job was asked for with, if it is of one.

    Raises IntegrityError if the job cannot be read.
    """
    landed = order_landed(key, ref)
    if not landed.job:
        return landed
    try:
        asked = msgspec.json.decode(store.get(job_key(landed.job)).data, type=_Asked).order
    except ObjectNotFoundError:
        return landed
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{job_key(landed.job)!r} is no job: upload the file anew") from error
    options = {name: getattr(asked, name) for name in ("keep", "max_bad", "columns", "explain")}
    return msgspec.structs.replace(landed, **options)


def is_cancelled(store: Store, key: str) -> bool:
    """Whether a file that landed is of a job that was cancelled."""
    job = order_landed(key, "").job
    return bool(job) and stands(store, cancelled_key(job))


def note_execution(store: Store, job: str, execution: str) -> None:
    """Write down which execution works on an upload."""
    store.put(_execution_key(job), canonical({"execution": execution}))


def find_execution(store: Store, job: str) -> str:
    """The execution that works on an upload, if one does."""
    try:
        return msgspec.json.decode(store.get(_execution_key(job)).data, type=_Execution).execution
    except ObjectNotFoundError:
        return ""


def stands(store: Store, key: str) -> bool:
    """Whether there is such an object."""
    try:
        store.head(key)
    except ObjectNotFoundError:
        return False
    return True


def _execution_key(job: str) -> str:
    return f"{BATCH_JOBS}{job}.execution.json"
