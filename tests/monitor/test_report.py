"""The report: sections that a table names, told as JSON, in terminals and as a page, and no counts of a few people."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.errors import IntegrityError
from onnxlet.monitor.baseline import Baseline, Categories, Numbers, draw_baseline
from onnxlet.monitor.report.document import Report, decode_report, read_report
from onnxlet.monitor.report.drift import Drift, read_drift
from onnxlet.monitor.report.quality import Quality
from onnxlet.monitor.report.scope import Scope
from onnxlet.monitor.report.section import MOST_ALIKE, Finding, Section
from onnxlet.monitor.report.sections import SECTIONS
from onnxlet.monitor.report.shown import FEWEST_SHOWN, show_cells
from onnxlet.monitor.sketch import Sketch
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.windows import list_days, part_key, write_part
from onnxlet.store import Store
from onnxlet.values.aliases import Alias, HistoryEntry, Route, encode
from onnxlet.values.keys import alias_key
from onnxlet.values.tables import Block, Facts
from onnxlet.values.tensors import Tensors
from onnxlet.values.timestamps import day_of, utc_now

WRITTEN = datetime(2026, 11, 29, 4, tzinfo=UTC)
WARDS = ["<north>", "south", "east"]


def rows(seed: int, count: int = 500, *, older: float = 0.0) -> Tensors:
    generator = np.random.default_rng(seed)
    return {
        "age": generator.normal(50 + older, 10, count),
        "dose": generator.gamma(2.0, 3.0, count),
        "ward": np.array(generator.choice(WARDS, count, p=[0.5, 0.3, 0.2]).tolist(), dtype=object),
    }


BASELINE = draw_baseline(rows(0, 10_000))


def route(store: Store, version: int) -> None:
    """Let the alias `production` route to a version."""
    move = Route(version, 1.0, "sha256:" + "0" * 64)
    entry = HistoryEntry(
        model="diagnosis",
        alias="production",
        sequence=1,
        action="promote",
        who="ann",
        when="2026-11-01T00:00:00.000000Z",
        why="",
        origin=(),
        target=(move,),
        predecessor=None,
    )
    store.put(alias_key("diagnosis", "production"), encode(Alias(sequence=1, routes=(move,), entry=entry)))


@pytest.fixture(autouse=True)
def served(store: Store) -> None:
    give_baseline(store, "diagnosis", 1, BASELINE)
    route(store, 1)


def count(store: Store, day: str, inputs: Tensors, baseline: Baseline = BASELINE, version: int = 1) -> None:
    sketch = Sketch(baseline)
    sketch.fold(inputs, {})
    write_part(store, part_key("diagnosis", version, day, "env", 0), sketch.document())


def report(store: Store, since: str = "", until: str = "") -> Report:
    """As it is told on the day after the newest that was counted."""
    newest = max(list_days(store, "diagnosis", 1), default="2026-11-28")
    now = datetime.fromisoformat(f"{newest}T01:00:00Z") + timedelta(days=1)
    return read_report(Scope(store, "diagnosis", [1], since=since, until=until, now=now), written=WRITTEN)


def found(told: Report) -> list[tuple[str, str, str]]:
    return [(finding.kind, finding.about, finding.day) for finding in told.findings]


def test_a_report_is_read_again_as_it_was_written(store: Store) -> None:
    for day in range(1, 4):
        count(store, f"2026-11-0{day}", rows(day, older=10 * (day > 1)))
    told = report(store)
    assert decode_report(told.encode()) == told
    assert found(told) == [("drift", "age", "2026-11-03")]
    assert told.written == "2026-11-29T04:00:00.000000Z"


def test_a_report_of_another_schema_or_of_nothing_is_refused(store: Store) -> None:
    with pytest.raises(IntegrityError, match="upgrade onnxlet"):
        decode_report(report(store).encode().replace(b'"schema":1', b'"schema":9'))
    with pytest.raises(IntegrityError, match="no report"):
        decode_report(b"[]")


def test_versions_that_are_asked_on_a_day_divide_the_budget_of_their_model(store: Store) -> None:
    for day in ("2026-11-01", "2026-11-02"):
        count(store, day, rows(1))
    count(store, "2026-11-02", rows(2), version=2)
    scope = Scope(store, "diagnosis", [1, 2, 3])
    assert [scope.budget(day) for day in ("2026-11-01", "2026-11-02")] == [0.025, 0.0125]
    alone, beside = read_drift(scope).versions[0].days
    assert beside.level < alone.level


def test_only_days_that_were_asked_for_are_told(store: Store) -> None:
    for day in range(1, 6):
        count(store, f"2026-11-0{day}", rows(day))
    drift = report(store, since="2026-11-02", until="2026-11-04").sections["drift"]
    assert isinstance(drift, Drift)
    assert [day.day for day in drift.versions[0].days] == ["2026-11-02", "2026-11-03", "2026-11-04"]


def test_a_drift_stays_found_while_days_have_no_rows(store: Store) -> None:
    count(store, "2026-11-01", rows(1, older=10))
    count(store, "2026-11-02", rows(2, older=10))
    count(store, "2026-11-03", rows(3), draw_baseline(rows(9, 1_000)))
    assert found(report(store)) == [("drift", "age", "2026-11-02")]


@pytest.mark.parametrize("check", ["missing", "out of range", "unknown"])
def test_a_data_bug_is_a_fault_on_its_first_day(store: Store, check: str) -> None:
    count(store, "2026-11-01", rows(1))
    assert found(report(store)) == []
    inputs = rows(2)
    if check == "missing":
        inputs["dose"][::10] = np.nan
    elif check == "out of range":
        inputs["dose"][::5] *= 1000
    else:
        inputs["ward"][::5] = "west"
    count(store, "2026-11-02", inputs)
    told = report(store)
    about = "ward" if check == "unknown" else "dose"
    assert found(told) == [("quality", about, "2026-11-02")]
    assert f"{about} is {check} in" in told.findings[0].says


def test_constant_columns_are_quiet_until_they_are_constant_no_more(store: Store) -> None:
    def inputs(value: float, ward: str) -> Tensors:
        return {"dose": np.full(200, value), "ward": np.array([ward] * 200, dtype=object)}

    constant = draw_baseline(inputs(5.0, "north"))
    give_baseline(store, "diagnosis", 1, constant)
    for day in (1, 2, 3):
        count(store, f"2026-11-0{day}", inputs(5.0, "north"), constant)
    assert found(report(store)) == []
    for day in (4, 5):
        count(store, f"2026-11-0{day}", inputs(6.0, "south"), constant)
    told = {(kind, about) for kind, about, _ in found(report(store))}
    assert told >= {("drift", "dose"), ("drift", "ward"), ("quality", "ward")}


def test_days_like_the_baseline_have_no_faults(store: Store) -> None:
    for day in range(1, 31):
        count(store, f"2026-11-{day:02}", rows(day, 200))
    quality = report(store).sections["quality"]
    assert isinstance(quality, Quality)
    assert [day.faults for day in quality.versions[0].days] == [0] * 30


def test_no_number_of_one_to_four_rows_is_told(store: Store) -> None:
    inputs = rows(1, 100)
    inputs["dose"][:3] = np.nan
    inputs["ward"][:2] = "west"
    count(store, "2026-11-01", inputs)
    told = report(store)
    drift, quality = told.sections["drift"], told.sections["quality"]
    assert isinstance(drift, Drift)
    assert isinstance(quality, Quality)
    version = drift.versions[0]
    assert {column.name: column.missing for column in version.days[0].columns} == {"age": 0, "dose": None, "ward": 0}
    assert all(not 0 < cell < FEWEST_SHOWN for shape in version.shapes for cell in shape.window)
    assert {(each.name, each.check, each.rows, each.share) for each in quality.versions[0].days[0].columns} >= {
        ("dose", "missing", None, None),
        ("ward", "unknown", None, None),
    }


@given(st.lists(st.integers(0, 40), min_size=2, max_size=12), st.booleans())
def test_joined_bins_lose_no_row_and_hold_five_or_none(counts: list[int], numbers: bool) -> None:
    column = (
        Numbers("c", tuple(map(float, range(len(counts) - 1))), (), (10,) * len(counts), 0, 1.0)
        if numbers
        else Categories("c", tuple(map(str, range(len(counts) - 1))), (10,) * len(counts), 0)
    )
    cells = show_cells(column, np.array(counts))
    assert len(cells.names) == len(cells.baseline) == len(cells.window)
    if sum(counts) >= FEWEST_SHOWN:
        assert cells.window.sum() == sum(counts)
        assert cells.baseline.sum() == 10 * len(counts)
    assert not any(0 < cell < FEWEST_SHOWN for cell in cells.window.tolist())


class Tags(HTMLParser):
    """The tags of a page and their attributes, and whether each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_and_runs_nothing(store: Store) -> None:
    for day in range(1, 4):
        count(store, f"2026-11-0{day}", rows(day, older=10 * (day > 1)))
    page = report(store).page()
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    names = [name for name, _ in tags.seen]
    assert names.count("svg") >= 3
    assert not {"script", "link", "img", "iframe", "object"} & set(names)
    assert not [key for _, attributes in tags.seen for key in attributes if key in {"src", "href"} or key[:2] == "on"]
    assert not re.search(r"url\(|@import|https?:", page)
    assert "default-src 'none'" in page
    assert "<north>" not in page


