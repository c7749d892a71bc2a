"""Directories that MLflow wrote: converted, they answer as MLflow's own load_model(...).predict does."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_TRACKING_URI="file:///nowhere", GIT_PYTHON_REFRESH="quiet")

import catboost
import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
import torch
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

with warnings.catch_warnings():
    # it warns of its own type hints
    warnings.simplefilter("ignore")
    import mlflow
    import mlflow.catboost
    import mlflow.lightgbm
    import mlflow.onnx
    import mlflow.pyfunc
    import mlflow.pytorch
    import mlflow.sklearn
    import mlflow.xgboost
    from mlflow.models import infer_signature

import onnxlet
from onnxlet.errors import ConversionError, InvalidInputError, TrustRequiredError
from onnxlet.toolchain.convert import convert
from onnxlet.values.manifest import ReferenceOrigin
from toolchain.convert.scikit_learn.patients import ask_served, patients

pytestmark = [pytest.mark.mlflow, pytest.mark.filterwarnings("ignore")]
logging.getLogger("mlflow").setLevel(logging.ERROR)
CATBOOST = {"iterations": 5, "verbose": 0, "allow_writing_files": False, "thread_count": 1}


def stages(illness: Any) -> Any:
    return np.digitize(illness, np.quantile(illness, [0.4, 0.8]))


def logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression())


def answers(directory: Path, frame: pd.DataFrame) -> Any:
    """What MLflow's own predict gives."""
    return np.asarray(mlflow.pyfunc.load_model(str(directory)).predict(frame))


SKLEARN = ["skops", "cloudpickle", "pickle"]


@pytest.mark.parametrize("serialization", SKLEARN)
def test_estimators_are_restored_whole_and_are_the_reference(serialization: str, tmp_path: Path) -> None:
    known, illness = patients(1)
    model = logistic().fit(known, np.array(["I", "II", "III"])[stages(illness)])
    source = tmp_path / "mlflow"
    mlflow.sklearn.save_model(model, source, serialization_format=serialization, input_example=known.head(3))

    draft = convert(source, tmp_path / "out", data=known, trust=serialization != "skops")

    assert draft.reference is not None
    assert (draft.reference.kind, draft.labels) == ("object", ("I", "II", "III"))
    assert draft.provenance.versions["mlflow"] == mlflow.__version__
    assert draft.provenance.source_digest is not None
    fresh, _ = patients(2)
    assert ask_served(tmp_path / "out", fresh)["label"].tolist() == answers(source, fresh).tolist()


@pytest.mark.parametrize("serialization", ["cloudpickle", "pickle"])
def test_pickles_need_trust(serialization: str, tmp_path: Path) -> None:
    known, illness = patients(3)
    source = tmp_path / "mlflow"
    mlflow.sklearn.save_model(logistic().fit(known, stages(illness)), source, serialization_format=serialization)
    with pytest.raises(TrustRequiredError, match="--trust"):
        convert(source, tmp_path / "out")


def test_types_that_the_directory_trusts_itself_need_trust_as_well(tmp_path: Path) -> None:
    known, illness = patients(4)
    source = tmp_path / "mlflow"
    model = lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1).fit(known, stages(illness))
    mlflow.lightgbm.save_model(model, source, serialization_format="skops")
    assert "skops_trusted_types" in (source / "MLmodel").read_text()
    with pytest.raises(TrustRequiredError, match="Booster"):
        convert(source, tmp_path / "out")


BOOSTERS: dict[str, tuple[Callable[[], Any], Callable[..., None], str]] = {
    "XGBoost": (
        lambda: xgboost.XGBClassifier(n_estimators=5, n_jobs=1),
        mlflow.xgboost.save_model,
        "file",
    ),
    "XGBoost in JSON": (
        lambda: xgboost.XGBClassifier(n_estimators=5, n_jobs=1),
        lambda model, path: mlflow.xgboost.save_model(model, path, model_format="json"),
        "file",
    ),
    "LightGBM": (
        lambda: lightgbm.LGBMClassifier(n_estimators=5, n_jobs=1, verbose=-1),
        lambda model, path: mlflow.lightgbm.save_model(model, path, serialization_format="cloudpickle"),
        "object",
    ),
    "CatBoost": (
        lambda: catboost.CatBoostClassifier(**CATBOOST),
        mlflow.catboost.save_model,
        "file",
    ),
    "CatBoost in JSON": (
        lambda: catboost.CatBoostClassifier(**CATBOOST),
        lambda model, path: mlflow.catboost.save_model(model, path, format="json"),
        "file",
    ),
}


