"""Plans of ranges: whatever stretches a file is scanned in, rows begin where reading it from its first byte says."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import reduce
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from onnxlet.batch.formats.ports import Place
from onnxlet.batch.planning import compose, plan_ranges, scan_csv, scan_json_lines

PIECES = [
    *("1", "2.5", ",", ",", "\n", "\n", "\n", '"', '"', '""', '","', '"\n', '\n"', "\r\n", "\r", "\n\n"),
    *('"a, b"', '"two\nlines"', '5"', '"2"x', "é", '"open', 'close"', "x" * 50),
]

files = st.lists(st.sampled_from(PIECES), max_size=60).map("".join).map(str.encode)


def _begins(data: bytes) -> list[Place]:
    """Where rows begin as Python's csv module reads them; the file's end is no row."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for line in data.splitlines(keepends=True) if b"\r" not in data else _split(data):
            taken += len(line)
            yield line.decode()

    reader = csv.reader(lines(), strict=True)
    places: list[Place] = []
    row = 1
    while True:
        begin = taken
        try:
            cells = next(reader, None)
        except csv.Error:
            cells = ["a fault"]
        if cells is None:
            return places
        if cells:
            places.append(Place(begin, row))
            row += 1


def _split(data: bytes) -> list[bytes]:
    return [line + b"\n" for line in data.split(b"\n")[:-1]] + ([data.split(b"\n")[-1]] if data[-1:] != b"\n" else [])


def _cut(data: bytes, sizes: list[int]) -> list[bytes]:
    """Stretches of whole lines, of about these sizes in turn."""
    stretches: list[bytes] = []
    position = 0
    while position < len(data):
        end = data.find(b"\n", position + sizes[len(stretches) % len(sizes)] - 1) + 1 or len(data)
        stretches.append(data[position:end])
        position = end
    return stretches


@settings(max_examples=500, deadline=None)
@example(b'a,"b\nc",d\n', [1])
@given(files, st.lists(st.integers(1, 60), min_size=1, max_size=4))
def test_wherever_a_table_is_cut_rows_begin_where_they_do_and_have_their_numbers(data: bytes, sizes: list[int]) -> None:
    scans = [scan_csv(stretch) for stretch in _cut(data, sizes)]
    places = plan_ranges(Place(0, 1), scans, 1)
    begins = _begins(data)
    for place in places[1:]:
        # blank lines before a row may belong to either range
        following = next((begin for begin in begins if begin.position >= place.position), None)
        assert following is not None
        assert following.row == place.row
        assert not data[place.position : following.position].strip(b"\r\n")
    assert places[0] == Place(0, 1)
    whole = reduce(compose, scans, scan_csv(b""))
    assert (whole.size, whole.outside.rows) == (len(data), len(begins))


@given(files, st.integers(1, 40), st.integers(0, 5))
def test_scans_are_composed_in_any_grouping(data: bytes, size: int, first: int) -> None:
    scans = [scan_csv(stretch) for stretch in _cut(data, [size])]
    left, right = (reduce(compose, part, scan_csv(b"")) for part in (scans[:first], scans[first:]))
    assert compose(left, right) == reduce(compose, scans, scan_csv(b""))


def test_lines_of_json_are_rows_unless_they_are_blank() -> None:
    scans = [scan_json_lines(lines) for lines in (b'{"a": "\\n"}\n\n', b'"\n', b" \r\n[1]")]
    assert plan_ranges(Place(0, 1), scans, 1) == [Place(0, 1), Place(13, 2), Place(15, 3)]


def test_quotes_that_stay_open_end_the_plan() -> None:
    lines = b"1,2\n" * 10
    scans = [scan_csv(part) for part in (lines, lines + b'1,"open\n', b"2,3\n" * 50_000, lines)]
    assert plan_ranges(Place(7, 1), scans, 1) == [Place(7, 1), Place(47, 11)]
    closed = [scan_csv(part) for part in (lines, lines + b'1,"open\n', b'2,3\nclosed"\n' + lines, lines)]
    assert plan_ranges(Place(7, 1), closed, 1) == [Place(7, 1), Place(47, 11), Place(107, 22), Place(147, 32)]


@pytest.mark.parametrize("least", [1, 100, 1000])
def test_ranges_are_no_smaller_than_they_may_be(least: int) -> None:
    places = plan_ranges(Place(0, 1), [scan_csv(b"1,2\n" * 10)] * 100, least)
    sizes = {after.position - before.position for before, after in pairwise(places)}
    assert min(sizes) >= least
    assert max(sizes) < least + 40
