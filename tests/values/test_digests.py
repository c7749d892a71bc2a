"""Digests: the same, however the bytes come."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onnxlet.values.digests import digest, file_digest, parts_digest


def test_a_digest_is_the_sha256_of_the_bytes() -> None:
    assert digest(b"abc") == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=50), max_size=5))
def test_bytes_have_one_digest_in_memory_in_a_file_and_in_parts(tmp_path: Path, parts: list[bytes]) -> None:
    whole = b"".join(parts)
    path = tmp_path / "file"
    path.write_bytes(whole)
    assert digest(whole) == file_digest(path) == parts_digest(parts) == parts_digest(map(memoryview, parts))


def test_a_file_that_is_not_there_has_no_digest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_digest(tmp_path / "nothing")