class Weather(msgspec.Struct, frozen=True):
    """What a section from elsewhere tells."""

    degrees: int


def test_a_section_from_outside_is_one_line_of_the_table(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def show(weather: Weather) -> list[Block]:
        return [Facts((("degrees", weather.degrees),))]

    section = Section(
        "weather",
        "The weather",
        Weather,
        lambda scope: Weather(len(scope.model)),
        show,
        lambda weather: [Finding("cold", 1, "2026-11-01", "", f"it has {weather.degrees} degrees")],
    )
    monkeypatch.setitem(SECTIONS, "weather", section)
    told = report(store)
    assert decode_report(told.encode()).sections["weather"] == Weather(9)
    assert found(told) == [("cold", "", "2026-11-01")]
    assert "The weather" in told.page()
    monkeypatch.delitem(SECTIONS, "weather")
    assert "weather" not in decode_report(told.encode()).sections


def test_a_version_without_baseline_says_how_it_gets_one(store: Store) -> None:
    told = read_report(Scope(store, "diagnosis", [2]), written=WRITTEN)
    assert "quality" not in told.sections
    assert "onnxlet baseline" in told.page()


def silence(store: Store, now: str) -> list[tuple[str, str, str]]:
    return found(read_report(Scope(store, "diagnosis", [1], now=datetime.fromisoformat(now)), written=WRITTEN))


def test_a_version_that_nobody_asks_any_more_is_told_of_after_two_days(store: Store) -> None:
    count(store, "2026-11-01", rows(1))
    count(store, "2026-11-02", rows(2))
    assert silence(store, "2026-11-04T23:59:00Z") == []
    assert silence(store, "2026-11-05T00:01:00Z") == [("no traffic", "", "2026-11-04")]
    route(store, 2)
    assert silence(store, "2026-11-05T00:01:00Z") == []


def test_what_is_wrong_with_a_version_that_is_served_no_more_is_told_to_nobody(store: Store) -> None:
    route(store, 2)
    for day in (1, 2):
        count(store, f"2026-11-0{day}", rows(day, older=10))
    assert silence(store, "2026-11-04T01:00:00Z") == [("drift", "age", "2026-11-02")]
    assert silence(store, "2026-11-05T01:00:00Z") == []
    route(store, 1)
    assert ("drift", "age", "2026-11-02") in silence(store, "2026-11-05T01:00:00Z")


def test_of_very_many_columns_that_drift_one_finding_stands_for_all(store: Store) -> None:
    def matrix(seed: int, shift: float) -> Tensors:
        generator = np.random.default_rng(seed)
        return {f"c{place}": generator.normal(shift, 1, 300) for place in range(MOST_ALIKE + 2)}

    baseline = draw_baseline(matrix(0, 0.0))
    give_baseline(store, "diagnosis", 1, baseline)
    for day in (1, 2):
        count(store, f"2026-11-0{day}", matrix(day, 1.0), baseline)
    told = report(store)
    assert found(told) == [("drift", "", "2026-11-02")]
    assert "drift in 22 columns" in told.findings[0].says


def test_weekends_are_quiet_where_they_always_were(store: Store) -> None:
    for day in (2, 3, 4, 5, 6, 9, 10, 11, 12, 13):
        count(store, f"2026-11-{day:02}", rows(day, 100))
    assert silence(store, "2026-11-16T01:00:00Z") == []
    assert silence(store, "2026-11-17T01:00:00Z") == [("no traffic", "", "2026-11-16")]


def test_rows_in_the_bins_of_an_older_baseline_are_told_of_from_the_day_after_on(store: Store) -> None:
    """The baseline was given by the fixture, just now."""
    older = draw_baseline(rows(9, 1_000))
    today, tomorrow, next_day, last = (day_of(utc_now() + timedelta(days=ahead)) for ahead in range(4))
    count(store, today, rows(2), older)
    assert silence(store, f"{tomorrow}T01:00:00Z") == []
    count(store, tomorrow, rows(3), older)
    assert silence(store, f"{next_day}T01:00:00Z") == [("stale baseline", "", tomorrow)]
    count(store, next_day, rows(4))
    assert silence(store, f"{last}T01:00:00Z") == []


def test_days_of_clocks_that_are_years_off_are_told_and_not_drawn_day_by_day(store: Store) -> None:
    for day in ("1970-01-01", "2026-11-01", "2099-01-01"):
        count(store, day, rows(1))
    store.put("sketches/live/diagnosis/1/2026-13-45/env-000000.json", b"{}")
    told = report(store)
    assert len(told.page()) < 100_000
    assert "1970-01-01" in told.page()
