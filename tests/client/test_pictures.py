"""Pictures from Python, here and over HTTP: one answer, whichever way they go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import onnxlet
from doors import Shop
from onnxlet.errors import InvalidInputError
from onnxlet.store import open_store
from pictures import BRIGHT, DARK, publish_films
from scripted import Server, serving


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a store, and two pictures."""
    publish_films(Shop(open_store((tmp_path / "store").as_uri()), tmp_path / "shop"))
    (tmp_path / "dark.jpg").write_bytes(DARK)
    (tmp_path / "bright.jpg").write_bytes(BRIGHT)
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    """A server of that store."""
    with serving((folder / "store").as_uri(), folder / "serving") as server:
        yield server


def test_a_loaded_version_and_a_client_take_bytes_and_files(folder: Path, server: Server) -> None:
    sent = [DARK, folder / "bright.jpg", str(folder / "dark.jpg")] * 7
    expected = [0, 1, 0] * 7

    version = onnxlet.load("films", store=folder / "store")

    assert version.predict(sent).tolist() == expected
    with onnxlet.connect(server.url) as client:
        answer = client.predict("films", sent)
        assert answer["label"].tolist() == ["dark", "bright", "dark"] * 7
        np.testing.assert_allclose(answer["probabilities"], version.predict_proba(sent), atol=1e-6)
        with pytest.raises(InvalidInputError, match="cannot read the picture 'nowhere'"):
            client.predict("films", ["nowhere"])