@pytest.mark.parametrize(("make", "save", "reference"), BOOSTERS.values(), ids=BOOSTERS)
def test_boosted_trees_answer_as_mlflow_does_and_say_what_they_are_held_to(
    make: Callable[[], Any], save: Callable[..., None], reference: str, tmp_path: Path
) -> None:
    known, illness = patients(5)
    save(make().fit(known, stages(illness)), tmp_path / "mlflow")

    draft = convert(tmp_path / "mlflow", tmp_path / "out", data=known, trust=True)

    assert draft.reference is not None
    assert draft.reference.kind == reference
    fresh, _ = patients(6)
    assert (
        ask_served(tmp_path / "out", fresh)["label"].tolist()
        == answers(tmp_path / "mlflow", fresh).reshape(-1).tolist()
    )


def test_a_booster_of_lightgbm_is_held_to_its_text(tmp_path: Path) -> None:
    known, illness = patients(7)
    booster = lightgbm.LGBMRegressor(n_estimators=5, n_jobs=1, verbose=-1).fit(known, illness).booster_
    mlflow.lightgbm.save_model(booster, tmp_path / "mlflow")
    draft = convert(tmp_path / "mlflow", tmp_path / "out", data=known)
    assert draft.reference == ReferenceOrigin("file", "LightGBM", lightgbm.__version__)
    fresh, _ = patients(8)
    np.testing.assert_allclose(
        ask_served(tmp_path / "out", fresh)["prediction"], answers(tmp_path / "mlflow", fresh), rtol=1e-5
    )


@pytest.mark.parametrize("data", ["none", "more columns"])
def test_the_signature_names_the_columns_of_a_model_of_arrays(data: str, tmp_path: Path) -> None:
    known, illness = patients(9)
    model = xgboost.XGBRegressor(n_estimators=5, n_jobs=1).fit(known.to_numpy(), illness)
    mlflow.xgboost.save_model(model, tmp_path / "mlflow", signature=infer_signature(known, illness))
    wide = known.assign(ward=3.0)[["ward", "pressure", "age", "count", "marker"]]

    draft = convert(tmp_path / "mlflow", tmp_path / "out", data=None if data == "none" else wide)

    assert [spec.name for spec in draft.signature.inputs] == ["features"]
    fresh, _ = patients(10)
    served = ask_served(tmp_path / "out", fresh)["prediction"]
    np.testing.assert_allclose(served, model.predict(fresh.to_numpy()), rtol=1e-5)


def test_data_that_lacks_a_column_of_the_signature_is_refused(tmp_path: Path) -> None:
    known, illness = patients(11)
    model = xgboost.XGBRegressor(n_estimators=5, n_jobs=1).fit(known.to_numpy(), illness)
    mlflow.xgboost.save_model(model, tmp_path / "mlflow", signature=infer_signature(known, illness))
    with pytest.raises(InvalidInputError, match="lacks the columns 'age' of the signature"):
        convert(tmp_path / "mlflow", tmp_path / "out", data=known.drop(columns="age"))


def test_without_data_the_input_example_says_what_texts_are(tmp_path: Path) -> None:
    known, illness = patients(12)
    known["ward"] = np.array(["A", "B", "C"])[known["age"].astype(int) % 3]
    columns = ColumnTransformer([("w", OneHotEncoder(handle_unknown="ignore"), ["ward"])], remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression(max_iter=3000)).fit(known, stages(illness))
    mlflow.sklearn.save_model(
        model, tmp_path / "mlflow", serialization_format="cloudpickle", input_example=known.head(9)
    )
    messages: list[str] = []

    draft = convert(tmp_path / "mlflow", tmp_path / "out", trust=True, on_progress=messages.append)

    assert "without --data the 9 rows of the input example are compared" in messages
    assert {spec.name: spec.datatype for spec in draft.signature.inputs}["ward"] == "BYTES"
    fresh, _ = patients(13)
    fresh["ward"] = np.array(["A", "C", "elsewhere"])[fresh["age"].astype(int) % 3]
    assert ask_served(tmp_path / "out", fresh)["label"].tolist() == answers(tmp_path / "mlflow", fresh).tolist()


