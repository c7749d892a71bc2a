"""Baselines and sketches that earlier onnxlets wrote belong together for ever, whatever fields are added to either."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest

from onnxlet.errors import InvalidInputError
from onnxlet.monitor.alarms.events import AlarmEvent
from onnxlet.monitor.baseline import Baseline, decode_baseline, draw_baseline
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.sketch import Sketch, decode_sketch
from onnxlet.monitor.watch.run import Watch
from onnxlet.monitor.windows import compact, part_key, write_part
from onnxlet.steps import Classification
from onnxlet.store import Store
from onnxlet.values.keys import drawn_baseline_key

STORED = Path(__file__).parents[1] / "stored" / "monitoring"
DAY = "2026-11-29"
ROWS = 60


class Nobody:
    """Takes no event."""

    def announce(self, events: Sequence[AlarmEvent]) -> Sequence[AlarmEvent]:
        return events


class LaterBaseline(Baseline, frozen=True):
    """A baseline as a later onnxlet may have it."""

    drawn_on: str = ""
    slices: dict[str, Baseline] = {}  # noqa: RUF012 - msgspec copies it


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


SHAPES = ("first", "sliced", "scored")


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_counted_in_the_bins_of_an_old_baseline_is_compared_with_it(store: Store, shape: str) -> None:
    store.put(drawn_baseline_key("m", 1), (STORED / shape / "baseline.json").read_bytes())
    store.put(f"sketches/live/m/1/{DAY}/env-000000.json", (STORED / shape / "sketch.json").read_bytes())
    for _ in ("as it was written", "merged"):
        (counted,) = Scope(store, "m", [1]).counted(1)
        assert (counted.sketch.rows, counted.elsewhere) == (ROWS, 0)
        assert sum(each.rows for each in counted.sketch.slices.values()) == (ROWS if shape == "sliced" else 0)
        assert not compact(store, "m", 1, DAY).unread


def test_days_whose_scores_were_counted_in_other_bins_are_compared_and_watched_without_them(store: Store) -> None:
    stored = STORED / "scored"
    store.put(drawn_baseline_key("m", 1), (stored / "baseline.json").read_bytes())
    store.put(f"sketches/live/m/1/{DAY}/merged.json", (stored / "merged.json").read_bytes())
    today = Sketch(decode_baseline((stored / "baseline.json").read_bytes()))
    label, probability = np.array(["benign"] * ROWS, dtype=object), np.full(ROWS, 0.6, dtype=np.float32)
    today.fold({"age": np.full(ROWS, 50.0)}, {"label": label, "probability": probability})
    today.scores.fold(
        [Classification("class", "scores", ("benign", "malignant"), (0, 1))],
        {"label": label, "probability": probability},
    )
    write_part(store, part_key("m", 1, DAY, "later", 0), today.document())
    for _ in ("beside what was merged", "merged"):
        (counted,) = Scope(store, "m", [1]).counted(1)
        assert (counted.sketch.rows, counted.elsewhere) == (2 * ROWS, 0)
        assert counted.sketch.document().scores == today.document().scores
        compact(store, "m", 1, DAY)
    run = Watch(store, announcer=Nobody(), clock=lambda: datetime(2026, 11, 30, 1, tzinfo=UTC)).run()
    assert not run.failed


@pytest.mark.parametrize("shape", SHAPES)
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
