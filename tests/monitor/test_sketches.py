"""Baselines and sketches: counts that add up, and hold no row."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxlet.errors import IntegrityError, InvalidInputError
from onnxlet.monitor.baseline import Baseline, Categories, Numbers, decode_baseline, draw_baseline
from onnxlet.monitor.sketch import Sketch, decode_sketch, encode_sketch

random = np.random.default_rng(0)
ROWS = 2_000
AGES = random.normal(60, 12, ROWS).astype(np.float32)
WARDS = np.array(random.choice(["north", "south", "east"], ROWS, p=[0.6, 0.3, 0.1]).tolist(), dtype=object)
BASELINE = draw_baseline({"age": AGES, "ward": WARDS}, {"score": random.random((ROWS, 1)).astype(np.float32)})


def sketched(*chunks: slice) -> Sketch:
    sketch = Sketch(BASELINE)
    for chunk in chunks:
        sketch.fold({"age": AGES[chunk], "ward": WARDS[chunk]}, {"score": AGES[chunk, None] / 100})
    return sketch


def column(baseline: Baseline, name: str) -> Numbers | Categories:
    return next(column for column in baseline.columns if column.name == name)


def test_the_baselines_own_rows_have_the_baselines_counts() -> None:
    document = sketched(slice(None)).document()
    for drawn in BASELINE.columns:
        assert document.inputs[drawn.name] == (*drawn.counts, drawn.missing)


@settings(deadline=None)
@given(st.lists(st.integers(0, ROWS), min_size=1, max_size=5))
def test_sketches_of_parts_add_up_to_the_sketch_of_all(cuts: list[int]) -> None:
    ends = [0, *sorted(cuts), ROWS]
    parts = [slice(start, end) for start, end in pairwise(ends)]
    total = Sketch(BASELINE)
    for part in parts:
        total.add(decode_sketch(encode_sketch(sketched(part).document())))
    assert total.document() == sketched(slice(None)).document() == sketched(*parts).document()


def test_a_category_never_seen_counts_among_the_others() -> None:
    sketch = Sketch(BASELINE)
    sketch.fold({"ward": np.array(["west", "north", "", None], dtype=object)}, {})
    values = column(BASELINE, "ward").values  # type: ignore[union-attr]
    assert dict(zip((*values, "other", "missing"), sketch.document().inputs["ward"], strict=True)) == {
        "north": 1, "south": 0, "east": 0, "other": 1, "missing": 2,
    }  # fmt: skip


def test_texts_are_the_same_as_bytes_and_what_is_no_text_is_missing() -> None:
    sketch = Sketch(BASELINE)
    wards = [b"north", "north", "", b"", None, float("nan"), b"\xff", "south"]
    sketch.fold({"ward": np.array(wards, dtype=object)}, {})
    values = column(BASELINE, "ward").values  # type: ignore[union-attr]
    assert dict(zip((*values, "other", "missing"), sketch.document().inputs["ward"], strict=True)) == {
        "north": 2, "south": 1, "east": 0, "other": 1, "missing": 4,
    }  # fmt: skip


def test_rare_categories_are_not_named() -> None:
    wards = np.array(["common"] * 100 + ["rare-diagnosis"] * 9, dtype=object)
    baseline = draw_baseline({"ward": wards})
    drawn = column(baseline, "ward")
    assert isinstance(drawn, Categories)
    assert (drawn.values, drawn.counts, drawn.missing) == (("common",), (100, 9), 0)
    assert b"rare-diagnosis" not in baseline.encode()


def test_values_are_chosen_by_other_rows_than_those_that_tests_compare_with() -> None:
    """Of many values that come equally often, those that came most often in some rows come less often in others."""
    tested = chosen = 0
    for seed in range(60):
        wards = np.array([f"w{number}" for number in np.random.default_rng(seed).integers(0, 30, 3_000)], dtype=object)
        drawn = column(draw_baseline({"ward": wards}), "ward")
        assert isinstance(drawn, Categories)
        assert len(drawn.values) == 16
        assert sum(drawn.counts) == 3_000
        assert sum(drawn.tested) == 1_500
        tested += sum(drawn.tested[:-1])
        chosen += sum(drawn.counts[:-1]) - sum(drawn.tested[:-1])
    expected = 60 * 1_500 * 16 / 30
    assert abs(tested - expected) < 3 * np.sqrt(expected)
    assert chosen > 1.05 * expected


def test_where_all_values_are_named_nothing_was_chosen() -> None:
    drawn = column(BASELINE, "ward")
    assert isinstance(drawn, Categories)
    assert drawn.counts[-1] == 0
    assert drawn.tested == ()


def test_of_free_texts_only_lengths_are_kept() -> None:
    texts = np.array([f"patient {number} " + "x" * (number % 50) for number in range(1_000)], dtype=object)
    baseline = draw_baseline({"note": texts})
    drawn = column(baseline, "note")
    assert isinstance(drawn, Numbers)
    assert drawn.of == "length"
    assert b"patient" not in baseline.encode()


def test_dropped_columns_are_not_counted() -> None:
    baseline = draw_baseline({"age": AGES, "ward": WARDS}, dropped=["ward"])
    assert [drawn.name for drawn in baseline.columns] == ["age"]


def test_a_matrix_has_its_columns_names() -> None:
    matrix = random.normal(size=(100, 2)).astype(np.float32)
    named = draw_baseline({"input": matrix}, names={"input": ("age", "weight")}, dropped=["weight"])
    assert [drawn.name for drawn in named.columns] == ["age"]
    assert [drawn.name for drawn in draw_baseline({"input": matrix}).columns] == ["input[0]", "input[1]"]


def test_missing_and_infinite_numbers_are_counted() -> None:
    baseline = draw_baseline({"age": np.array([*range(40), np.nan, np.inf, -np.inf])})
    drawn = column(baseline, "age")
    assert drawn.missing == 1
    assert sum(drawn.counts) == 42


def test_pictures_have_no_columns() -> None:
    assert draw_baseline({"picture": np.zeros((3, 3, 224, 224), np.float32)}).columns == ()


def test_ten_thousand_columns_are_counted() -> None:
    matrix = random.normal(size=(12, 10_000)).astype(np.float32)
    sketch = Sketch(draw_baseline({"input": matrix}))
    sketch.fold({"input": matrix}, {})
    assert len(sketch.document().inputs) == 10_000


def test_a_sketch_in_another_baselines_bins_is_refused() -> None:
    other = Sketch(draw_baseline({"age": AGES + 1, "ward": WARDS}))
    with pytest.raises(InvalidInputError, match="compare it with its own baseline"):
        sketched(slice(None)).add(other.document())


def test_a_sketch_that_was_tampered_with_is_refused() -> None:
    document = sketched(slice(None)).document()
    shorter = msgspec.structs.replace(document, inputs={"age": (1, 2)})
    with pytest.raises(InvalidInputError, match="other counts of 'age'"):
        Sketch(BASELINE).add(shorter)


def test_documents_come_back_as_they_were_written() -> None:
    assert decode_baseline(BASELINE.encode()) == BASELINE
    document = sketched(slice(100)).document()
    assert decode_sketch(encode_sketch(document)) == document


@pytest.mark.parametrize("document", [b"", b"{}", b"[1]", b'{"rows": "many"}'])
def test_what_is_no_document_of_ours_is_said_to_be_none(document: bytes) -> None:
    with pytest.raises(IntegrityError, match="no baseline"):
        decode_baseline(document)
    with pytest.raises(IntegrityError, match="no sketch"):
        decode_sketch(document)


def test_documents_of_a_newer_onnxlet_are_refused() -> None:
    with pytest.raises(IntegrityError, match="upgrade"):
        decode_baseline(BASELINE.encode().replace(b'"schema":1', b'"schema":2'))
    with pytest.raises(IntegrityError, match="upgrade"):
        decode_sketch(encode_sketch(sketched(slice(9)).document()).replace(b'"schema":1', b'"schema":2'))
