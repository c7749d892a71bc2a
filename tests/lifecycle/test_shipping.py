"""A live pipeline on its way: shipped in one call or step by step, promoted, rolled back; and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxlet
import trained
from markup import tables
from models import tiny
from onnxlet.errors import (
    ContractFailedError,
    ConversionError,
    InvalidInputError,
    MissingExtraError,
    NothingToRollBackError,
    StoreUnavailableError,
    TrustRequiredError,
)
from onnxlet.lifecycle.attempt import Attempt
from onnxlet.registry.registry import Registry
from onnxlet.store.memory import MemoryStore
from onnxlet.values.contract import Bounds
from onnxlet.values.keys import alias_key
from patients import FEATURES, patients, pipeline
from registries import DRAFT
from scripted import serving

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain

KNOWN, FRESH = patients(300, 1), patients(200, 2)[list(FEATURES)]
HELD_OUT = KNOWN[[*FEATURES, "diagnosis"]]
IMPOSSIBLE = {"distance": 0, "mean_distance": 0}


@pytest.fixture(scope="module")
def model() -> Any:  # noqa: ANN401 - scikit-learn has no types
    from sklearn.linear_model import LogisticRegression

    return pipeline(LogisticRegression(max_iter=1000)).fit(KNOWN[list(FEATURES)], KNOWN["diagnosis"])


@pytest.fixture(autouse=True)
def own_store(directory_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The store that is meant where none is named."""
    monkeypatch.setenv("ONNXLET_STORE", directory_url)
    monkeypatch.setenv("ONNXLET_CACHE_DIR", str(tmp_path / "cache"))


def test_a_live_pipeline_is_shipped_and_predicts_as_it_does_itself(
    model: Any,  # noqa: ANN401
    directory_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shipped = onnxlet.ship(
        model, "diagnosis", data=HELD_OUT, target="diagnosis", slices=["smoker"], promote=True, why="first"
    )

    assert capsys.readouterr() == ("", "")
    assert (shipped.model, shipped.version) == ("diagnosis", 1)
    assert shipped.contract is not None
    assert shipped.contract.holds
    assert shipped.contract.worst_slice
    assert shipped.manifest.reference is not None
    assert shipped.manifest.reference.kind == "object"
    assert shipped.fit is not None
    assert shipped.fit.fits
    assert repr(shipped) == "<diagnosis:1: the contract holds on 300 rows, promoted to 'production'>"
    facts = dict(row for table in tables(shipped._repr_html_()) for row in table if len(row) == 2)
    assert facts["promoted"] == "diagnosis@production: - -> 1"
    assert facts["on Lambda"].startswith("fits: ")
    assert facts["reference"].startswith("object, the model's own answers (scikit-learn")
    assert onnxlet.load("diagnosis").predict(FRESH).tolist() == model.predict(FRESH).tolist()
    with serving(directory_url, tmp_path / "serving") as server:
        answer = onnxlet.connect(server.url).predict("diagnosis", FRESH)
    assert answer.label.tolist() == model.predict(FRESH).tolist()
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(FRESH), atol=1e-5)


def test_step_by_step_gives_the_same_version(model: Any, tmp_path: Path) -> None:  # noqa: ANN401
    rows, truth = HELD_OUT[list(FEATURES)], HELD_OUT["diagnosis"]
    converted = onnxlet.convert(model, tmp_path / "model", data=rows, target=truth, tolerance=1e-4)
    optimized = onnxlet.optimize(converted, data=rows, target=truth)
    verdict = onnxlet.verify(optimized, data=rows, target=truth, report=tmp_path / "copy.html")
    version = onnxlet.publish(optimized, "diagnosis")
    move = onnxlet.promote(version, why="it holds")

    assert verdict.holds
    assert verdict.report.read_text() == (tmp_path / "copy.html").read_text()
    assert repr(verdict) == f"<the contract holds on 300 rows; see '{tmp_path}/model/report.html'>"
    assert tables(verdict._repr_html_())[-1][-1] == ["contract", "holds on 300 rows"]
    assert repr(converted) == f"<converted scikit-learn model in '{tmp_path}/model'>"
    assert tables(optimized._repr_html_())[0][0][:2] == ["stage", "rows"]
    assert repr(version) == "<diagnosis:1: the contract holds on 300 rows>"
    assert repr(move) == "diagnosis@production: - -> 1"
    assert tables(move._repr_html_())[0][1][-1] == "it holds"
    assert onnxlet.load(str(version)).predict(FRESH).tolist() == model.predict(FRESH).tolist()


