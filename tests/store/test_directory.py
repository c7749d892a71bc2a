"""The directory store: many processes, killed at any moment, share one directory."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from onnxlet.errors import InvalidNameError, ObjectNotFoundError, StoreUnavailableError
from onnxlet.store import files, open_store
from onnxlet.store.directory_writer import ABANDONED_SECONDS

COUNT = """
import sys
from onnxlet.errors import PreconditionFailedError
from onnxlet.store import open_store

store = open_store(sys.argv[1])
for _ in range(50):
    while True:
        blob = store.get("counter")
        try:
            store.swap("counter", str(int(blob.data) + 1).encode(), blob.etag)
            break
        except PreconditionFailedError:
            pass
"""

DIE_WRITING = """
import os, random, signal, sys, time
from onnxlet.store import open_store

for _ in range(100):
    writer = os.fork()
    if not writer:
        store = open_store(sys.argv[1])
        while True:
            for letter in b"abc":
                store.put("models/a", bytes([letter]) * 100_000)
            store.delete("models/a")
            store.create("models/a", b"d" * 100_000)
    time.sleep(random.uniform(0.001, 0.03))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    entries = list(open_store(sys.argv[1]).list(""))
    assert [entry.key for entry in entries] in ([], ["models/a"]), entries
    if entries:
        data = open_store(sys.argv[1]).get("models/a").data
        assert len(data) == 100_000 and len(set(data)) == 1, (len(data), set(data))
"""

WRITE_MORE_THAN_FITS = """
import resource, sys
from onnxlet.errors import StoreUnavailableError
from onnxlet.store import open_store

store = open_store(sys.argv[1])
etag = store.put("models/a", b"old")
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
for write in (store.put, lambda key, data: store.swap(key, data, etag)):
    try:
        write("models/a", bytes(1001))
    except StoreUnavailableError as error:
        assert isinstance(error.__cause__, OSError)
        assert error.detail.endswith("file too large"), error.detail
    else:
        raise AssertionError
