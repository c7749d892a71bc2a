"""What tests of scored files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from deliveries import publish
from onnxlet.store import Store, open_store


@pytest.fixture(params=["memory", "directory", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A store of each kind with a model `m` in production."""
    names = {"directory": "directory_url", "s3": "s3_store_url"}
    store: Store = (
        request.getfixturevalue("store")
        if request.param == "memory"
        else open_store(request.getfixturevalue(names[request.param]))
    )
    publish(store, tmp_path)
    return store
