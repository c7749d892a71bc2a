"""The policy of a version: rules as documents, what publishing refuses, what sketches and buffers hold of columns."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from doors import COLUMNS, FEATURES, Shop
from onnxlet.cli.root import cli
from onnxlet.errors import InvalidInputError
from onnxlet.monitor.baseline import draw_baseline
from onnxlet.monitor.capture.policy import CapturePolicy, read_policy
from onnxlet.monitor.capture.publishing import check_policy, obeying
from onnxlet.monitor.capture.rules import Bucket, Count, Drop, Hash, Keep, Round, release_column
from onnxlet.monitor.capture.wording import describe_policy
from onnxlet.monitor.live import LiveSketches
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.windows import list_days, read_window
from onnxlet.steps import Classification, Column, Steps, Tabular
from onnxlet.store import Store, open_store
from onnxlet.telemetry.recording import Observation, Record, Telemetry
from onnxlet.values.signature import Signature, TensorSpec

KEY = b"k" * 32
DOCUMENT: dict[str, Any] = {
    "columns": {"age": {"rule": "bucket", "width": 10}, "name": "drop", "zip": "hash", "dose": "keep"},
    "outputs": {"label": "keep", "probability": {"rule": "round", "digits": 2}},
    "request_id": "keep",
    "retention_days": 14,
    "slices": ["age"],
}
STEPS = Steps(
    (
        Tabular((Column("age", "FP32"), Column("name", "BYTES"), Column("zip", "BYTES"), Column("dose", "FP32"))),
        Classification("class", "scores", ("malignant", "benign"), (0, 1)),
    )
)
GRAPH = Signature(
    (
        TensorSpec("age", "FP32", (-1, 1)),
        TensorSpec("name", "BYTES", (-1, 1)),
        TensorSpec("zip", "BYTES", (-1, 1)),
        TensorSpec("dose", "FP32", (-1, 1)),
    ),
    (TensorSpec("class", "INT64", (-1,)), TensorSpec("scores", "FP32", (-1, 2))),
)
SERVED = Signature(GRAPH.inputs, (TensorSpec("label", "BYTES", (-1,)), TensorSpec("probability", "FP32", (-1,))))


def check(**changes: object) -> CapturePolicy:
    return check_policy({**DOCUMENT, **changes}, STEPS, GRAPH, SERVED)


def test_rules_without_fields_may_be_names_and_are_written_out() -> None:
    policy = check()
    assert policy.columns == {"age": Bucket(width=10), "name": Drop(), "zip": Hash(), "dose": Keep()}
    assert policy.document()["columns"]["name"] == {"rule": "drop"}
    assert read_policy(policy.document()) == policy
    assert (policy.rule_of("other"), policy.request_id, policy.time) == (Count(), Keep(), Drop())
    assert policy.rule_of("probability[0]") == Round(2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"columns": {"agee": "drop"}}, "did you mean 'age'"),
        ({"outputs": {"score": "keep"}}, "the output 'score'"),
        ({"columns": {"name": {"rule": "bucket", "width": 3}}}, "'name' holds BYTES: bucket is for numbers"),
        ({"columns": {"age": {"rule": "bucket"}}}, "either edges or a width"),
        ({"columns": {"age": {"rule": "bucket", "edges": [3, 2]}}}, "must rise"),
        ({"columns": {"age": {"rule": "bucket", "width": -1}}}, "more than 0"),
        ({"columns": {"age": "encrypt"}}, "rules are drop, count, keep, hash, bucket, round"),
        ({"sample": 0}, "a share of requests"),
        ({"retention_days": 0}, "1 or more"),
        ({"time": {"rule": "bucket", "edges": [1]}}, "a width, in seconds"),
        ({"slices": ["name"]}, "captures nothing of it"),
        ({"samples": 1}, "unknown field"),
        ({"request_id": {"rule": "round", "digits": 1}}, "no capture policy"),
    ],
)
def test_what_does_not_fit_the_version_is_refused_with_what_to_do(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        check(**changes)


def test_pictures_can_be_dropped_or_counted_but_not_captured() -> None:
    class Encoded(Tabular, frozen=True, tag="encoded-for-a-test"):
        def encoded(self) -> tuple[str, ...]:
            return ("scan",)

    steps = Steps((Encoded((Column("scan", "BYTES"),)),))
    graph = Signature((TensorSpec("scan", "BYTES", (-1,)),), SERVED.outputs)
    assert check_policy({"columns": {"scan": "drop"}}, steps, graph, SERVED)
    with pytest.raises(InvalidInputError, match="takes files"):
        check_policy({"columns": {"scan": "keep"}}, steps, graph, SERVED)


def test_intervals_are_those_that_numbers_lie_in() -> None:
    width, edges = Bucket(width=10), Bucket(edges=(18, 65))
    assert [width.release(value, b"") for value in (63.2, 60, -0.5)] == ["[60, 70)", "[60, 70)", "[-10, 0)"]
    assert [edges.release(value, b"") for value in (3, 18, 64.9, 65)] == ["< 18", "[18, 65)", "[18, 65)", ">= 65"]


@given(st.floats(-1e6, 1e6), st.floats(0.01, 1e4))
def test_a_bucket_of_a_width_holds_its_number(value: float, width: float) -> None:
    low, high = json.loads(str(Bucket(width=width).release(value, b"")).replace(")", "]"))
    assert low - 1e-6 <= value <= high + 1e-6
    assert high - low == pytest.approx(width, rel=1e-3, abs=1e-5)


def test_missing_values_are_captured_as_missing_whatever_the_rule() -> None:
    numbers = np.array([np.nan, np.inf], np.float32)
    for rule in (Bucket(width=1), Round(1), Keep(), Hash()):
        assert release_column(rule, numbers[:1], KEY) == [None]
    assert release_column(Keep(), numbers, KEY) == [None, "inf"]
    assert release_column(Hash(), np.array(["", b""], object), KEY) == [None, None]


def test_a_hash_is_the_hmac_of_the_text_and_says_nothing_without_the_key() -> None:
    (hashed,) = release_column(Hash(), np.array([b"13435"], object), KEY)
    assert hashed == hmac.new(KEY, b"13435", hashlib.sha256).hexdigest()[:32]
    assert release_column(Hash(), np.array(["13435"], object), b"other" * 8) != [hashed]


def test_texts_that_are_none_are_captured_as_far_as_json_can_say_them() -> None:
    texts = np.array(["half \ud800", b"\xff", "Müller"], object)
    assert release_column(Keep(), texts, b"") == ["half ?", "\N{REPLACEMENT CHARACTER}", "Müller"]
    assert all(release_column(Hash(), texts, KEY))


def test_rows_of_several_values_are_captured_as_lists() -> None:
    assert release_column(Round(1), np.array([[0.125, 0.875], [1, 0]]), b"") == [[0.1, 0.9], [1, 0]]


def test_a_baseline_has_no_column_that_the_policy_drops_or_hashes() -> None:
    columns = {
        "age": np.arange(100, dtype=np.float32),
        "name": np.array(["Meyer", "Kahlo"] * 50, object),
        "zip": np.array(["13435", "10115"] * 50, object),
    }
    baseline = obeying(draw_baseline(columns, {"label": np.array(["benign"] * 100, object)}), check())
    assert [column.name for column in baseline.columns] == ["age"]
    assert [column.name for column in baseline.outputs] == ["label"]
    assert b"13435" not in baseline.encode()


def test_the_rule_of_a_tensor_is_that_of_each_of_its_values() -> None:
    policy = read_policy({"columns": {"x": "hash"}, "outputs": {"y": "drop"}})
    rows = np.random.default_rng(0).normal(size=(100, 3))
    baseline = obeying(draw_baseline({"x": rows, "z": rows}, {"y": rows}), policy)
    assert [column.name for column in baseline.columns] == ["z[0]", "z[1]", "z[2]"]
    assert baseline.outputs == ()
    assert read_policy({"columns": {"x": "drop", "x[1]": "keep"}}).rule_of("x[1]") == Keep()


class Recorder:
    """Holds what it was shown, as any buffer might."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def fold(self, records: Sequence[Record]) -> None:
        self.seen += [record for record in records if isinstance(record, Observation)]

    def flush(self, *, final: bool) -> None:
        """Nothing is written."""