assert store.get("models/a").data == b"old"
"""


def _start(script: str, url: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", script, url])


def _directory(url: str) -> Path:
    return Path(url.removeprefix("file://"))


def test_processes_that_count_by_swapping_lose_nothing(directory_url: str) -> None:
    store = open_store(directory_url)
    store.create("counter", b"0")
    processes = [_start(COUNT, directory_url) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert store.get("counter").data == b"200"


def test_killing_a_writer_leaves_the_old_object_or_the_new_one(directory_url: str) -> None:
    assert _start(DIE_WRITING, directory_url).wait(120) == 0
    store = open_store(directory_url)
    store.put("models/a", b"after")
    assert store.get("models/a").data == b"after"


def test_a_full_disk_makes_the_store_unavailable_and_loses_nothing(directory_url: str) -> None:
    assert _start(WRITE_MORE_THAN_FITS, directory_url).wait(60) == 0
    assert not list(_directory(directory_url).glob(".onnxlet/writes/*"))


def test_what_killed_writers_left_is_swept_out_after_an_hour(directory_url: str) -> None:
    open_store(directory_url).put("a", b"data")
    writes = _directory(directory_url) / ".onnxlet/writes"
    long_ago = time.time() - ABANDONED_SECONDS - 10
    for name, changed in (("dead", long_ago), ("alive", time.time())):
        (writes / name).write_bytes(b"half")
        os.utime(writes / name, (changed, changed))
    store = open_store(directory_url)
    assert [entry.key for entry in store.list("")] == ["a"]
    store.put("b", b"data")
    assert [file.name for file in writes.iterdir()] == ["alive"]


def test_a_reader_never_sees_a_torn_object(directory_url: str) -> None:
    store = open_store(directory_url)
    contents = [letter * 300_000 for letter in (b"a", b"b")]
    store.put("models/a", contents[0])
    done = threading.Event()

    def write() -> None:
        for number in range(60):
            store.put("models/a", contents[number % 2])
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        assert store.get("models/a").data in contents
        assert bytes(store.get_range("models/a", 0, 300_000)) in contents
    writer.join()


def test_writers_and_deleters_of_one_folder_do_not_disturb_each_other(directory_url: str) -> None:
    def work(name: str) -> None:
        store = open_store(directory_url)
        for _ in range(60):
            store.create(f"history/x/{name}", b"data")
            store.delete(f"history/x/{name}")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, "abcd"))
    assert list(open_store(directory_url).list("history/")) == []


def test_a_folder_that_others_make_and_remove_is_never_taken_for_a_file(tmp_path: Path) -> None:
    def work(_: int) -> None:
        for _ in range(300):
            with contextlib.suppress(FileNotFoundError):
                files.make_folders(tmp_path / "folder")
            files.remove_empty_folders(tmp_path / "folder", tmp_path)

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))


def test_what_is_replaced_behind_a_link_leaves_the_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for target in ("there", "missing"):
        (tmp_path / target).symlink_to(tmp_path / "folder" / target)
    (tmp_path / "folder" / "there").write_bytes(b"old")

    for target in ("there", "missing"):
        files.replace_whole(tmp_path / target, b"new")
        assert (tmp_path / target).is_symlink()
        assert (tmp_path / "folder" / target).read_bytes() == b"new"


def test_what_is_written_to_a_pipe_without_a_name_goes_through_it() -> None:
    reader, writer = os.pipe()
    files.replace_whole(Path(f"/dev/fd/{writer}"), b"data")
    os.close(writer)
    with os.fdopen(reader, "rb") as source:
        assert source.read() == b"data"


def test_what_is_written_to_a_pipe_goes_through_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        files.replace_whole(pipe, b"data")
        assert os.read(reader, 10) == b"data"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert [file.name for file in tmp_path.iterdir()] == ["pipe"]


def test_objects_are_plain_files_named_by_their_keys(directory_url: str) -> None:
    open_store(directory_url).put("models/diagnosis/1/model.onnx", b"data")
    assert (_directory(directory_url) / "models/diagnosis/1/model.onnx").read_bytes() == b"data"


def test_equal_content_has_an_equal_etag_so_a_swap_may_miss_that_it_was_changed_and_changed_back(
    directory_url: str,
) -> None:
    store = open_store(directory_url)
    first = store.put("a", b"one")
    store.put("a", b"two")
    store.put("a", b"one")
    store.swap("a", b"three", first)
    assert store.get("a").data == b"three"


def test_deleting_the_last_object_of_a_folder_removes_the_folder(directory_url: str) -> None:
    store = open_store(directory_url)
    store.put("models/a/1/model.onnx", b"data")
    store.put("models/b", b"data")
    store.delete("models/a/1/model.onnx")
    assert [path.name for path in (_directory(directory_url) / "models").iterdir()] == ["b"]
    store.put("models/a", b"data")


def test_a_key_that_is_the_folder_of_another_is_refused(directory_url: str) -> None:
    store = open_store(directory_url)
    store.put("a/b", b"data")
    for key in ("a", "a/b/c", "a/b/c/d"):
        for write in (store.put, store.create):
            with pytest.raises(InvalidNameError, match="folder of another"):
                write(key, b"data")
        store.delete(key)
    assert [entry.key for entry in store.list("")] == ["a/b"]


def test_files_that_cannot_be_objects_are_not_listed(directory_url: str) -> None:
    store = open_store(directory_url)
    store.put("a/b", b"data")
    (_directory(directory_url) / "a" / "back\\slash").write_bytes(b"")
    (_directory(directory_url) / "a" / os.fsdecode(b"not-utf8-\xff")).write_bytes(b"")
    assert [entry.key for entry in store.list("")] == ["a/b"]


def test_a_directory_that_does_not_exist_is_an_empty_store_and_reading_does_not_make_it(directory_url: str) -> None:
    store = open_store(directory_url)
    assert list(store.list("")) == []
    with pytest.raises(ObjectNotFoundError):
        store.get("a")
    store.delete("a")
    assert not _directory(directory_url).exists()


def test_a_directory_that_is_removed_meanwhile_is_made_again(directory_url: str, tmp_path: Path) -> None:
    store = open_store(directory_url)
    store.put("a", b"data")
    _directory(directory_url).rename(tmp_path / "elsewhere")
    store.put("a", b"data")
    assert [entry.key for entry in store.list("")] == ["a"]


def test_a_file_in_place_of_the_directory_makes_the_store_unavailable(directory_url: str) -> None:
    _directory(directory_url).write_bytes(b"")
    store = open_store(directory_url)
    for use in (
        lambda: store.get("a"),
        lambda: store.put("a", b"data"),
        lambda: store.create("a", b"data"),
        lambda: store.swap("a", b"data", "etag"),
        lambda: store.delete("a"),
        lambda: list(store.list("")),
    ):
        with pytest.raises(StoreUnavailableError, match="is not a directory"):
            use()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_missing_permissions_make_the_store_unavailable(directory_url: str) -> None:
    store = open_store(directory_url)
    store.put("models/a", b"data")
    (_directory(directory_url) / "models").chmod(0)
    try:
        for use in (lambda: store.get("models/a"), lambda: store.put("models/a", b""), lambda: list(store.list(""))):
            with pytest.raises(StoreUnavailableError, match="permission denied"):
                use()
    finally:
        (_directory(directory_url) / "models").chmod(0o700)


def test_urls_may_be_percent_encoded_and_end_in_a_slash(tmp_path: Path) -> None:
    folder = tmp_path / "with space ü"
    open_store(folder.as_uri()).put("a", b"data")
    assert (folder / "a").read_bytes() == b"data"
    for url in (folder.as_uri() + "/", f"file://{folder}", f"file://{folder}/"):
        assert open_store(url).get("a").data == b"data"
