"""Pictures sent to the local server by clients that others wrote: requests, httpx and curl."""

from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests

from doors import Shop
from onnxlet.store import open_store
from pictures import BRIGHT, DARK, publish_films
from scripted import serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store of the model, and two pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    publish_films(Shop(open_store((folder / "store").as_uri()), folder / "shop"))
    (folder / "dark.jpg").write_bytes(DARK)
    (folder / "bright, it's.jpg").write_bytes(BRIGHT)
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with serving((folder / "store").as_uri(), folder / "serving") as server:
        yield server.url


def labels(answer: Any) -> list[str]:  # noqa: ANN401 - JSON
    return [each["label"] for each in answer["predictions"]]


def test_requests_sends_bodies_and_forms(url: str, folder: Path) -> None:
    predict = f"{url}/v1/models/films:predict"
    body = requests.post(predict, data=BRIGHT, headers={"Content-Type": "image/jpeg"}, timeout=60)
    assert labels(body.json()) == ["bright"]
    with (folder / "dark.jpg").open("rb") as dark, (folder / "bright, it's.jpg").open("rb") as bright:
        assert labels(requests.post(predict, files={"a": dark, "b": bright}, timeout=60).json()) == ["dark", "bright"]
    typed = [("image", ("ä.jpg", BRIGHT, "image/jpeg")), ("image", ("b", DARK, "image/jpeg"))]
    assert labels(requests.post(predict, files=typed, timeout=60).json()) == ["bright", "dark"]
    wrong = requests.post(predict, files={"a": ("a.png", DARK, "image/png")}, timeout=60)
    assert (wrong.status_code, wrong.json()["error"]) == (
        400,
        "part 0 of the form is said to be 'image/png', and is JPEG",
    )


def test_requests_sends_base64_in_both_protocols(url: str) -> None:
    encoded = [b64encode(each).decode() for each in (DARK, BRIGHT)]
    rows = {"instances": [{"b64": each} for each in encoded]}
    assert labels(requests.post(f"{url}/v1/models/films:predict", json=rows, timeout=60).json()) == ["dark", "bright"]
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [2], "data": encoded}
    for more in ({}, {"parameters": {"content_type": "base64"}}):
        answer = requests.post(f"{url}/v2/models/films/infer", json={"inputs": [tensor | more]}, timeout=60).json()
        assert next(each["data"] for each in answer["outputs"] if each["name"] == "label") == ["dark", "bright"]


def test_httpx_sends_a_form_in_chunks(url: str) -> None:
    answer = httpx2.post(f"{url}/v1/models/films:predict", files={"a": ("a.jpg", DARK), "b": ("b.jpg", BRIGHT)})
    assert labels(answer.json()) == ["dark", "bright"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-H", "Content-Type: image/jpeg", "--data-binary", "@dark.jpg"], ["dark"]),
        (["-F", "a=@dark.jpg", "-F", "b=@bright, it's.jpg"], ["dark", "bright"]),
        (["-F", "a=@dark.jpg;type=image/jpeg", "-H", "Expect: 100-continue"], ["dark"]),
        (["-H", "Transfer-Encoding: chunked", "-F", "a=@dark.jpg"], ["dark"]),
    ],
)
def test_curl_sends_bodies_and_forms(url: str, folder: Path, arguments: list[str], expected: list[str]) -> None:
    # a file's name with a comma is quoted, or curl takes it for two
    quoted = [each.replace("@bright, it's.jpg", '@"bright, it\'s.jpg"') for each in arguments]
    command = ["curl", "--silent", "--show-error", "--max-time", "60", *quoted, f"{url}/v1/models/films:predict"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout
    assert labels(json.loads(answer)) == expected
