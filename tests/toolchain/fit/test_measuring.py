"""Fit, measured: tiny models in fresh processes, what stands in their way, and the command."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

import registries
from faults import FragileStore
from models import tiny
from onnxlet.cli import cli
from onnxlet.errors import (
    GoldenMismatchError,
    InvalidInputError,
    ModelNotFoundError,
    RejectedModelError,
    StoreUnavailableError,
    TooLargeError,
    VersionNotFoundError,
)
from onnxlet.registry.registry import Registry
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import GoldenCase, encode_cases
from onnxlet.store import Store, open_store
from onnxlet.toolchain.fit.fitting import fit
from onnxlet.toolchain.fit.observing import peak_bytes, repeat_rows
from onnxlet.toolchain.fit.prices import read_prices
from onnxlet.toolchain.fit.report import Report
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import manifest_key

PRICES = read_prices()
Run = Callable[..., Result]


@pytest.fixture
def run(directory_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on a fresh directory store, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONNXLET_PRICES", raising=False)
    return lambda *words: CliRunner().invoke(cli, ["--store", directory_url, *words])


def fitted(store: Store, model: str = "m") -> Report:
    return fit(store, model, 1, prices=PRICES, rounds=1)


def test_a_classifier_is_measured_in_fresh_processes_at_one_and_two_threads(store: Store, tmp_path: Path) -> None:
    manifest = tiny.publish(store, "m", tiny.classifier_package(tmp_path))
    said: list[str] = []
    report = fit(store, "m", 1, prices=PRICES, rounds=1, on_progress=said.append)
    assert report.fits
    measured = report.measured
    assert [at.threads for at in measured.threads] == [1, 2]
    assert (measured.artifact_bytes, measured.artifacts, measured.golden, measured.layers) == (
        manifest.size,
        2,
        True,
        None,
    )
    for at in measured.threads:
        assert min(at.imports, at.load, at.verify, at.first_run) > 0
        assert 20e6 < at.imported_bytes <= at.loaded_bytes <= at.peak_bytes < 500e6
        assert [latency.rows for latency in at.latencies] == [1, 32]
        assert all(0 < latency.median <= latency.p95 for latency in at.latencies)
    assert [text.split()[0] for text in said] == ["fetching", "loading", "loading"]


def test_memory_is_the_models_own_and_not_that_of_who_asks(store: Store, tmp_path: Path) -> None:
    tiny.publish(store, "big", tiny.package(tiny.big(16), tmp_path / "big", external=True), alias=None)
    ballast = np.ones(300_000_000, dtype=np.uint8)
    (at, _) = fitted(store, "big").measured.threads
    assert 16e6 < at.loaded_bytes - at.imported_bytes < 100e6
    assert at.peak_bytes < 250e6 < peak_bytes()
    assert ballast[0] == 1


def test_without_golden_cases_random_inputs_are_timed_with_a_remark(store: Store, tmp_path: Path) -> None:
    tiny.publish(store, "m", tiny.package(tiny.regressor(), tmp_path))
    report = fitted(store)
    assert not report.measured.golden
    assert "random inputs" in report.warnings[0]
    assert report.arithmetic.sizes[-1].warm is not None


def test_a_graph_of_fixed_rows_is_timed_as_it_is_and_batches_are_left_out(store: Store, tmp_path: Path) -> None:
    tiny.publish(store, "m", tiny.package(tiny.identity(shape=(1, 3)), tmp_path))
    report = fitted(store)
    assert [latency.rows for latency in report.measured.threads[0].latencies] == [1]
    assert "batches of 32 rows could not be timed: the graph fixes how many rows it takes" in report.warnings
    assert report.arithmetic.sizes[-1].per_million is not None
    assert report.arithmetic.sizes[-1].per_million_in_batches is None


def test_rows_are_those_of_the_example_again_and_again(tmp_path: Path) -> None:
    path = tiny.save(tiny.two_inputs(), tmp_path)["model.onnx"]
    engine = load_engine(path, threads=1, optimized=False, run_deadline=10)
    rows = np.arange(6, dtype=np.float32).reshape(3, 2)
    chosen = repeat_rows(engine, {"left": rows, "right": rows[:1]}, 4)
    assert chosen["left"].tolist() == [[0, 1], [2, 3], [4, 5], [0, 1]]
    assert chosen["right"].tolist() == [[0, 1]] * 4


def test_what_ends_a_probe_is_raised_here(store: Store, tmp_path: Path) -> None:
    registries.publish(Registry(store), tmp_path / "garbage", "garbage")
    with pytest.raises(RejectedModelError, match="ONNX Runtime does not load this model"):
        fitted(store, "garbage")
    draft, files = tiny.classifier_package(tmp_path / "wrong")
    rows = np.zeros((1, 3), dtype=np.float32)
    files["golden.json"].write_bytes(encode_cases([GoldenCase({"input": rows}, {"probabilities": rows[:, :2]})]))
    tiny.publish(store, "wrong", (draft, files))
    with pytest.raises(GoldenMismatchError, match="golden case 1 of 1"):
        fitted(store, "wrong")


def test_what_is_not_there_is_named_and_a_store_that_is_down_too(tmp_path: Path) -> None:
    store = FragileStore(open_store(f"memory://{uuid.uuid4().hex}"))
    tiny.publish(store, "m", tiny.classifier_package(tmp_path))
    with pytest.raises(ModelNotFoundError):
        fitted(store, "other")
    with pytest.raises(VersionNotFoundError):
        fit(store, "m", 2, prices=PRICES)
    store.down = True
    with pytest.raises(StoreUnavailableError):
        fitted(store)


def test_a_version_larger_than_any_function_is_refused_before_it_is_fetched(store: Store, tmp_path: Path) -> None:
    manifest = tiny.publish(store, "m", tiny.classifier_package(tmp_path))
    huge = msgspec.structs.replace(manifest.artifacts[0], size=11_000 * 2**20)
    key = manifest_key("m", 1)
    store.put(key, canonical(msgspec.structs.replace(manifest, artifacts=(huge,))))
    with pytest.raises(TooLargeError, match="has 11000 MB of artifacts"):
        fitted(store)


def test_an_input_without_free_rows_stays_as_it_is(tmp_path: Path) -> None:
    path = tiny.save(tiny.identity(shape=(2, 3)), tmp_path)["model.onnx"]
    engine = load_engine(path, threads=1, optimized=False, run_deadline=10)
    inputs = {"x": np.zeros((2, 3), dtype=np.float32)}
    assert repeat_rows(engine, inputs, 1)["x"].shape == (2, 3)
    with pytest.raises(InvalidInputError, match="fixes how many rows"):
        repeat_rows(engine, inputs, 32)


@pytest.mark.slow
def test_the_command_keeps_apart_what_was_measured_computed_and_assumed(
    run: Run, directory_url: str, tmp_path: Path
) -> None:
    tiny.publish(open_store(directory_url), "diagnosis", tiny.classifier_package(tmp_path / "one"))
    result = run("fit", "diagnosis:1", "--json", "--memory", "128", "--memory", "2048", "--architecture", "arm64")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert [size["memory"] for size in document["arithmetic"]["sizes"]] == [128, 512, 2048]
    assert document["arithmetic"]["prices"]["verified"] is False
    assert document["measured"]["threads"][0]["processes"] == 3
    assert document["assumptions"]

    text = run("fit", "diagnosis:1").stdout
    parts = re.split(r"^(MEASURED HERE|ARITHMETIC FOR LAMBDA|ASSUMED)$", text, flags=re.MULTILINE)
    assert parts[0].startswith("diagnosis:1 fits: zip, 512 MB (peak ")
    assert len(parts) == 7
    dated = f"{PRICES.date}, unverified"
    assert dated in parts[0]
    assert f"USD PER MILLION, {PRICES.date} UNVERIFIED" in parts[4]
    assert "USD" not in parts[2]


def test_the_command_writes_a_price_list_and_refuses_a_bad_one(run: Run, tmp_path: Path) -> None:
    result = run("fit", "--write-prices", "prices.json")
    assert (result.exit_code, result.stdout) == (0, "prices.json\n")
    assert read_prices(tmp_path / "prices.json") == PRICES
    assert run("fit", "--write-prices", "prices.json").exit_code == 1
    (tmp_path / "prices.json").write_text('{"currency": "USD"}')
    result = run("fit", "diagnosis:1", "--prices", "prices.json")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: 'prices.json' is no price list: object missing required field 'region'")


def test_the_command_wants_a_version_that_exists(run: Run) -> None:
    assert run("fit", "diagnosis").exit_code == 2
    result = run("fit", "diagnosis:7")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: no model named 'diagnosis'")
    assert run("fit", "diagnosis:7", "--memory", "64").exit_code == 2
