"""One contract over the three stores: what holds for one holds for all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxlet.errors import InvalidInputError, InvalidNameError, ObjectNotFoundError, PreconditionFailedError
from onnxlet.store import Blob, Head, Store, open_store

ODD_KEYS = [
    "a",
    "models/diagnosis/1/model.onnx.data",
    "batch/in/diagnosis@production/a b.csv",
    "batch/in/diagnosis:7/100%.csv",
    "percent/%41%2F%00",
    "signs/+&=?#;,!$'()*[]{}|^`~\"<>",
    "dots/..hidden/...",
    ".hidden",
    "trailing./dot.",
    "-/_",
    "unicode/Übersicht/胸部X線 🫁",
    " leading and trailing ",
    "x" * 255,
    "/".join(["deep"] * 100),
]
ILLEGAL_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "a/.",
    "../../etc/passwd",
    "a\\b",
    "nul\0",
    "line\nbreak",
    "delete\x7f",
    "next\x85line",
    "half\ud800",
    "x" * 256,
    "ü" * 128,
    "/".join(["ab"] * 400),
    ".onnxlet",
    ".onnxlet/locks/00",
]
BAD_URLS = [
    "",
    "directory",
    "/directory",
    "memory://",
    "file://",
    "file:/directory",
    "file://relative",
    "file:///zero\0byte",
    "s3://",
    "s3://B",
    "s3://bucket\n",
    "s3://bucket//x",
    "s3://bucket/../x",
    "gs://bucket",
    "http://localhost/bucket",
]
METHODS: list[Callable[[Store, str], object]] = [
    lambda store, key: store.get(key),
    lambda store, key: store.get_if_changed(key, "etag"),
    lambda store, key: store.head(key),
    lambda store, key: store.get_range(key, 0, 1),
    lambda store, key: store.get_range(key, 0, 1, etag="etag"),
    lambda store, key: store.put(key, b"data"),
    lambda store, key: store.create(key, b"data"),
    lambda store, key: store.swap(key, b"data", "etag"),
    lambda store, key: store.delete(key),
    lambda store, key: store.delete(key, etag="etag"),
]


@pytest.fixture(params=["memory", "directory", "s3"])
def any_url(request: pytest.FixtureRequest, store: Store) -> str:
    """The URL of an empty store of each kind."""
    if request.param == "memory":
        return store.url
    url: str = request.getfixturevalue("directory_url" if request.param == "directory" else "s3_store_url")
    return url


@pytest.fixture
def any_store(any_url: str) -> Store:
    """An empty store of each kind."""
    return open_store(any_url)


def test_what_was_put_is_read_with_its_etag(any_store: Store) -> None:
    etag = any_store.put("models/a", b"\x00one\xff")
    assert any_store.get("models/a") == Blob(b"\x00one\xff", etag)
    assert type(any_store.get("models/a").data) is bytes


def test_putting_again_replaces_the_object_and_its_etag(any_store: Store) -> None:
    before = any_store.put("a", b"one")
    after = any_store.put("a", b"two!")
    assert any_store.get("a") == Blob(b"two!", after)
    assert before != after


def test_an_empty_object_is_one(any_store: Store) -> None:
    etag = any_store.create("a", b"")
    assert any_store.get("a") == Blob(b"", etag)
    assert bytes(any_store.get_range("a", 0, 10)) == b""
    assert [entry.size for entry in any_store.list("")] == [0]


@pytest.mark.parametrize("key", ["missing", "folder", "folder/object/below", "folder/other"])
def test_a_missing_object_is_not_found_by_any_way_of_reading(any_store: Store, key: str) -> None:
    any_store.put("folder/object", b"data")
    for read in (
        lambda: any_store.get(key),
        lambda: any_store.get_if_changed(key, "etag"),
        lambda: any_store.get_range(key, 0, 10),
        lambda: any_store.get_range(key, 0, 0),
        lambda: any_store.get_range(key, 5, 10),
        lambda: any_store.get_range(key, 5, 10, etag="etag"),
        lambda: any_store.head(key),
    ):
        with pytest.raises(ObjectNotFoundError, match=key) as caught:
            read()
        assert caught.value.context["key"] == key


def test_an_object_is_read_again_only_if_it_changed(any_store: Store) -> None:
    old = any_store.put("a", b"one")
    assert any_store.get_if_changed("a", old) is None
    new = any_store.put("a", b"two")
    assert any_store.get_if_changed("a", old) == Blob(b"two", new)
    assert any_store.get_if_changed("a", new) is None
    assert any_store.get_if_changed("a", "") == Blob(b"two", new)


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, 10, b"0123456789"),
        (0, 1, b"0"),
        (3, 4, b"3456"),
        (8, 100, b"89"),
        (9, 1, b"9"),
        (10, 1, b""),
        (99, 5, b""),
        (0, 0, b""),
        (5, 0, b""),
        (10, 0, b""),
    ],
)
def test_a_range_ends_with_the_object(any_store: Store, start: int, length: int, expected: bytes) -> None:
    any_store.put("a", b"0123456789")
    found = any_store.get_range("a", start, length)
    assert bytes(found) == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize(("start", "length"), [(-1, 5), (0, -1)])
def test_a_negative_range_is_refused(any_store: Store, start: int, length: int) -> None:
    any_store.put("a", b"0123456789")
    with pytest.raises(InvalidInputError, match="range"):
        any_store.get_range("a", start, length)


@pytest.mark.parametrize("content", [b"", b"x", b"0123456789" * 1000])
def test_a_head_tells_what_reading_would(any_store: Store, content: bytes) -> None:
    any_store.put("a", b"something else")
    etag = any_store.put("a", content)
    assert any_store.head("a") == Head(len(content), etag)
    assert any_store.head("a") == Head(len(content), any_store.get("a").etag)


@pytest.mark.parametrize("after", [b"9876543210", b"shorter", b""])
def test_ranges_of_an_object_that_was_overwritten_are_not_of_two(any_store: Store, after: bytes) -> None:
    etag = any_store.put("a", b"0123456789")
    assert bytes(any_store.get_range("a", 0, 4, etag=etag)) == b"0123"
    assert bytes(any_store.get_range("a", 8, 4, etag=etag)) == b"89"
    assert bytes(any_store.get_range("a", 10, 4, etag=etag)) == b""
    new = any_store.put("a", after)
    for start in (0, 4, 100):
        with pytest.raises(PreconditionFailedError, match=r"'a' in .* was overwritten while it was read"):
            any_store.get_range("a", start, 4, etag=etag)
    assert bytes(any_store.get_range("a", 0, 4, etag=new)) == after[:4]


def test_create_writes_only_what_is_not_there(any_store: Store) -> None:
    etag = any_store.create("a/b", b"one")
    with pytest.raises(PreconditionFailedError, match="'a/b' exists already"):
        any_store.create("a/b", b"two")
    assert any_store.get("a/b") == Blob(b"one", etag)
    any_store.delete("a/b")
    any_store.create("a/b", b"two")


def test_swap_replaces_only_the_object_that_was_read(any_store: Store) -> None:
    first = any_store.put("a", b"one")
    second = any_store.swap("a", b"two", first)
    assert any_store.get("a") == Blob(b"two", second)
    with pytest.raises(PreconditionFailedError, match="read it again"):
        any_store.swap("a", b"three", first)
    assert any_store.get("a").data == b"two"


def test_swap_does_not_bring_back_what_was_deleted(any_store: Store) -> None:
    etag = any_store.put("a", b"one")
    any_store.delete("a")
    with pytest.raises(PreconditionFailedError):
        any_store.swap("a", b"two", etag)
    assert list(any_store.list("")) == []


def test_deleting_what_is_not_there_is_no_error(any_store: Store) -> None:
    any_store.delete("a/b")
    any_store.put("a/b", b"one")
    any_store.delete("a/b")
    any_store.delete("a/b")
    assert list(any_store.list("")) == []


def test_a_conditional_delete_removes_only_the_object_that_was_read(any_store: Store) -> None:
    old = any_store.put("a", b"one")
    new = any_store.put("a", b"two")
    with pytest.raises(PreconditionFailedError, match="read it again"):
        any_store.delete("a", etag=old)
    assert any_store.get("a").data == b"two"
    any_store.delete("a", etag=new)
    with pytest.raises(PreconditionFailedError):
        any_store.delete("a", etag=new)
    with pytest.raises(ObjectNotFoundError):
        any_store.get("a")


@pytest.mark.parametrize("size", [0, 10, 2**20 - 1, 2**20, 9 * 2**20 + 1])
def test_files_are_written_under_the_same_conditions_as_bytes(any_store: Store, tmp_path: Path, size: int) -> None:
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    etag = any_store.create("created", file)
    with pytest.raises(PreconditionFailedError):
        any_store.create("created", file)
    assert any_store.get("created") == Blob(content, etag)
    swapped = any_store.swap("created", file, etag)
    assert any_store.get("created") == Blob(content, swapped)
    with pytest.raises(PreconditionFailedError):
        any_store.swap("created", file, "stale")
    any_store.put("put", b"something else")
    any_store.put("put", file)
    assert bytes(any_store.get_range("put", max(0, size - 5), 5)) == content[-5:]
    assert file.read_bytes() == content


def test_a_file_that_cannot_be_read_is_the_callers_fault_and_writes_nothing(any_store: Store, tmp_path: Path) -> None:
    for write in (any_store.put, any_store.create):
        with pytest.raises(InvalidInputError, match="cannot be read"):
            write("a", tmp_path / "missing")
        with pytest.raises(InvalidInputError, match="cannot be read"):
            write("a", tmp_path)
    assert list(any_store.list("")) == []


def test_listing_goes_by_the_order_of_keys_and_by_any_prefix(any_store: Store) -> None:
    keys = sorted(
        ["a-/x", "a/b", "a/b.json", "a/b-c/d", "a/bc/d/e", "a/c", "a0", "b/1/x", "b/10/x", "b/2/x", "é", "胸"]
    )
    for key in reversed(keys):
        any_store.put(key, b"data")
    for prefix in ["", "a", "a/", "a/b", "a/b/", "a/b-", "a/bc", "b/1", "b/1/", "zz", "c/d/", "é", "a/b.json", "a/b."]:
        assert [entry.key for entry in any_store.list(prefix)] == [key for key in keys if key.startswith(prefix)], (
            prefix
        )


def test_a_listing_tells_size_and_time(any_store: Store) -> None:
    any_store.put("a/b", b"12345")
    (entry,) = any_store.list("a/")
    assert (entry.key, entry.size) == ("a/b", 5)
    assert abs(entry.modified - time.time()) < 60


def test_an_empty_store_lists_nothing(any_store: Store) -> None:
    assert list(any_store.list("")) == []
    assert list(any_store.list("models/")) == []


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_but_legal_keys_are_keys_like_others(any_store: Store, key: str) -> None:
    etag = any_store.create(key, b"one")
    etag = any_store.swap(key, b"two", etag)
    assert any_store.get(key) == Blob(b"two", etag)
    assert bytes(any_store.get_range(key, 1, 1)) == b"w"
    assert [entry.key for entry in any_store.list("")] == [key]
    assert [entry.key for entry in any_store.list(key)] == [key]
    any_store.delete(key, etag=etag)
    assert list(any_store.list("")) == []


@pytest.mark.parametrize("key", ILLEGAL_KEYS, ids=ascii)
def test_illegal_keys_are_refused_by_every_method(any_store: Store, key: str) -> None:
    for method in METHODS:
        with pytest.raises(InvalidNameError):
            method(any_store, key)


@pytest.mark.parametrize(
    "prefix", ["/", "a//", "../", "a/../", "./a", "a\\", "nul\0", ".onnxlet/", "\ud800"], ids=ascii
)
def test_illegal_prefixes_are_refused(any_store: Store, prefix: str) -> None:
    with pytest.raises(InvalidNameError):
        any_store.list(prefix)


def test_two_openings_of_one_url_are_one_store(any_store: Store) -> None:
    etag = any_store.put("a", b"one")
    other = open_store(any_store.url)
    other.swap("a", b"two", etag)
    assert any_store.get("a").data == b"two"
    assert other.url == any_store.url


def test_threads_that_count_by_swapping_lose_nothing(any_store: Store) -> None:
    any_store.create("counter", b"0")

    def count(_: int) -> None:
        for _ in range(10):
            while True:
                blob = any_store.get("counter")
                with contextlib.suppress(PreconditionFailedError):
                    any_store.swap("counter", str(int(blob.data) + 1).encode(), blob.etag)
                    break

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(count, range(4)))
    assert any_store.get("counter").data == b"40"


def test_of_many_creators_of_a_key_one_wins(any_store: Store) -> None:
    def create(number: int) -> int | None:
        try:
            any_store.create("claim", str(number).encode())
        except PreconditionFailedError:
            return None
        return number

    with ThreadPoolExecutor(8) as threads:
        winners = [number for number in threads.map(create, range(16)) if number is not None]
    assert [any_store.get("claim").data] == [str(number).encode() for number in winners]


KEYS = st.sampled_from(["a", "b/c", "b/d", "b/e/f"])
DATA = st.binary(max_size=20)
STEPS = st.lists(st.tuples(st.sampled_from(["put", "create", "swap", "stale swap", "delete", "remove"]), KEYS, DATA))


@given(steps=STEPS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence_of_writes_leaves_what_a_dictionary_would_hold(
    any_store: Store, steps: list[tuple[str, str, bytes]]
) -> None:
    for entry in list(any_store.list("")):
        any_store.delete(entry.key)
    expected: dict[str, bytes] = {}
    for verb, key, data in steps:
        etag = any_store.get(key).etag if key in expected else "none"
        try:
            _write(any_store, verb, key, data, etag)
        except PreconditionFailedError:
            assert verb == "stale swap" or (verb == "create") == (key in expected)
            continue
        assert verb != "stale swap"
        expected.pop(key, None)
        if verb not in ("delete", "remove"):
            expected[key] = data
    assert {entry.key: any_store.get(entry.key).data for entry in any_store.list("")} == expected


def _write(store: Store, verb: str, key: str, data: bytes, etag: str) -> None:
    if verb == "put":
        store.put(key, data)
    elif verb == "create":
        store.create(key, data)
    elif verb == "swap":
        store.swap(key, data, etag)
    elif verb == "stale swap":
        store.swap(key, data, "stale")
    else:
        store.delete(key, etag=etag if verb == "remove" else None)


@given(data=st.binary(max_size=300), start=st.integers(0, 310), length=st.integers(0, 310))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_range_is_what_slicing_gives(any_store: Store, data: bytes, start: int, length: int) -> None:
    any_store.put("a", data)
    assert bytes(any_store.get_range("a", start, length)) == data[start : start + length]


@pytest.mark.parametrize("url", BAD_URLS, ids=ascii)
def test_urls_of_no_store_are_refused(url: str) -> None:
    with pytest.raises(InvalidInputError):
        open_store(url)
