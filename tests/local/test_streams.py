"""Streams, sent by a real server: chunk by chunk, while others are answered, and cut where they fail."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from doors import Shop
from onnxlet.store import open_store

TIMEOUT = 20
PROGRAM = """
import sys
from onnxlet.dataplane.protocols import PROTOCOLS, ProtocolEntry
from onnxlet.local import serve
from onnxlet.settings import Settings
PROTOCOLS.append(ProtocolEntry("plain_text", ("/text/",)))
serve(Settings(store=sys.argv[1], cache_dir=sys.argv[2]), port=0, on_ready=lambda url: print(url, flush=True))
"""


@pytest.fixture
def server(directory_url: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A server's URL, and the file of what it says."""
    Shop(open_store(directory_url), tmp_path / "shop").publish_echo("echo", "FP32", -1)
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", PROGRAM, directory_url, str(tmp_path / "cache")]
    log = tmp_path / "server.log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=output, text=True) as process,
    ):
        assert process.stdout
        yield process.stdout.readline().strip(), log
        process.terminate()
        assert process.wait(TIMEOUT) is not None


def test_a_stream_arrives_chunk_by_chunk_and_holds_up_nobody(server: tuple[str, Path]) -> None:
    url = f"{server[0]}/text/echo?stream"
    with requests.post(url, data="1\nwait\n2", stream=True, timeout=TIMEOUT) as answer:
        chunks = answer.iter_content(None)
        assert next(chunks) == b"1.0\n"
        # were the event loop waiting for the next chunk, this would never be answered
        assert requests.get(f"{server[0]}/text/go", timeout=TIMEOUT).status_code == 204
        assert list(chunks) == [b"2.0\n"]
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert "Content-Length" not in answer.headers


def test_a_stream_that_fails_closes_the_connection_so_that_the_client_knows(server: tuple[str, Path]) -> None:
    url = f"{server[0]}/text/echo?stream"
    with requests.post(url, data="1\ncrash", stream=True, timeout=TIMEOUT) as answer:
        chunks = answer.iter_content(None)
        assert next(chunks) == b"1.0\n"
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            next(chunks)
    assert "nobody foresaw this" in server[1].read_text()
    assert requests.get(f"{server[0]}/v2/health/live", timeout=TIMEOUT).status_code == 200


def test_a_client_that_leaves_ends_the_stream(server: tuple[str, Path]) -> None:
    lines = "\n".join(["1"] * 200_000)
    with requests.post(f"{server[0]}/text/echo?stream", data=lines, stream=True, timeout=TIMEOUT) as answer:
        next(answer.iter_content(4))
    # the stream says so when it is closed; 200,000 predictions would take longer than anybody waits
    assert requests.get(f"{server[0]}/text/closed", timeout=TIMEOUT).status_code == 204
