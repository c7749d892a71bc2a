"""Erasing the rows of patients from what was captured and labelled, by the ids of their requests."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlet.errors import InvalidInputError
from onnxlet.lifecycle.bucket_versions import old_objects
from onnxlet.monitor.capture.data_key import open_data_key
from onnxlet.monitor.capture.erasing import Eraser, Erasure, OnProgress
from onnxlet.values.tables import Facts
from onnxlet.values.timestamps import utc_now

if TYPE_CHECKING:
    from onnxlet.lifecycle.workspace import Workspace


def erase_requests(
    workspace: Workspace, request_ids: Iterable[str], *, dry_run: bool = False, on_progress: OnProgress | None = None
) -> Erasure:
    """Erase the rows and labels of these requests, and record it; a dry run only counts.

    Raises InvalidInputError without ids, and where they are kept as hashes and no key is set.
    """
    if isinstance(request_ids, str):
        raise InvalidInputError("request ids are a list of texts, not one text")
    ids = [each for each in request_ids if each]
    if not ids:
        raise InvalidInputError("no request id is given: each is the X-Onnxlet-Request-Id of an answer")
    store, reference = workspace.open_store(), workspace.read_settings().capture_key
    eraser = Eraser(
        store,
        ids,
        key=open_data_key(reference) if reference else None,
        old_versions=partial(old_objects, store.url) if store.url.startswith("s3://") else None,
        dry_run=dry_run,
    )
    return eraser.erase(workspace.who, utc_now(), on_progress)


def read_ids(path: Path) -> list[str]:
    """Request ids, one a line, or the column `request_id` of a CSV file. Raises InvalidInputError."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path.name!r} cannot be read as UTF-8 text: {type(error).__name__}") from None
    if path.suffix.lower() != ".csv":
        return [line.strip() for line in text.splitlines() if line.strip()]
    rows = csv.DictReader(io.StringIO(text, newline=""))
    if "request_id" not in (rows.fieldnames or ()):
        raise InvalidInputError(f"{path.name!r} has no column 'request_id'")
    return [row["request_id"].strip() for row in rows if row["request_id"]]


def describe_erasure(erasure: Erasure) -> Facts:
    """What was erased, for people."""
    return Facts(
        (
            ("requests", erasure.ids),
            ("rows", erasure.rows),
            ("labels", erasure.labels),
            ("objects rewritten or removed", erasure.objects),
            ("old versions removed", erasure.old_versions),
            ("rows without an id", erasure.untraceable or None),
        )
    )
