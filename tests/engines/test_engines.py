"""The page of engines, run as it is written: rows in an engine get the answers that a scored file has, bit for bit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models import tiny
from onnxlet.batch.local_files import score_path
from onnxlet.lifecycle.workspace import Workspace
from onnxlet.store import open_store
from onnxlet.values.refs import parse_ref

ROOT = Path(__file__).parents[2]
COUNT = 20_000
BAD = 12_345


def blocks() -> dict[str, str]:
    page = (ROOT / "docs" / "engines.md").read_text()
    return dict(re.findall(r"^## (.*?)\n.*?^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, rows in several row groups, one of them bad, and those rows scored as a file."""
    folder = tmp_path_factory.mktemp("engines")
    tiny.publish(open_store((folder / "store").as_uri()), "diagnosis", tiny.classifier_package(folder / "model"))
    rng = np.random.default_rng(0)
    texture = rng.normal(size=COUNT)
    texture[BAD] = 1e39
    ids = [f"p{place}" for place in range(COUNT)]
    rows = pa.table({"id": ids, "radius": rng.normal(size=COUNT).astype(np.float32), "texture": texture})
    pq.write_table(rows, folder / "rows.parquet", row_group_size=3000)
    predictor = Workspace((folder / "store").as_uri()).make_predictor()
    score_path(predictor, parse_ref("diagnosis"), folder / "rows.parquet", folder / "filed.parquet")
    return folder


@pytest.mark.parametrize("engine", blocks())
def test_the_engine_answers_as_a_scored_file_does(folder: Path, tmp_path: Path, engine: str) -> None:
    (tmp_path / "rows.parquet").symlink_to(folder / "rows.parquet")
    (tmp_path / "page.py").write_text(blocks()[engine])
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ONNXLET_STORE": (folder / "store").as_uri(),
        "ONNXLET_CACHE_DIR": str(tmp_path / "cache"),
        "PYSPARK_PYTHON": sys.executable,
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
    }
    command = [sys.executable, "page.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr
    scored = pq.read_table(tmp_path / "scored.parquet").sort_by("id")
    filed = pq.read_table(folder / "filed.parquet").sort_by("id")
    assert scored.num_rows == COUNT
    errors = {row["id"]: row["error"] for row in scored.select(["id", "error"]).to_pylist() if row["error"] is not None}
    assert errors == {f"p{BAD}": "column 'texture': out of range for FP32"}
    good = scored.filter(pa.compute.is_null(scored["error"]))
    for name in set(filed.column_names) - {"row"}:
        assert good[name].to_pylist() == filed[name].to_pylist(), name
