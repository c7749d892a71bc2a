"""Compressed files: what is read is what gzip and zstd themselves packed, and what is written they unpack."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from models import tiny
from onnxlet.batch.formats import compression
from onnxlet.batch.formats.compression import COMPRESSIONS, Compression, UnpackedSource
from onnxlet.batch.local_files import score_path
from onnxlet.batch.sources import BytesSource
from onnxlet.errors import InvalidInputError, MissingExtraError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.values.refs import parse_ref

PACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".zst": zstd.compress}
UNPACK: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".zst": zstd.decompress}
each = pytest.mark.parametrize("kind", COMPRESSIONS, ids=lambda kind: kind.name)


@each
@given(
    content=st.binary(max_size=200), ranges=st.lists(st.tuples(st.integers(0, 250), st.integers(0, 250)), max_size=5)
)
def test_any_range_of_a_compressed_source_is_that_of_its_content(
    kind: Compression, content: bytes, ranges: list[tuple[int, int]]
) -> None:
    source = UnpackedSource(BytesSource(PACK[kind.suffix](content)), kind)
    for start, length in ranges:
        assert source.read(start, length) == content[start : start + length]
    assert source.size == len(content)


@each
@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=5))
def test_parts_that_are_compressed_alone_make_one_file_and_equal_bytes_equal_files(
    kind: Compression, parts: list[bytes]
) -> None:
    files = [b"".join(map(kind.compress, parts)) for _ in range(2)]
    assert files[0] == files[1]
    assert UNPACK[kind.suffix](files[0]) == b"".join(parts)


@each
def test_a_compressed_source_goes_back_a_little_without_beginning_anew(
    kind: Compression, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compression, "KEPT_BYTES", 100)
    content = bytes(range(256)) * 100
    source = UnpackedSource(BytesSource(PACK[kind.suffix](content)), kind)
    for start, length in ((0, 1000), (950, 1000), (1900, 10), (1900, 80), (1850, 300)):
        assert source.read(start, length) == content[start : start + length]


@each
@pytest.mark.parametrize("damage", ["none of it", "cut short", "another byte"])
def test_what_is_broken_is_the_files_fault(kind: Compression, damage: str) -> None:
    packed = PACK[kind.suffix](b"rows and rows" * 1000)
    data = {"none of it": b"no such thing at all", "cut short": packed[:-5], "another byte": b"\0" * 4 + packed[4:]}
    with pytest.raises(InvalidInputError, match=f"the file's {kind.name} compression is broken"):
        UnpackedSource(BytesSource(data[damage]), kind).read(0, 20_000)


@each
def test_a_file_that_holds_too_much_is_refused(kind: Compression, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "MOST_BYTES", 2**20)
    source = UnpackedSource(BytesSource(PACK[kind.suffix](b"0" * (2**20 + 1))), kind)
    with pytest.raises(InvalidInputError, match=r"holds more than 0\.\d+ GiB: unpack it"):
        source.read(0, 2**21)


def test_without_its_library_zstd_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(name)

    monkeypatch.setattr(compression, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"pip install 'onnxlet\[zstd\]'"):
        UnpackedSource(BytesSource(b""), COMPRESSIONS[1])


@each
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_compressed_file_is_scored_as_what_it_holds(
    kind: Compression, name: str, store: Store, tmp_path: Path
) -> None:
    tiny.publish(store, "m", tiny.classifier_package(tmp_path / "model"))
    predictor = Predictor(store, Settings(store=store.url, cache_dir=str(tmp_path / "cache")))
    text = "radius,texture\n" + "1,2\nx,3\n" * 500 if name.endswith("csv") else '{"radius":1,"texture":2}\n' * 500
    (tmp_path / name).write_text(text)
    packed = tmp_path / (name + kind.suffix)
    tool = shutil.which(kind.name)
    if tool:
        subprocess.run([tool, "-k", "-q", tmp_path / name], check=True)
    else:
        packed.write_bytes(PACK[kind.suffix](text.encode()))
    plain_out, packed_out = tmp_path / f"out-{name}", tmp_path / f"out-{name}{kind.suffix}"
    plain = score_path(predictor, parse_ref("m"), tmp_path / name, plain_out)
    compressed = score_path(predictor, parse_ref("m"), packed, packed_out, workers=4)
    assert compressed.rows == plain.rows
    written = packed_out.read_bytes()
    if tool:
        written = subprocess.run([tool, "-dc", packed_out], check=True, capture_output=True).stdout
    else:
        written = UNPACK[kind.suffix](written)
    assert written == plain_out.read_bytes()
