"""Windows: parts that many write at once count once each, whatever is repeated, and whoever is stopped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults import WatchedStore
from onnxlet.errors import IntegrityError, StoreUnavailableError
from onnxlet.monitor.baseline import draw_baseline
from onnxlet.monitor.parts import add_parts, hold, part_name
from onnxlet.monitor.sketch import Sketch, SketchDocument
from onnxlet.monitor.windows import compact, list_days, part_key, read_window, write_part
from onnxlet.store import Store, open_store

BASELINE = draw_baseline({"age": np.arange(200.0)})
DAY = "2026-11-29"


def part(rows: int) -> SketchDocument:
    sketch = Sketch(BASELINE)
    sketch.fold({"age": np.arange(float(rows))}, {})
    return sketch.document()


@pytest.fixture(params=["directory_url", "s3_store_url"])
def any_store(request: pytest.FixtureRequest) -> Store:
    return open_store(request.getfixturevalue(request.param))


def write(store: Store, count: int, environment: str = "env") -> None:
    for sequence in range(count):
        write_part(store, part_key("m", 1, DAY, environment, sequence), part(20 + sequence))


def total(count: int) -> int:
    return sum(20 + sequence for sequence in range(count))


def test_a_part_that_is_written_twice_counts_once(any_store: Store) -> None:
    write(any_store, 3)
    write(any_store, 3)
    assert read_window(any_store, "m", 1, DAY).rows == total(3)


def test_merging_changes_no_count_and_leaves_one_object(any_store: Store) -> None:
    write(any_store, 5)
    before = read_window(any_store, "m", 1, DAY)
    assert compact(any_store, "m", 1, DAY).sketches == before.sketches
    assert compact(any_store, "m", 1, DAY).sketches == before.sketches
    assert read_window(any_store, "m", 1, DAY).sketches == before.sketches
    assert [entry.key for entry in any_store.list("sketches/")] == [f"sketches/live/m/1/{DAY}/merged.json"]


def test_a_part_that_comes_late_is_added_and_one_that_comes_again_is_not(any_store: Store) -> None:
    write(any_store, 3)
    compact(any_store, "m", 1, DAY)
    write(any_store, 4)
    assert read_window(any_store, "m", 1, DAY).rows == total(4)
    assert compact(any_store, "m", 1, DAY).rows == total(4)


def test_who_is_stopped_before_deleting_harms_nothing(any_store: Store) -> None:
    write(any_store, 4)

    def stop(method: str, _key: str) -> None:
        if method == "delete":
            raise StoreUnavailableError("stopped")

    with pytest.raises(StoreUnavailableError):
        compact(WatchedStore(any_store, stop), "m", 1, DAY)
    assert read_window(any_store, "m", 1, DAY).rows == total(4)
    assert compact(any_store, "m", 1, DAY).rows == total(4)


def test_those_who_merge_at_once_while_others_write_count_every_part_once(any_store: Store) -> None:
    with ThreadPoolExecutor(6) as pool:
        for number in range(3):
            pool.submit(write, any_store, 6, f"env{number}")
            pool.submit(compact, any_store, "m", 1, DAY)
    assert compact(any_store, "m", 1, DAY).rows == 3 * total(6)


def test_sketches_of_an_older_baseline_stay_apart(any_store: Store) -> None:
    write(any_store, 1)
    other = Sketch(draw_baseline({"age": np.arange(300.0)}))
    other.fold({"age": np.arange(30.0)}, {})
    write_part(any_store, part_key("m", 1, DAY, "other", 0), other.document())
    window = compact(any_store, "m", 1, DAY)
    assert [sketch.rows for sketch in window.sketches] == [20, 30]


def test_days_are_listed_in_order(any_store: Store) -> None:
    for day in ("2026-12-01", "2026-11-30"):
        write_part(any_store, part_key("m", 1, day, "env", 0), part(20))
    write_part(any_store, part_key("m", 12, "2020-01-01", "env", 0), part(20))
    any_store.put("sketches/baselines/m/1.json", BASELINE.encode())
    assert list_days(any_store, "m", 1) == ["2026-11-30", "2026-12-01"]


def test_a_merged_sketch_that_was_damaged_is_named(any_store: Store) -> None:
    any_store.put(f"sketches/live/m/1/{DAY}/merged.json", b"[]")
    with pytest.raises(IntegrityError, match=rf"sketches/live/m/1/{DAY}/merged.json"):
        read_window(any_store, "m", 1, DAY)


def test_parts_that_cannot_be_read_are_named_left_alone_and_harm_no_other(any_store: Store) -> None:
    write(any_store, 1)
    prefix = f"sketches/live/m/1/{DAY}/"
    changed = msgspec.structs.replace(part(20), inputs={"age": (1, 2)})
    newer = msgspec.json.encode(msgspec.structs.replace(part(20), schema=9))
    bad = {
        "forged-000000.json": msgspec.json.encode(changed),
        "newer-000000.json": newer,
        "notes.txt": b"hello",
        "torn-000000.json": b"{",
    }
    for name, data in bad.items():
        any_store.put(prefix + name, data)
    for read in (read_window, compact, compact, read_window):
        window = read(any_store, "m", 1, DAY)
        assert (window.rows, sorted(window.unread)) == (20, sorted(bad))
    left = {entry.key.removeprefix(prefix) for entry in any_store.list(prefix)}
    assert left == {*bad, "merged.json"}


def test_a_merged_sketch_of_a_newer_onnxlet_is_refused(any_store: Store) -> None:
    any_store.put(f"sketches/live/m/1/{DAY}/merged.json", b'{"schema":9}')
    with pytest.raises(IntegrityError, match="upgrade onnxlet"):
        compact(any_store, "m", 1, DAY)


def test_many_parts_are_merged_bit_by_bit_and_the_next_run_goes_on(
    any_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxlet.monitor.windows.MOST_AT_ONCE", 2)
    write(any_store, 5)
    assert compact(any_store, "m", 1, DAY, out_of_time=lambda: True).rows == 41
    assert read_window(any_store, "m", 1, DAY).rows == total(5)
    assert compact(any_store, "m", 1, DAY).rows == total(5)


def test_numbers_that_follow_each_other_take_no_room(store: Store) -> None:
    for sequence in (*range(300), 400, 402, 401):
        write_part(store, part_key("m", 1, DAY, "env", sequence), part(20))
    assert compact(store, "m", 1, DAY).parts == {"env": ((0, 299), (400, 402))}


@given(st.lists(st.tuples(st.sampled_from(["a", "b-1"]), st.integers(0, 30))), st.integers(0, 60))
def test_what_was_added_is_held_and_nothing_else(added: list[tuple[str, int]], cut: int) -> None:
    names = [part_name(*each) for each in added]
    parts = add_parts(add_parts({}, names[:cut]), names[cut:])
    every = {part_name(environment, number) for environment in ("a", "b-1", "c") for number in range(32)}
    assert {name for name in every if hold(parts, name)} == set(names)
    assert add_parts({}, names) == parts