def observed(store: Store, folder: Path, policy: dict[str, Any]) -> tuple[Shop, Telemetry, Recorder]:
    telemetry, recorder = Telemetry(rows=10_000), Recorder()
    telemetry.watch_with(lambda: recorder)
    telemetry.watch_with(lambda: LiveSketches(store))
    shop = Shop(store, folder, telemetry=telemetry)
    shop.publish_diagnosis(policy=policy)
    return shop, telemetry, recorder


@pytest.mark.parametrize("named", [True, False], ids=["as columns", "as a matrix"])
def test_dropped_columns_enter_no_buffer_and_no_sketch(store: Store, tmp_path: Path, named: bool) -> None:
    hidden = COLUMNS[3]
    policy = {"columns": {hidden: "drop", COLUMNS[4]: "hash"}, "outputs": {"probabilities": "drop"}}
    shop, telemetry, recorder = observed(store, tmp_path, policy)
    rows = np.random.default_rng(0).normal(size=(40, FEATURES)).astype(np.float32)
    rows[:, 3] = 7_654_321.25
    give_baseline(store, "diagnosis", 1, draw_baseline({name: rows[:, at] for at, name in enumerate(COLUMNS)}))
    instances = [dict(zip(COLUMNS, row, strict=True)) for row in rows.tolist()] if named else rows.tolist()
    signature = {"signature_name": "columns"} if named else {}
    answer = shop.predict("diagnosis", orjson.dumps({"instances": instances, **signature}))
    assert len(orjson.loads(answer.body)["predictions"]) == 40
    telemetry.flush()
    (seen,) = recorder.seen
    assert seen.prediction is not None
    assert seen.rows == 40
    held = [*seen.prediction.inputs.values(), *seen.prediction.outputs.values()]
    assert not any(np.any(tensor == np.float32(7_654_321.25)) for tensor in held if tensor.dtype.kind == "f")
    assert seen.prediction.outputs["probabilities"].size == 0
    (day,) = list_days(store, "diagnosis", 1)
    (sketch,) = read_window(store, "diagnosis", 1, day).sketches
    assert sum(sketch.inputs[hidden]) == sum(sketch.inputs[COLUMNS[4]]) == 0
    assert sum(sketch.inputs[COLUMNS[5]]) == 40


