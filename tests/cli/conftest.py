"""What tests of commands share: a fresh store, its registry, a model in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from command_line import Run
from models import tiny
from onnxlet.cli import cli
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store


@pytest.fixture
def run(directory_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a fresh directory store, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONNXLET_CACHE_DIR", str(tmp_path / "cache"))
    for variable in ("ONNXLET_STORE", "ONNXLET_ALIAS_TTL"):
        monkeypatch.delenv(variable, raising=False)
    return lambda *words, **options: CliRunner().invoke(cli, ["--store", directory_url, *words], **options)


@pytest.fixture
def registry(directory_url: str) -> Registry:
    """The registry of the same store."""
    return Registry(open_store(directory_url), who="tests")


@pytest.fixture
def diagnosis(registry: Registry, tmp_path: Path) -> str:
    """A model with two versions, the first of them in production."""
    tiny.publish(registry.store, "diagnosis", tiny.classifier_package(tmp_path / "one"))
    tiny.publish(registry.store, "diagnosis", tiny.classifier_package(tmp_path / "two", bias=50), alias=None)
    return "diagnosis"
