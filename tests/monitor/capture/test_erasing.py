"""Erasing a patient: rows and labels go, in all versions that a bucket keeps; it can be stopped, and is recorded."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

import onnxlet
from captures import captured, captures
from doors import Shop
from faults import WatchedStore
from onnxlet.cli.root import cli
from onnxlet.errors import InvalidInputError, StoreUnavailableError
from onnxlet.monitor.capture.data_key import DataKey
from onnxlet.monitor.capture.erasing import Eraser, read_erasures
from onnxlet.monitor.capture.labels import Label
from onnxlet.monitor.capture.reading import pack
from onnxlet.monitor.capture.rows import REQUEST
from onnxlet.monitor.capture.rules import Hash
from onnxlet.store import Store, open_store
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import capture_key, label_key

NOW = datetime(2026, 12, 1, tzinfo=UTC)
THEIRS, OTHER = "visit-of-Mrs-Jones", "visit-of-another"
SECRET = "ab" * 32


def write(store: Store, *ids: str | None, sequence: int = 0) -> str:
    """An object with a row of each request."""
    key = capture_key("diagnosis", 1, "2026-11-29", "env", sequence)
    documents: list[dict[str, Any]] = [{"row": 0, "columns": {"age": place}} for place in range(len(ids))]
    named = [row | ({} if each is None else {"id": each}) for row, each in zip(documents, ids, strict=True)]
    store.put(key, pack([canonical(row) + b"\n" for row in named]))
    return key


def write_label(store: Store, *ids: str) -> None:
    lines = [canonical(Label(each, 0, "benign", "2026-12-01T00:00:00Z")) + b"\n" for each in ids]
    store.put(label_key("diagnosis", "20261201T000000Z", "cafe"), pack(lines))


def erase(store: Store, *ids: str, key: DataKey | None = None, dry_run: bool = False) -> Any:  # noqa: ANN401 - an Erasure
    return Eraser(store, ids, key=key, dry_run=dry_run).erase("me", NOW)


def test_their_rows_and_labels_go_and_those_of_others_stay(store: Store) -> None:
    write(store, THEIRS, OTHER, THEIRS)
    write(store, OTHER, sequence=1)
    gone = write(store, THEIRS, sequence=2)
    write_label(store, THEIRS, OTHER)
    untouched = store.get(capture_key("diagnosis", 1, "2026-11-29", "env", 1)).data
    done = erase(store, THEIRS)
    assert (done.rows, done.labels, done.objects, done.complete) == (3, 1, 3, True)
    assert [row["id"] for row in captured(store, "diagnosis")] == [OTHER, OTHER]
    assert gone not in [entry.key for entry in store.list("capture/")], "an object without rows is no more"
    assert store.get(capture_key("diagnosis", 1, "2026-11-29", "env", 1)).data == untouched
    assert not any(THEIRS.encode() in data for data in captures(store, "diagnosis"))
    assert erase(store, THEIRS).rows == 0, "again there is nothing to do"


def test_a_dry_run_counts_and_changes_and_records_nothing(store: Store) -> None:
    write(store, THEIRS, OTHER)
    before = {entry.key: store.get(entry.key).data for entry in store.list("")}
    assert erase(store, THEIRS, dry_run=True).rows == 1
    assert {entry.key: store.get(entry.key).data for entry in store.list("")} == before


def test_what_was_erased_is_recorded_without_ids_and_who_has_the_key_can_show_whose(store: Store) -> None:
    write(store, THEIRS, OTHER)
    key = DataKey(bytes.fromhex(SECRET))
    erase(store, THEIRS, OTHER, key=key)
    erase(store, "visit-of-nobody", key=key)
    second, first = sorted(read_erasures(store), key=lambda erasure: erasure.ids)
    assert (first.who, first.ids, first.rows, second.rows) == ("me", 2, 2, 0)
    assert first.digest is not None
    assert first.digest != second.digest
    assert not any(b"visit" in store.get(entry.key).data for entry in store.list("erasures/"))
    assert erase(store, OTHER, THEIRS, key=key).digest == first.digest
    assert erase(store, THEIRS).digest is None


def test_hashed_ids_are_found_by_the_key_and_refused_without_it(store: Store, tmp_path: Path) -> None:
    Shop(store, tmp_path).publish_diagnosis(policy={"outputs": {"label": "keep"}, "request_id": "hash"})
    key = DataKey(bytes.fromhex(SECRET))
    hashed = str(Hash().release(THEIRS, key.derive("diagnosis", REQUEST, "id")))
    write(store, hashed, "another")
    with pytest.raises(InvalidInputError, match="diagnosis:1 keeps hashes of request ids"):
        erase(store, THEIRS)
    assert erase(store, THEIRS, key=key).rows == 1
    assert [row["id"] for row in captured(store, "diagnosis")] == ["another"]


def test_rows_without_an_id_are_told(store: Store) -> None:
    write(store, None, None, THEIRS)
    assert erase(store, THEIRS).untraceable == 2


def test_who_is_stopped_halfway_starts_again_and_does_the_rest(store: Store) -> None:
    for sequence in range(6):
        write(store, THEIRS, OTHER, sequence=sequence)
    swaps: list[str] = []

    def fail(method: str, key: str) -> None:
        if method == "swap":
            swaps.append(key)
            if len(swaps) == 4:
                raise StoreUnavailableError("down")

    with pytest.raises(StoreUnavailableError):
        erase(WatchedStore(store, fail), THEIRS)
    assert not list(store.list("erasures/"))
    assert 1 <= erase(store, THEIRS).rows <= 3, "those that were under way at the same time are done"
    assert [row["id"] for row in captured(store, "diagnosis")] == [OTHER] * 6


def test_an_object_that_is_none_stops_nothing_and_is_told(store: Store) -> None:
    write(store, THEIRS, sequence=1)
    store.put("capture/diagnosis/1/2026-11-29/junk.jsonl.gz", b"junk")
    done = erase(store, THEIRS)
    assert (done.rows, done.complete) == (1, False)
    assert done.refused == ("capture/diagnosis/1/2026-11-29/junk.jsonl.gz: it holds no captured rows or labels",)


@pytest.fixture
def versioned(s3_environment: str) -> tuple[str, Any]:
    """A store in a bucket that keeps versions and may lock them, and S3's client."""
    del s3_environment
    client = boto3.client("s3")
    bucket = f"kept-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    return f"s3://{bucket}/some/prefix", client


