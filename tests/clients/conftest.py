"""Clients that others wrote ask a real server. Each runs in an environment of its own, which has nothing of ours."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from doors import Shop
from onnxlet.store import open_store
from pictures import publish_films

PROGRAM = """
import sys
from onnxlet.local import serve
from onnxlet.settings import Settings
serve(Settings(store=sys.argv[1], cache_dir=sys.argv[2]), port=0, on_ready=lambda url: print(url, flush=True))
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of a classifier, `diagnosis`, and of echoes, `integers` and `words`, and of `films`."""
    folder = tmp_path_factory.mktemp("clients")
    store = (folder / "store").as_uri()
    shop = Shop(open_store(store), folder / "shop")
    shop.publish_diagnosis()
    shop.publish_echo("integers", "INT64", -1)
    shop.publish_echo("words", "BYTES", -1, 2)
    publish_films(shop)
    command = [sys.executable, "-c", PROGRAM, store, str(folder / "cache")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()
