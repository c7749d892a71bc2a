"""What tests of frameworks are given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frameworks.shipping import Data, Shipped, ship
from onnxlet.store import Store

Ship = Callable[..., Shipped]


@pytest.fixture
def shipping(store: Store, tmp_path: Path) -> Ship:
    """Converts a model file with data, publishes it, and serves it."""

    def run(source: Path, data: Data | Path | None = None, **options: Any) -> Shipped:
        return ship(source, data, store, tmp_path, **options)

    return run
