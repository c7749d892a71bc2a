"""`sam local start-api` with the media layer: pictures as bodies and in forms, asked by curl."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from doors import Shop
from e2e.stage import SAM, Stage, free_port, running, wait_for
from onnxlet.store import open_store
from pictures import BRIGHT, DARK, publish_films

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def films(bare_stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model `films`, published to the bucket, and a folder with a dark and a bright picture."""
    folder = tmp_path_factory.mktemp("films")
    publish_films(Shop(open_store((folder / "store").as_uri()), folder / "shop"))
    for path in (folder / "store").rglob("*"):
        if path.is_file():
            bare_stage.put(path.relative_to(folder / "store").as_posix(), path.read_bytes())
    (folder / "dark.jpg").write_bytes(DARK)
    (folder / "bright.jpg").write_bytes(BRIGHT)
    return folder


@pytest.fixture(scope="module")
def url(bare_stage: Stage, films: Path) -> Iterator[str]:
    port = free_port(HOST)
    log = films / "start-api.log"
    command = [str(SAM), "local", "start-api", "--template", str(bare_stage.write_template()), "--skip-pull-image"]
    command += ["--no-watch", "--warm-containers", "LAZY", "--host", HOST, "--port", str(port)]
    with running([*command, "--parameter-overrides", "Media=true"], bare_stage.environ, log) as server:
        wait_for(HOST, port, server, log, seconds=60)
        yield f"http://{HOST}:{port}/v1/models/films:predict"


def _labels(url: str, *arguments: str) -> list[str]:
    command = ["curl", "--silent", "--show-error", "--max-time", "120", *arguments, url]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "predictions" in answer, answer
    return [each["label"] for each in json.loads(answer)["predictions"]]


def test_a_jpeg_is_a_body(url: str, films: Path) -> None:
    header = ("--header", "Content-Type: image/jpeg")
    assert _labels(url, *header, "--data-binary", f"@{films / 'bright.jpg'}") == ["bright"]
    assert _labels(url, *header, "--data-binary", f"@{films / 'dark.jpg'}") == ["dark"]


def test_a_form_holds_several(url: str, films: Path) -> None:
    files = ("--form", f"a=@{films / 'dark.jpg'}", "--form", f"b=@{films / 'bright.jpg'}")
    assert _labels(url, *files) == ["dark", "bright"]
