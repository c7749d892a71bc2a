"""Parts joined by S3 itself, in the sizes that it asks for."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import boto3
import pytest

from deliveries import IN, OUT, make_predictor, publish
from machines import Machine
from onnxlet.batch.large import joining
from onnxlet.batch.large.joining import Joined, OutOfTimeError
from onnxlet.batch.large.uploading import Extent
from onnxlet.batch.large.work import WorkArea
from onnxlet.batch.multipart import locate
from onnxlet.batch.objects import score_object
from onnxlet.errors import PreconditionFailedError
from onnxlet.jobs import estimates
from onnxlet.jobs.orders import order_landed
from onnxlet.store import Store, open_store
from onnxlet.values.keys import BATCH_WORK

pytestmark = pytest.mark.slow

MIB = 2**20


@pytest.fixture
def s3_store(s3_store_url: str) -> Store:
    return open_store(s3_store_url)


def _joined(store: Store, sizes: list[int], out_of_time: joining.Clock = lambda: False) -> tuple[Joined, bytes]:
    area = WorkArea(store, f"{BATCH_WORK}w/")
    bodies = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    extents = [Extent(area.key(f"pieces/{number}"), 0, len(body)) for number, body in enumerate(bodies)]
    for extent, body in zip(extents, bodies, strict=True):
        store.put(extent.key, body)
    return Joined(area, "output", [b"heading\n", *extents], "digest", out_of_time), b"heading\n" + b"".join(bodies)


def test_s3_copies_what_is_large_enough(s3_store: Store) -> None:
    joined, expected = _joined(s3_store, [11 * MIB, 100, 12 * MIB, 5])
    etag = joined.write(s3_store, "batch/out/m/x.csv", None)
    blob = s3_store.get("batch/out/m/x.csv")
    assert (blob.data == expected, blob.etag, joined.size) == (True, etag, len(expected))
    assert etag.endswith("-5")
    assert not list(s3_store.list(f"{BATCH_WORK}w/uploads/"))


def test_nothing_that_stands_is_overwritten_unless_it_is_what_was_seen(s3_store: Store) -> None:
    joined, expected = _joined(s3_store, [6 * MIB])
    etag = s3_store.put("batch/out/m/x.csv", b"another's")
    with pytest.raises(PreconditionFailedError):
        joined.write(s3_store, "batch/out/m/x.csv", None)
    with pytest.raises(PreconditionFailedError):
        joined.write(s3_store, "batch/out/m/x.csv", "an older one")
    assert s3_store.get("batch/out/m/x.csv").data == b"another's"
    joined.write(s3_store, "batch/out/m/x.csv", etag)
    assert s3_store.get("batch/out/m/x.csv").data == expected


def test_joining_goes_on_where_time_was_up(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "AT_ONCE", 1)
    asked = count()
    joined, expected = _joined(s3_store, [6 * MIB] * 4, lambda: next(asked) % 2 == 1)
    for _ in range(3):
        with pytest.raises(OutOfTimeError):
            joined.write(s3_store, "batch/out/m/x.csv", None)
    joined.write(s3_store, "batch/out/m/x.csv", None)
    assert s3_store.get("batch/out/m/x.csv").data == expected


def test_an_upload_that_somebody_ended_is_begun_anew(s3_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "AT_ONCE", 1)
    asked = count()
    joined, expected = _joined(s3_store, [6 * MIB] * 2, lambda: next(asked) == 1)
    with pytest.raises(OutOfTimeError):
        joined.write(s3_store, "batch/out/m/x.csv", None)
    bucket, prefix = locate(s3_store.url)
    client = boto3.client("s3")
    (upload,) = client.list_multipart_uploads(Bucket=bucket, Prefix=prefix)["Uploads"]
    client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    with pytest.raises(PreconditionFailedError):
        joined.write(s3_store, "batch/out/m/x.csv", None)
    joined.write(s3_store, "batch/out/m/x.csv", None)
    assert s3_store.get("batch/out/m/x.csv").data == expected


def test_a_file_of_sections_of_real_size_is_joined_by_copies(
    s3_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "LEAST_SECTION", 6 * MIB)
    publish(s3_store, tmp_path)
    row = b"%d," + b"n" * 1900 + b",1.5,2\n"
    content = b"id,note,radius,texture\n" + b"".join(row % number for number in range(7000))
    s3_store.put(IN, content)
    predictor = make_predictor(s3_store, tmp_path)
    machine = Machine(s3_store, predictor, at_once=2)
    machine.run(order_landed(IN, "m"))
    assert machine.taken["section"] == 3
    joined = s3_store.get(OUT)
    assert joined.etag.endswith("-3")
    s3_store.put(IN.replace(".csv", "2.csv"), content)
    score_object(s3_store, predictor, IN.replace(".csv", "2.csv"))
    assert s3_store.get(OUT.replace(".csv", "2.csv")).data == joined.data
