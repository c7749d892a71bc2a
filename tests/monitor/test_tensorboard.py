"""Event files, as TensorBoard's own reader has them."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util import tensor_util

from monitor import watched_models
from onnxlet.errors import IntegrityError
from onnxlet.monitor.baseline import Baseline
from onnxlet.monitor.tensorboard.history import Traffic, read_history, step_of
from onnxlet.monitor.tensorboard.logs import Logs
from onnxlet.monitor.tensorboard.records import Step, event_file
from onnxlet.monitor.tensorboard.summaries import Bucket, histogram, scalar, text
from onnxlet.monitor.tensorboard.table import WRITTEN, steps_of
from onnxlet.store import Store, open_store

TRAFFIC = {2: [Traffic("2026-11-02", 100.0, 4.0, 2.0, {"p99/predict/production": 31.5})]}


class Read:
    """A run as TensorBoard reads it."""

    def __init__(self, folder: Path) -> None:
        self._events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
        self._events.Reload()

    @property
    def plugins(self) -> dict[str, str]:
        """Which plugin shows which tag."""
        tags = self._events.Tags()["tensors"]
        return {tag: self._events.SummaryMetadata(tag).plugin_data.plugin_name for tag in tags}

    def values(self, tag: str) -> dict[int, Any]:
        """What each step of a tag has. No step may be told twice."""
        events = self._events.Tensors(tag)
        told = {event.step: tensor_util.make_ndarray(event.tensor_proto) for event in events}
        assert len(told) == len(events)
        return told

    def scalars(self, tag: str) -> dict[int, float]:
        """The same of numbers."""
        return {step: round(float(value), 6) for step, value in self.values(tag).items()}

    def hyperparameters(self, tag: str) -> HParamsPluginData:
        """What stands beside a tag of the hparams plugin."""
        content = self._events.SummaryMetadata(tag).plugin_data.content
        return HParamsPluginData.FromString(content)


@pytest.fixture
def baseline(store: Store, tmp_path: Path) -> Baseline:
    baseline = watched_models.publish(store, tmp_path / "packages")
    watched_models.drift(store, baseline, scored=True)
    watched_models.label(store, watched_models.DAYS[0])
    return baseline


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def write(store: Store, folder: Path) -> dict[str, int]:
    """Write what is new; how many steps that were, by run."""
    logs = Logs(open_store(folder.as_uri()))
    return {run: logs.write(run, steps) for run, steps in steps_of(read_history(store, "diagnosis", TRAFFIC)).items()}


@pytest.mark.usefixtures("baseline")
def test_every_line_of_the_table_is_read_by_tensorboard_and_shown_by_the_plugin_that_it_names(
    store: Store, folder: Path
) -> None:
    write(store, folder)
    model, version = Read(folder / "diagnosis"), Read(folder / "diagnosis" / "2")
    plugins = model.plugins | version.plugins
    for written in WRITTEN:
        for tag in written.tags:
            matching = {name: shown for name, shown in plugins.items() if name.startswith(tag.removesuffix("…"))}
            assert written.shown in matching.values(), tag
    listed = {(tag.removesuffix("…"), written.shown) for written in WRITTEN for tag in written.tags}
    for name, shown in plugins.items():
        assert any(name.startswith(tag) and shown == plugin for tag, plugin in listed), f"{name} is in no line"


@pytest.mark.usefixtures("baseline")
def test_scalars_are_what_the_store_holds(store: Store, folder: Path) -> None:
    write(store, folder)
    model, version = Read(folder / "diagnosis"), Read(folder / "diagnosis" / "2")
    first, second, third, fourth = map(step_of, watched_models.DAYS)
    assert model.scalars("contract/accuracy") == watched_models.ACCURACY
    assert model.scalars("labels/accuracy") == {2: watched_models.RIGHT}
    assert version.scalars("rows/counted") == dict.fromkeys((first, second, third, fourth), watched_models.ROWS)
    assert version.scalars("traffic/rows")[first] == 1.0
    assert version.scalars("drift/columns that alarm") == {first: 0, second: 0, third: 0, fourth: 1}
    assert version.scalars("labels/accuracy") == {first: watched_models.RIGHT}
    assert version.scalars("labels/share labelled") == {first: 1.0}
    assert version.scalars("labels/all labels/brier").keys() == {first}
    sure = float(watched_models.answers_of(1)["probability"].mean())
    assert version.scalars("expected/accuracy of label, estimated")[first] == pytest.approx(sure, abs=0.001)
    psi = version.values("drift/psi/radius")
    assert psi[third] > 0.1 > psi[second]
    assert version.scalars("requests/error_share") == {second: 0.04}
    assert version.scalars("latency/p99/predict/production") == {second: 31.5}


@pytest.mark.usefixtures("baseline")
def test_histograms_hold_every_row_and_no_bin_of_fewer_than_five(store: Store, folder: Path) -> None:
    write(store, folder)
    version = Read(folder / "diagnosis" / "2")
    for tag, plugin in version.plugins.items():
        if plugin == "histograms":
            for bars in version.values(tag).values():
                assert bars[:, 2].sum() == watched_models.ROWS
                assert not ((bars[:, 2] > 0) & (bars[:, 2] < 5)).any()
                assert (bars[:, 0] < bars[:, 1]).all()
                assert (bars[1:, 0] == bars[:-1, 1]).all()


@pytest.mark.usefixtures("baseline")
def test_plots_are_pictures_and_texts_name_who_moved_what(store: Store, folder: Path) -> None:
    write(store, folder)
    version = Read(folder / "diagnosis" / "2")
    for tag in ("Drift/PSI by day", "Drift/radius: shares by bin", "Accuracy by labels/right by probability"):
        (drawn,) = version.values(tag).values()
        with Image.open(BytesIO(drawn[2])) as picture:
            assert (picture.format, picture.width, picture.height) == ("PNG", int(drawn[0]), int(drawn[1]))
            assert len(picture.getcolors(10_000) or ()) > 3
    (moves,) = Read(folder / "diagnosis").values("moves/production").values()
    assert moves[0].decode().count("promote") == watched_models.moves(store)
    (report,) = version.values("report").values()
    assert "radius" in report[0].decode()
    (contract,) = version.values("contract").values()
    assert "a note | with a bar" in contract[0].decode()


@pytest.mark.usefixtures("baseline")
def test_versions_stand_beside_each_other_with_their_metrics(store: Store, folder: Path) -> None:
    write(store, folder)
    experiment = Read(folder / "diagnosis").hyperparameters("_hparams_/experiment").experiment
    assert [info.name.tag for info in experiment.metric_infos] == ["contract/accuracy"]
    assert {info.name for info in experiment.hparam_infos} >= {"framework", "optimization", "megabytes"}
    session = Read(folder / "diagnosis" / "2").hyperparameters("_hparams_/session_start_info").session_start_info
    assert session.hparams["framework"].string_value == "tests"
    # without a real one-element tensor the page of hyperparameters crashes
    assert Read(folder / "diagnosis" / "2").values("contract/accuracy")[2].size == 1


def test_writing_again_adds_only_what_is_new_and_what_was_corrected(
    store: Store, folder: Path, baseline: Baseline
) -> None:
    assert write(store, folder)["diagnosis/2"] > 4
    files = sorted(folder.rglob("*tfevents*"))
    assert not any(write(store, folder).values())
    assert sorted(folder.rglob("*tfevents*")) == files
    unchanged = {path: path.read_bytes() for path in files}
    watched_models.count(store, baseline, watched_models.DAYS[2], seed=77)
    watched_models.count(store, baseline, "2026-11-05", seed=78)
    assert write(store, folder) == {"diagnosis": 0, "diagnosis/1": 1, "diagnosis/2": 3}
    assert {path: path.read_bytes() for path in files} == unchanged
    rows = Read(folder / "diagnosis" / "2").scalars("rows/counted")
    assert rows[step_of("2026-11-03")] == 2 * watched_models.ROWS
    assert rows[step_of("2026-11-05")] == watched_models.ROWS
    assert len(rows) == 5


@pytest.mark.usefixtures("baseline")
def test_who_was_killed_before_the_note_writes_again_and_nothing_is_told_twice(store: Store, folder: Path) -> None:
    write(store, folder)
    for note in folder.rglob("written.json"):
        note.unlink()
    assert write(store, folder)["diagnosis/2"] > 4
    assert len(list((folder / "diagnosis" / "2").glob("*tfevents*"))) == 2
    version = Read(folder / "diagnosis" / "2")
    for tag in version.plugins:
        assert version.values(tag)


@pytest.mark.usefixtures("baseline")
def test_several_who_write_at_once_tell_nothing_twice(store: Store, folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: write(store, folder), range(4)))
    assert not any(write(store, folder).values())
    version = Read(folder / "diagnosis" / "2")
    for tag in version.plugins:
        assert version.values(tag)
    assert len(version.scalars("rows/counted")) == len(watched_models.DAYS)


@pytest.mark.usefixtures("baseline")
def test_a_note_that_is_none_is_named(store: Store, folder: Path) -> None:
    write(store, folder)
    (folder / "diagnosis" / "written.json").write_text("[]")
    with pytest.raises(IntegrityError, match=r"diagnosis/written\.json.*remove it"):
        write(store, folder)


def test_the_page_lists_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tensorboard.md").read_text()
    for written in WRITTEN:
        tags = ", ".join(f"`{tag}`" for tag in written.tags)
        assert f"| {tags} | {written.shown} | {written.step} | {written.meaning} |" in page


TAGS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
NUMBERS = st.floats(width=32, allow_nan=False)


@given(st.lists(st.tuples(TAGS, NUMBERS, TAGS), min_size=1), st.integers(0, 2**31), st.floats(0, 2e9))
def test_events_are_read_as_they_were_meant(told: list[tuple[str, float, str]], step: int, at: float) -> None:
    values = [value for tag, number, words in told for value in (scalar(tag, number), text(tag, words))]
    bars = histogram("bars", [Bucket(0.0, 1.5, 2), Bucket(1.5, 2.0, 0)], "about")
    events = list(read_events(event_file([Step(step, at, (*values, bars))])))
    assert events[0].file_version == "brain.Event:2"
    assert (events[1].step, events[1].session_log.status) == (step, 1)
    assert (events[2].step, events[2].wall_time) == (step, at)
    read: list[Summary.Value] = list(events[2].summary.value)
    for place, (tag, number, words) in enumerate(told):
        assert read[2 * place].tag == read[2 * place + 1].tag == tag
        assert tensor_util.make_ndarray(read[2 * place].tensor) == number
        assert tensor_util.make_ndarray(read[2 * place + 1].tensor).tolist() == [words.encode()]
    assert tensor_util.make_ndarray(read[-1].tensor).tolist() == [[0.0, 1.5, 2.0], [1.5, 2.0, 0.0]]


def read_events(data: bytes) -> list[Event]:
    """The events of a file; each length and each record is held to its checksum."""
    events = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        record = data[12 : 12 + length]
        assert data[8:12] == _masked(data[:8])
        assert data[12 + length : 16 + length] == _masked(record)
        events.append(Event.FromString(record))
        data = data[16 + length :]
    return events


def _masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32)
