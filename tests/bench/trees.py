"""Row 18: trees explained, against shap; both in one process, one thread."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from row import Row
from stage import REPOSITORY

PYTHON = REPOSITORY / ".venv-boosting" / "bin" / "python"
PROBE = Path(__file__).parent / "probes" / "trees.py"
BUDGETS = {
    "forest": {"by path, 1 rows": 1.3, "by path, 1000 rows": 2.0, "against 100 rows, 1 rows": 1.7},
    "boosted": {"by path, 1 rows": 1.3, "by path, 1000 rows": 0.8, "against 100 rows, 1 rows": 5.0},
    "leaf-wise": {"by path, 1 rows": 0.7, "by path, 1000 rows": 1.0},
    "a fresh process": {"first, 1 rows": 5.0},
}


def tree_rows() -> list[Row]:
    """Row 18."""
    with tempfile.TemporaryDirectory(prefix="onnxlet-trees-") as folder:
        done = subprocess.run([PYTHON, PROBE, folder], check=True, capture_output=True)
    measured = json.loads(done.stdout)
    return [
        Row(
            18,
            f"explain {model}, {what}: shap's time / ours",
            seconds["shap"] / seconds["ours"],
            budget,
            "ratio",
            at_least=True,
            parts={f"{who} ms": 1000 * value for who, value in seconds.items()},
        )
        for model, found in measured.items()
        for what, budget in BUDGETS[model.partition(",")[0]].items()
        for seconds in [found[what]]
    ]
