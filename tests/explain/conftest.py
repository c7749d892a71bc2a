"""A store of versions to explain."""

from __future__ import annotations

from pathlib import Path

import pytest

from laboratory import Laboratory
from onnxlet.store import Store


@pytest.fixture
def laboratory(store: Store, tmp_path: Path) -> Laboratory:
    """An empty one."""
    return Laboratory(store, tmp_path)