def every_version(client: Any, url: str) -> list[bytes]:  # noqa: ANN401 - boto3 has no types
    import gzip

    bucket = url.split("/")[2]
    listed = client.list_object_versions(Bucket=bucket).get("Versions", [])
    return [
        gzip.decompress(client.get_object(Bucket=bucket, Key=it["Key"], VersionId=it["VersionId"])["Body"].read())
        for it in listed
        if it["Key"].endswith(".gz")
    ]


def run(url: str, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["--store", url, *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_old_versions_in_a_bucket_go_too(versioned: tuple[str, Any], tmp_path: Path) -> None:
    url, client = versioned
    store = open_store(url)
    write(store, THEIRS, OTHER)
    write(store, THEIRS, sequence=1)
    store.delete(capture_key("diagnosis", 1, "2026-11-29", "env", 1))
    write_label(store, THEIRS, OTHER)
    (tmp_path / "ids.txt").write_text(f"{THEIRS}\n\n")
    code, counted, said = run(url, "capture", "erase", "--request-id", str(tmp_path / "ids.txt"), "--dry-run", "--json")
    assert (code, json.loads(counted)["old_versions"]) == (0, 1), said
    code, document, said = run(url, "capture", "erase", "--request-id", str(tmp_path / "ids.txt"), "--json")
    assert code == 0, said
    done = json.loads(document)
    assert (done["rows"], done["labels"], done["old_versions"]) == (1, 1, 3)
    kept = every_version(client, url)
    assert not any(THEIRS.encode() in data for data in kept)
    assert any(OTHER.encode() in data for data in kept)
    assert onnxlet.Registry(url).erase([THEIRS]).old_versions == 0


def test_what_object_lock_holds_is_said_with_its_date(versioned: tuple[str, Any], tmp_path: Path) -> None:
    url, client = versioned
    bucket, until = url.split("/")[2], datetime.now(UTC) + timedelta(days=30)
    key = write(open_store(url), THEIRS, OTHER)
    named = {"Bucket": bucket, "Key": f"some/prefix/{key}"}
    client.put_object_retention(**named, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    (tmp_path / "ids.csv").write_text(f"request_id,why\n{THEIRS},asked\n")
    code, shown, said = run(url, "capture", "erase", "--request-id", str(tmp_path / "ids.csv"))
    assert code == 1
    assert "rows" in shown
    assert f"Object Lock holds it until {until.date().isoformat()}" in said
    assert [row["id"] for row in captured(open_store(url), "diagnosis")] == [OTHER]
    (record,) = read_erasures(open_store(url))
    assert not record.complete


def test_files_without_ids_are_refused(tmp_path: Path, directory_url: str) -> None:
    (tmp_path / "ids.txt").write_text("\n")
    (tmp_path / "ids.csv").write_text("visit\n1\n")
    for name, expected in (("ids.txt", "no request id is given"), ("ids.csv", "has no column 'request_id'")):
        code, _, said = run(directory_url, "capture", "erase", "--request-id", str(tmp_path / name))
        assert code == 1
        assert expected in said
    with pytest.raises(InvalidInputError, match="not one text"):
        onnxlet.Registry(directory_url).erase(THEIRS)
