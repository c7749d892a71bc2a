"""Large results on S3: made of parts, where nothing stands, by a process whose memory they do not fill."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from deliveries import IN, OUT, assert_one_set, deliver, make_predictor, publish, rows
from onnxlet.batch import multipart, scoring
from onnxlet.batch.multipart import locate, upload_file
from onnxlet.batch.scoring import MadeFile
from onnxlet.errors import PreconditionFailedError, StoreUnavailableError
from onnxlet.store import Store, open_store

pytestmark = pytest.mark.slow

MIB = 2**20
MOST_GROWTH = 1.15
"""Of a process whose output is three times as large; where it was mapped into memory, it grew by more."""
SCORE = """
import re, sys
from pathlib import Path
from deliveries import make_predictor
from onnxlet.batch import reading, scoring
from onnxlet.batch.objects import score_object
from onnxlet.store import open_store
reading.WINDOW_BYTES = 2**20  # what is read fills them all at either size
scoring.IN_PARTS = 1
store = open_store(sys.argv[1])
score_object(store, make_predictor(store, Path(sys.argv[2])), sys.argv[3])
# not what getrusage says, which begins with what the parent had
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.fixture
def s3_store(s3_store_url: str) -> Store:
    return open_store(s3_store_url)


def _uploads(store: Store) -> list[Any]:
    """What was begun and neither made nor ended."""
    bucket, prefix = locate(store.url)
    uploads: list[Any] = boto3.client("s3").list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", [])
    return uploads


@pytest.mark.parametrize("size", [0, 1, 8 * MIB, 20 * MIB + 7])
def test_a_file_is_made_of_its_parts(s3_store: Store, tmp_path: Path, size: int) -> None:
    (tmp_path / "x").write_bytes(bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    etag = upload_file(s3_store.url, "x", tmp_path / "x")
    blob = s3_store.get("x")
    assert (blob.data == (tmp_path / "x").read_bytes(), blob.etag) == (True, etag)
    assert etag.endswith(f"-{max(1, -(-size // (8 * MIB)))}")


def test_parts_overwrite_nothing_and_are_removed(s3_store: Store, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"ours")
    s3_store.put("x", b"another's")
    with pytest.raises(PreconditionFailedError):
        upload_file(s3_store.url, "x", tmp_path / "x")
    assert s3_store.get("x").data == b"another's"
    assert not _uploads(s3_store)


def test_parts_that_s3_refuses_are_removed(s3_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multipart, "PART_BYTES", MIB)  # S3 takes no such small ones, and says so at the end
    (tmp_path / "x").write_bytes(bytes(3 * MIB))
    with pytest.raises(StoreUnavailableError, match="S3 does not take the parts"):
        upload_file(s3_store.url, "x", tmp_path / "x")
    assert not _uploads(s3_store)
    assert not list(s3_store.list("x"))


def test_what_stands_does_so_until_what_replaces_it_is_whole(
    s3_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "IN_PARTS", 1)
    (tmp_path / "x").write_bytes(bytes(3 * MIB))
    made, standing = MadeFile(tmp_path / "x", ""), s3_store.put("x", b"before")
    with monkeypatch.context() as small:
        small.setattr(multipart, "PART_BYTES", MIB)  # which S3 refuses when all are there
        with pytest.raises(StoreUnavailableError):
            made.write(s3_store, "x", standing)
    assert s3_store.get("x").data == b"before"
    assert made.write(s3_store, "x", standing) == s3_store.head("x").etag != standing
    assert s3_store.get("x").data == bytes(3 * MIB)


def test_parts_replace_only_what_is_known_to_stand(
    s3_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, asked = boto3.Session(), []
    session.events.register(
        "before-sign.s3.CompleteMultipartUpload", lambda request, **_: asked.append(request.headers["If-Match"])
    )
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    (tmp_path / "x").write_bytes(b"ours")
    known = s3_store.put("x", b"before")
    s3_store.put("x", b"another's")
    with pytest.raises(PreconditionFailedError):
        upload_file(s3_store.url, "x", tmp_path / "x", known)
    assert s3_store.get("x").data == b"another's"
    known = s3_store.head("x").etag
    upload_file(s3_store.url, "x", tmp_path / "x", known)
    assert asked == [f'"{known}"'], "S3 looks once more, as late as can be"
    known = s3_store.head("x").etag
    s3_store.delete("x")
    with pytest.raises(PreconditionFailedError):
        upload_file(s3_store.url, "x", tmp_path / "x", known)
    assert not _uploads(s3_store)


def test_a_set_in_parts_is_replaced_as_any_other_is(
    s3_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "IN_PARTS", 1)
    publish(s3_store, tmp_path)
    predictor = make_predictor(s3_store, tmp_path)
    for content in (rows("first"), rows("second", 300), rows("second", 300), rows("third", bad=0)):
        s3_store.put(IN, content)
        deliver(s3_store, predictor)
        assert s3_store.head(OUT).etag.endswith("-1")
        assert_one_set(s3_store, content)
    assert not _uploads(s3_store)


def _peak_kilobytes(store: Store, folder: Path, megabytes: int) -> int:
    """What a process takes at most that scores a file of so many megabytes."""
    row = b"%d," + b"n" * 980 + b",1.5,2\n"
    key = f"batch/in/m/{megabytes}.csv"
    lines = b"".join(row % number for number in range(1000 * megabytes))
    store.put(key, b"id,note,radius,texture\n" + lines)
    command = [sys.executable, "-c", SCORE, store.url, str(folder), key]
    return int(subprocess.check_output(command, cwd=Path(__file__).parents[1], timeout=600))


@pytest.mark.long
def test_memory_does_not_grow_with_the_output(s3_store: Store, tmp_path: Path) -> None:
    publish(s3_store, tmp_path)
    small, large = (_peak_kilobytes(s3_store, tmp_path, megabytes) for megabytes in (20, 60))
    assert s3_store.head("batch/out/m/60.csv").size > 60e6
    assert large < MOST_GROWTH * small
