"""The predict function's package: its code and layers, weighed where they were built, or as recorded once."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec

from onnxlet.toolchain.fit.limits import MACHINES, Architecture

RECORDED = Path(__file__).with_name("layers.json")
BUILD = Path(".aws-sam", "build")
PARTS = ("Predict", "CoreLayer", "EngineLayer")


class Weight(msgspec.Struct, frozen=True):
    """Bytes of the function with its layers, unzipped and zipped."""

    unzipped: int
    zipped: int


class Recorded(msgspec.Struct, frozen=True):
    """What the package's own layers weighed on a day, for who has not built them."""

    recorded: dt.date
    x86_64: Weight
    arm64: Weight

    def weight(self, architecture: Architecture) -> Weight:
        """Those of one architecture."""
        return self.x86_64 if architecture == "x86_64" else self.arm64


def recorded_weights() -> Recorded:
    """What was recorded."""
    return msgspec.json.decode(RECORDED.read_bytes(), type=Recorded)


def built_bytes(clone: Path, architecture: Architecture) -> dict[str, int] | None:
    """Unzipped bytes by part of what `make build` last left in a clone, None if that is not for this architecture."""
    parts = {name: clone / BUILD / name for name in PARTS}
    compiled = parts["EngineLayer"].glob(f"python/numpy/_core/*-{MACHINES[architecture]}-linux-gnu.so")
    ours = (parts["CoreLayer"] / "python" / "onnxlet").is_dir() and any(compiled)
    return {name: _bytes(folder) for name, folder in parts.items()} if ours else None


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
