"""Live models, published step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.verify import verify


def publish(url: str, folder: Path, name: str, model: Any, *, promote: bool = True, **options: Any) -> int:  # noqa: ANN401
    """Convert, verify and publish a model; its version's number."""
    convert(model, folder / "model", **options)
    if "data" in options:
        verify(folder / "model", data=options["data"], target=options.get("target"))
    registry = Registry(open_store(url), who="tests")
    version = registry.publish(name, *prepare(folder / "model", folder / "prepared")).version
    if promote:
        registry.promote(name, version)
    return version