def test_promotions_are_rolled_back(model: Any, directory_url: str) -> None:  # noqa: ANN401
    for _ in range(2):
        onnxlet.ship(model, "diagnosis", data=HELD_OUT, target="diagnosis", promote=True)
    with pytest.raises(InvalidInputError, match="'diagnosis' names no version: say which, diagnosis:1"):
        onnxlet.promote("diagnosis")
    onnxlet.promote("diagnosis:1", alias="candidate", store=directory_url)
    assert repr(onnxlet.rollback("diagnosis", why="recall fell")) == "diagnosis@production: 2 -> 1"
    with pytest.raises(NothingToRollBackError):
        onnxlet.rollback("diagnosis")
    assert [each.action for each in onnxlet.Registry().history("diagnosis")] == ["promote", "promote", "rollback"]


def test_a_model_may_be_a_path_and_so_may_its_data(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    features, target = trained.blobs(classes=2)
    path = trained.saved(trained.fitted(LogisticRegression(), features, target), tmp_path)
    data = trained.csv_of(tmp_path / "data.csv", features, target)

    with pytest.raises(TrustRequiredError):
        onnxlet.ship(str(path), "blobs", data=str(data), target="target")
    shipped = onnxlet.ship(str(path), "blobs", data=str(data), target="target", trust=True, labels=["no", "yes"])

    assert shipped.manifest.labels == ("no", "yes")
    assert shipped.move is None
    assert "promoted" not in repr(shipped)


def test_a_broken_contract_publishes_nothing_unless_it_is_forced(model: Any) -> None:  # noqa: ANN401
    with pytest.raises(ContractFailedError, match=r"nothing was published.*loosen it with bounds=") as refused:
        onnxlet.ship(model, "diagnosis", data=HELD_OUT, target="diagnosis", bounds=IMPOSSIBLE)
    assert "report.html" in str(refused.value)
    assert list(onnxlet.Registry().list()) == []
    with pytest.raises(InvalidInputError, match="force needs a why"):
        onnxlet.ship(model, "diagnosis", data=HELD_OUT, target="diagnosis", bounds=IMPOSSIBLE, force=True)

    forced = onnxlet.ship(model, "diagnosis", data=HELD_OUT, bounds=IMPOSSIBLE, force=True, why="a drill", promote=True)
    assert forced.move is not None
    assert forced.move.warning.startswith("diagnosis:1 was forced")
    assert "warning: diagnosis:1 was forced" in repr(forced.move)
    with pytest.raises(ContractFailedError):
        onnxlet.promote(forced)


def test_a_version_without_a_contract_says_so(tmp_path: Path) -> None:
    (tmp_path / "sum.onnx").write_bytes(tiny.regressor().SerializeToString())
    version = onnxlet.publish(tmp_path / "sum.onnx", "sum")
    assert repr(version) == "<sum:1: no contract>"
    assert "sum:1 has no accuracy contract" in onnxlet.promote(version).warning


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"slices": ["sex"]}, "no column 'sex'"),
        ({"bounds": {"size": 1}}, "'size' is not bounded: choose of metric_loss"),
        ({"bounds": {"distance": -1}}, "distance must be 0 or more"),
        ({"tolerance": 0}, "a tolerance is a share"),
        ({"tolerances": 0.1}, "there is no option 'tolerances'; there are 'abstain', 'background_from'"),
        ({"inputs": ["image"]}, "describes no input"),
        ({"target": "sex"}, "no column 'sex'"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    model: Any,  # noqa: ANN401
    options: dict[str, Any],
    said: str,
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        onnxlet.ship(model, "diagnosis", **{"data": HELD_OUT, "target": "diagnosis", **options})
    assert list(onnxlet.Registry().list()) == []


def test_options_of_other_steps_are_refused(model: Any, tmp_path: Path) -> None:  # noqa: ANN401
    with pytest.raises(InvalidInputError, match="there is no option 'method'"):
        onnxlet.convert(model, tmp_path / "out", method="dynamic-int8")  # type: ignore[call-arg] # that is the point
    converted = onnxlet.convert(model, tmp_path / "out", data=HELD_OUT, target="diagnosis")
    with pytest.raises(InvalidInputError, match="there is no option 'trust'"):
        onnxlet.optimize(converted, trust=True)  # type: ignore[call-arg] # same
    assert onnxlet.verify(converted, data=HELD_OUT, bounds=Bounds(label_change=0.5)).contract.bounds.label_change == 0.5


@pytest.mark.skipif(find_spec("tensorflow") is not None, reason="tests/frameworks exports for real")
def test_an_export_names_the_extra_that_it_needs(model: Any, tmp_path: Path) -> None:  # noqa: ANN401
    onnxlet.ship(model, "diagnosis", data=HELD_OUT, target="diagnosis", promote=True)
    with pytest.raises(MissingExtraError, match="tensorflow"):
        onnxlet.export("diagnosis", tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_what_is_no_model_is_refused_by_its_class(directory_url: str) -> None:
    with pytest.raises(ConversionError, match=r"a builtins\.dict is no model"):
        onnxlet.ship({"weights": [1.0]}, "m", data=HELD_OUT)
    assert list(onnxlet.Registry(directory_url).list()) == []


class ReadOnlyAlias(MemoryStore):
    """A store that takes versions, and no alias."""

    def create(self, key: str, data: bytes | Path) -> str:
        if key == alias_key("m", "production"):
            raise StoreUnavailableError("access denied")
        return super().create(key, data)


def test_a_model_that_is_not_converted_is_to_be_shipped(model: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidInputError, match=r"not a Pipeline: onnxlet\.ship\(model, name, data=…\) converts"):
        onnxlet.publish(model, "diagnosis")


def publishing(store: MemoryStore, folder: Path) -> Attempt:
    """An attempt that has published a version."""
    (folder / "model.onnx").write_bytes(b"graph")
    attempt = Attempt(Registry(store), "m")
    attempt.publish(DRAFT, {"model.onnx": folder / "model.onnx"})
    return attempt


def test_an_error_after_the_version_exists_says_that_it_does(tmp_path: Path) -> None:
    attempt = publishing(ReadOnlyAlias("memory://attempt"), tmp_path)
    denied = pytest.raises(StoreUnavailableError, match="m:1 was published, not promoted: access denied")
    with denied, attempt.explaining():
        attempt.promote(why="", force=False)


def test_ctrl_c_is_noted_with_what_was_done(tmp_path: Path) -> None:
    attempt = publishing(MemoryStore("memory://interrupted"), tmp_path)
    with pytest.raises(KeyboardInterrupt) as interrupted, attempt.explaining():
        raise KeyboardInterrupt
    assert interrupted.value.__notes__ == ["m:1 was published"]


def test_a_script_runs_as_a_notebook_user_would_write_it() -> None:
    script = """
import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split
import onnxlet

rows = load_breast_cancer(as_frame=True)
table = rows.data.assign(diagnosis=rows.target.map({0: "malignant", 1: "benign"}))
table.loc[::7, "mean area"] = np.nan
train, held_out = train_test_split(table, test_size=0.4, random_state=0)
held_out, fresh = held_out[:150], held_out[150:].drop(columns="diagnosis")
model = HistGradientBoostingClassifier(max_iter=20).fit(train.drop(columns="diagnosis"), train["diagnosis"])
print(onnxlet.ship(model, "diagnosis", data=held_out, target="diagnosis", promote=True))
loaded = onnxlet.load("diagnosis")
assert (loaded.predict(fresh) == model.predict(fresh)).all()
np.testing.assert_allclose(loaded.predict_proba(fresh), model.predict_proba(fresh), atol=1e-5)
print(onnxlet.Registry().compare("diagnosis")["diagnosis:1"]["accuracy"] > 0.9)
"""
    environ = {**os.environ, "MPLBACKEND": "Agg"}
    done = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (done.stdout.splitlines(), done.stderr) == (["diagnosis:1", "True"], "")