def test_a_policy_that_only_a_newer_onnxlet_reads_keeps_nothing(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop, telemetry, recorder = observed(store, tmp_path, {"columns": {COLUMNS[0]: {"rule": "blur"}}})
    assert shop.predict("diagnosis", orjson.dumps({"instances": [[1.0] * FEATURES]})).status == 200
    telemetry.flush()
    assert recorder.seen[0].prediction is not None
    assert all(tensor.size == 0 for tensor in recorder.seen[0].prediction.outputs.values())
    assert "nothing of diagnosis:1 is kept" in caplog.text


def test_publishing_takes_a_policy_and_show_tells_it(tmp_path: Path) -> None:
    shop = Shop(open_store(f"file://{tmp_path / 'other'}"), tmp_path / "shop")
    shop.publish_echo("echo", "FP32", -1, 2)
    policy = tmp_path / "policy.json"
    policy.write_text('{"columns": {"x": {"rule": "round", "digits": 1}}, "outputs": {"y": "keep"}, "sample": 0.5}')
    run = ["--store", f"file://{tmp_path / 'store'}"]
    published = CliRunner().invoke(
        cli, [*run, "publish", str(tmp_path / "shop" / "echo.onnx"), "echo", "--capture-policy", str(policy)]
    )
    assert published.exit_code == 0, published.stderr
    told = CliRunner().invoke(cli, [*run, "show", "echo:1"])
    assert "round x (1 digits); keep y, version" in told.stdout
    document = json.loads(CliRunner().invoke(cli, [*run, "show", "echo:1", "--json"]).stdout)["policy"]
    assert document["sample"] == 0.5
    assert describe_policy(None) == "nothing"
    assert describe_policy({"columns": {"x": "blur"}}) == "what only a newer onnxlet reads"
    policy.write_text('{"columns": {"z": "keep"}}')
    refused = CliRunner().invoke(
        cli, [*run, "publish", str(tmp_path / "shop" / "echo.onnx"), "echo", "--capture-policy", str(policy)]
    )
    assert refused.exit_code == 1
    assert "the policy speaks of the column 'z', which the version has not" in refused.stderr