def test_modules_that_came_with_the_model_are_found(tmp_path: Path) -> None:
    (tmp_path / "ward_rounds.py").write_text(
        "from sklearn.linear_model import LogisticRegression\nclass Careful(LogisticRegression):\n    pass\n"
    )
    script = (
        "import sys, mlflow.sklearn, numpy as np; sys.path.insert(0, '.'); from ward_rounds import Careful\n"
        "x = np.random.default_rng(0).normal(size=(50, 3))\n"
        "mlflow.sklearn.save_model(Careful().fit(x, x[:, 0] > 0), 'mlflow', serialization_format='pickle', "
        "code_paths=['ward_rounds.py'])\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    before = list(sys.path)

    with pytest.raises(ConversionError, match="no converter for the Careful"):
        convert(tmp_path / "mlflow", tmp_path / "out", trust=True)

    assert sys.path == before


def test_graphs_are_taken_as_they_are(tmp_path: Path) -> None:
    known, illness = patients(14)
    from skl2onnx import to_onnx

    model = logistic().fit(known.to_numpy(), stages(illness))
    graph = to_onnx(model, known.to_numpy(dtype=np.float32)[:1], options={"zipmap": False})
    mlflow.onnx.save_model(graph, tmp_path / "mlflow")

    draft = convert(tmp_path / "mlflow", tmp_path / "out")

    assert draft.reference is None
    served = onnx.load(tmp_path / "out" / "model.onnx")
    assert [value.name for value in served.graph.output] == [value.name for value in graph.graph.output]


def test_exported_programs_of_pytorch_are_converted_and_pickled_modules_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).eval()
    example = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    signature = infer_signature(example, net(torch.tensor(example)).detach().numpy())
    mlflow.pytorch.save_model(
        net, tmp_path / "exported", serialization_format="pt2", input_example=example, signature=signature
    )
    mlflow.pytorch.save_model(net, tmp_path / "pickled", serialization_format="pickle")

    draft = convert(tmp_path / "exported", tmp_path / "out", trust=True)
    with pytest.raises(ConversionError, match=r"serialization_format='pt2'"):
        convert(tmp_path / "pickled", tmp_path / "other", trust=True)

    assert draft.reference is not None
    fresh = np.random.default_rng(1).normal(size=(7, 4)).astype(np.float32)
    import trained

    (served,) = trained.served_model(tmp_path / "out").predict({draft.signature.inputs[0].name: fresh}).values()
    np.testing.assert_allclose(served, answers(tmp_path / "exported", fresh), atol=1e-5)


class Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """A model that is nothing but a Python function."""

    def predict(self, model_input: list[str]) -> list[str]:
        """What it was asked."""
        return model_input


def test_python_functions_are_refused_by_name(tmp_path: Path) -> None:
    mlflow.pyfunc.save_model(tmp_path / "mlflow", python_model=Echo())
    with pytest.raises(ConversionError, match=r"flavour python_function, loaded by mlflow\.pyfunc\.model"):
        convert(tmp_path / "mlflow", tmp_path / "out", trust=True)


def test_a_directory_is_shipped_from_python(tmp_path: Path) -> None:
    known, illness = patients(15)
    model = logistic().fit(known, stages(illness))
    mlflow.sklearn.save_model(model, tmp_path / "mlflow", serialization_format="skops")
    store = f"file://{tmp_path}/store"

    onnxlet.ship(str(tmp_path / "mlflow"), "stage", data=known, target=stages(illness), promote=True, store=store)

    fresh, _ = patients(16)
    np.testing.assert_array_equal(
        onnxlet.load("stage", store=store).predict(fresh), answers(tmp_path / "mlflow", fresh)
    )


def test_a_pipeline_of_transformers_answers_texts_as_it_did(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    import mlflow.transformers

    learned = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "pain", "in", "the", "knee", "no", "fever"]
    tokenizer = transformers.BertTokenizer(vocab={word: number for number, word in enumerate(learned)})
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=len(learned), id2label={0: "well", 1: "ill"}, **shape)
    model = transformers.BertForSequenceClassification(config).eval()
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
    mlflow.transformers.save_model(pipeline, str(tmp_path / "model"), pip_requirements=["transformers"])
    texts = ["pain in the knee", "no fever", "the the the"]

    shipped = onnxlet.ship(tmp_path / "model", "notes", data=texts, store=tmp_path / "store", promote=True)

    loaded = onnxlet.load(str(shipped), store=tmp_path / "store")
    told = mlflow.transformers.load_model(str(tmp_path / "model"))(texts)
    assert [loaded.manifest.labels[value] for value in loaded.predict(texts)] == [each["label"] for each in told]
