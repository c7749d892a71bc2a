"""The real TensorBoard, in a real browser, on what `onnxlet tensorboard --serve` wrote."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from command_line import ONNXLET, environment
from monitor import watched_models
from onnxlet.store import open_store

PATIENCE = 60


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where TensorBoard answers, with every run loaded."""
    folder = tmp_path_factory.mktemp("tensorboard")
    store = open_store((folder / "store").as_uri())
    watched_models.drift(store, watched_models.publish(store, folder))
    command = [*ONNXLET, "tensorboard", "--serve", "--port", "0", "--logdir", str(folder / "logs")]
    log = folder / "log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            command, env=environment(store.url, folder), stdout=file, stderr=file, start_new_session=True
        )
    try:
        address = wait_for_address(server, log)
        wait_for_runs(address)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=PATIENCE)


def wait_for_address(server: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while (found := re.search(r"http://[^\s/]+", log.read_text())) is None:
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
    return found.group(0)


def wait_for_runs(url: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while b"diagnosis/2" not in urllib.request.urlopen(f"{url}/data/runs").read():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1600, "height": 1200}) as context:
        yield context.new_page()


SHOWN = {
    "scalars": ["contract", "columns that alarm"],
    "histograms": ["columns/radius"],
    "images": ["Drift/PSI by day"],
    "text": ["moves/production", "report"],
    "hparams": ["optimization", "megabytes"],
}
"""Words that each plugin's page has."""


@pytest.mark.parametrize("plugin", SHOWN)
def test_the_page_of_each_plugin_shows_what_was_written(url: str, page: Page, plugin: str) -> None:
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{url}/#{plugin}")
    for words in SHOWN[plugin]:
        expect(page.get_by_text(words.split("/")[-1]).first).to_be_visible(timeout=1000 * PATIENCE)
    assert complaints == []
