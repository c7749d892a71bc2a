"""What was captured, read from the store without the package's own readers."""

from __future__ import annotations

import gzip
import json
from typing import Any

from onnxlet.store import Store


def captures(store: Store, model: str) -> list[bytes]:
    """The decompressed objects of a model, in the order of their keys."""
    return [gzip.decompress(store.get(entry.key).data) for entry in store.list(f"capture/{model}/")]


def captured(store: Store, model: str) -> list[dict[str, Any]]:
    """The captured rows of a model."""
    return [json.loads(line) for lines in captures(store, model) for line in lines.splitlines()]
