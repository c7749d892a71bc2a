"""Chromium, as the tests of this folder drive it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

EVIL = "evil.example"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, to which every name is this machine and no other address can be had."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "no Chromium on PATH: install it (Debian: apt-get install chromium), or name it in CHROMIUM"
    resolver = f"--host-resolver-rules=MAP {EVIL} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", resolver])
        yield browser
        browser.close()
