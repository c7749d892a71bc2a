"""Baselines and sketches that earlier onnxlets wrote belong together for ever, whatever fields are added to either."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from onnxlet.errors import InvalidInputError
from onnxlet.monitor.baseline import Baseline, decode_baseline, draw_baseline
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.sketch import Sketch, decode_sketch
from onnxlet.monitor.windows import compact
from onnxlet.store import Store
from onnxlet.values.keys import drawn_baseline_key

STORED = Path(__file__).parents[1] / "stored" / "monitoring"
DAY = "2026-11-29"
ROWS = 60


class LaterBaseline(Baseline, frozen=True):
    """A baseline as a later onnxlet may have it."""

    drawn_on: str = ""
    slices: dict[str, Baseline] = {}  # noqa: RUF012 - msgspec copies it


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("shape", ["first", "sliced"])
def test_what_was_counted_in_the_bins_of_an_old_baseline_is_compared_with_it(store: Store, shape: str) -> None:
    store.put(drawn_baseline_key("m", 1), (STORED / shape / "baseline.json").read_bytes())
    store.put(f"sketches/live/m/1/{DAY}/env-000000.json", (STORED / shape / "sketch.json").read_bytes())
    for _ in ("as it was written", "merged"):
        (counted,) = Scope(store, "m", [1]).counted(1)
        assert (counted.sketch.rows, counted.elsewhere) == (ROWS, 0)
        assert sum(each.rows for each in counted.sketch.slices.values()) == (ROWS if shape == "sliced" else 0)
        compact(store, "m", 1, DAY)


@pytest.mark.parametrize("shape", ["first", "sliced"])
def test_a_field_that_is_added_later_leaves_a_baselines_digest_as_it_was(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = (STORED / shape / "baseline.json").read_bytes()
    monkeypatch.setattr("onnxlet.monitor.baseline.Baseline", LaterBaseline)
    later = decode_baseline(document)
    assert isinstance(later, LaterBaseline)
    assert later.encode() != document
    assert later.pinned == sha256(document)
    sketch = Sketch(later)
    sketch.add(decode_sketch((STORED / shape / "sketch.json").read_bytes()))
    assert sketch.rows == ROWS


def test_a_baseline_with_fields_that_only_a_later_onnxlet_knows_keeps_its_digest() -> None:
    drawn = draw_baseline({"age": np.arange(200.0)})
    later = LaterBaseline(drawn.rows, drawn.columns, drawn_on=DAY)
    read = decode_baseline(later.encode())
    assert read.pinned == later.pinned == sha256(later.encode())
    assert read.encode() == drawn.encode() != later.encode()


def test_a_changed_baseline_is_another_one() -> None:
    read = decode_baseline((STORED / "sliced" / "baseline.json").read_bytes())
    changed = msgspec.structs.replace(read, rows=read.rows + 1)
    assert changed.pinned == sha256(changed.encode()) != read.pinned
    with pytest.raises(InvalidInputError, match="compare it with its own baseline"):
        Sketch(changed).add(decode_sketch((STORED / "sliced" / "sketch.json").read_bytes()))
