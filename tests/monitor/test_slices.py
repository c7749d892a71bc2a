"""Slices: rows are compared by the values of a column too, and no slice is written that tells a few rows."""

from __future__ import annotations

import numpy as np
import pytest

from onnxlet.errors import InvalidInputError
from onnxlet.monitor.baseline import FEWEST_OF_SLICE, MOST_SLICES, decode_baseline, draw_baseline
from onnxlet.monitor.comparison import compare
from onnxlet.monitor.report.drift import read_drift, show_drift
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.sketch import Sketch, add_documents, decode_sketch, encode_sketch
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.windows import part_key, write_part
from onnxlet.store import Store
from onnxlet.values.tensors import Tensors

random = np.random.default_rng(0)


def rows(count: int, *, women: float = 0.5, shift: float = 0.0) -> Tensors:
    """Ages, of which those of women are shifted."""
    female = random.random(count) < women
    return {"age": random.normal(60, 12, count) + shift * female, "sex": np.where(female, "f", "m").astype(object)}


BASELINE = draw_baseline(rows(2_000), sliced_by="sex")


def sketched(given: Tensors) -> Sketch:
    sketch = Sketch(BASELINE)
    sketch.fold(given, {})
    return sketch


def test_each_slice_has_a_baseline_of_its_own_rows() -> None:
    assert set(BASELINE.slices) == {"f", "m"}
    assert sum(each.rows for each in BASELINE.slices.values()) == BASELINE.rows
    assert decode_baseline(BASELINE.encode()) == BASELINE


def test_a_drift_of_one_slice_is_found_there_and_not_in_the_other() -> None:
    sketch = sketched(rows(2_000, women=0.2, shift=8))
    found = {value: [drift.name for drift in compare(each).differing()] for value, each in sketch.slices.items()}
    assert found == {"f": ["age"], "m": []}


def test_sketches_with_slices_add_up_exactly_in_any_order() -> None:
    given = [rows(100, women=share) for share in (0.0, 0.5, 1.0)]
    first, second, third = (sketched(each).document() for each in given)
    total = Sketch(BASELINE)
    for each in given:
        total.fold(each, {})
    assert add_documents(add_documents(first, second), third) == total.document()
    assert add_documents(first, add_documents(second, third)) == total.document()
    assert add_documents(second, first).slices == add_documents(first, second).slices
    assert decode_sketch(encode_sketch(total.document())) == total.document()


def test_slices_wait_until_no_few_rows_can_be_told_from_the_others() -> None:
    sketch = sketched(rows(40, women=0.0))
    assert sketch.has_sliced(20)
    sketch.fold(rows(1, women=1.0), {})
    assert not sketch.has_sliced(20)
    assert sketch.document(sliced=False).slices == {}
    later = Sketch(BASELINE)
    later.take_slices(sketch)
    later.fold(rows(19, women=1.0), {})
    assert later.has_sliced(20)
    assert {value: each.rows for value, each in later.document().slices.items()} == {"m": 40, "f": 20}


def test_the_rest_is_no_slice_and_must_be_of_enough_rows_too() -> None:
    sketch = sketched({"age": np.full(41, 50.0), "sex": np.array(["f"] * 40 + ["x"], dtype=object)})
    assert not sketch.has_sliced(20)


def test_slices_are_few_and_large() -> None:
    wards = np.array([f"w{place % 12}" for place in range(12 * FEWEST_OF_SLICE)], dtype=object)
    assert len(draw_baseline({"ward": wards, "age": np.arange(len(wards))}, sliced_by="ward").slices) == MOST_SLICES
    numbers = {"age": np.arange(200.0), "sex": np.arange(200) % 2}
    assert set(draw_baseline(numbers, sliced_by="sex").slices) == {"0", "1"}


@pytest.mark.parametrize(("column", "says"), [("age", "makes no slices"), ("height", "no column 'height'")])
def test_columns_that_make_no_slices_are_refused(column: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        draw_baseline(rows(200), sliced_by=column)


def test_the_report_tells_each_slice(store: Store) -> None:
    give_baseline(store, "diagnosis", 1, BASELINE)
    document = sketched(rows(2_000, shift=8)).document()
    write_part(store, part_key("diagnosis", 1, "2026-11-01", "env", 0), document)
    drift = read_drift(Scope(store, "diagnosis", [1]))
    told = {each.slice: each.differing for each in drift.versions[0].slices}
    assert told == {"sex=f": ("age",), "sex=m": ()}
    assert "sex=f" in " ".join(block.text() for block in show_drift(drift))
