"""Reference answers: kept beside a converted model, and read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.reference import (
    ONNX,
    REFERENCE,
    SOURCE,
    Reference,
    copy_references,
    read_reference,
    write_reference,
)


def test_reference_answers_read_back_as_they_were_kept(tmp_path: Path) -> None:
    texts = np.array(["a", "bc"], dtype=object)
    kept = Reference("sha256:1", {SOURCE: {"label": texts}, ONNX: {"y": np.eye(2)}}, {"image/1": np.ones((2, 3))})

    write_reference(tmp_path, kept)
    (tmp_path / "other").mkdir()
    copy_references(tmp_path, tmp_path / "other")
    read = read_reference(tmp_path / "other")

    assert read is not None
    assert read.data_digest == "sha256:1"
    assert read.stages[SOURCE]["label"].tolist() == ["a", "bc"]
    assert read.stages[SOURCE]["label"].dtype == object
    assert read.stages[ONNX]["y"].tolist() == np.eye(2).tolist()
    assert read.inputs["image/1"].shape == (2, 3)


def test_damaged_reference_answers_are_refused(tmp_path: Path) -> None:
    assert read_reference(tmp_path) is None
    for damage in (b"", b"PK no zip", b"\x80pickle"):
        (tmp_path / REFERENCE).write_bytes(damage)
        with pytest.raises(InvalidInputError, match="convert the model again"):
            read_reference(tmp_path)
