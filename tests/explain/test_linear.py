"""Linear models: exact, against coefficients that scikit-learn's own estimators have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import onnxlet
import trained
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request
from onnxlet.errors import NotExplainableError
from onnxlet.explain.background import decode_background
from onnxlet.explain.writing import MOST_ATTRIBUTIONS
from onnxlet.registry.registry import Registry
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain


class Shipped:
    """An estimator that was converted and published, with the background of its version."""

    def __init__(self, folder: Path, estimator: Any, rows: Any, **options: Any) -> None:  # noqa: ANN401
        self.estimator = estimator
        convert(estimator, folder / "out", data=rows, **options)
        draft, files = prepare(folder / "out", folder / "prepared")
        self.draft = draft
        Registry(open_store((folder / "store").as_uri()), who="tests").publish("model", draft, files)
        self.loaded = onnxlet.load("model:1", store=folder / "store")
        columns = decode_background((folder / "out" / "explain.background.json").read_bytes())
        self.background = pd.DataFrame(columns)


def frame_of(features: Any) -> pd.DataFrame:  # noqa: ANN401
    """The features by name."""
    return pd.DataFrame(features, columns=trained.feature_names(features.shape[1]))


def near(got: Any, expected: Any) -> None:  # noqa: ANN401
    """Raises if an attribution is off by more than 1e-6 of the largest, or of 1."""
    assert np.abs(got - expected).max() <= 1e-6 * max(1.0, np.abs(expected).max())


def test_a_regression_is_coefficient_times_distance_from_the_mean(tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    features, target = trained.slopes()
    features *= (1, 1000, 0.001, 1)
    rows = frame_of(features.astype(np.float32).astype(float))
    shipped = Shipped(tmp_path, Ridge().fit(rows, target), rows)
    explained = shipped.loaded.explain(rows[:20])
    mean = shipped.background.to_numpy(float).mean(axis=0)
    near(explained.attributions[:, :, 0], shipped.estimator.coef_ * (rows[:20].to_numpy() - mean))
    assert (explained.method, explained.unit, explained.output) == ("linear", "value", "prediction")
    assert explained.predictions[:, 0] == pytest.approx(shipped.estimator.predict(rows[:20]), rel=1e-5)
    assert explained.sum_error < 1e-9
    assert "linear table; background of 100 rows, synthetic" in shipped.loaded._repr_html_()


def test_a_classifier_is_explained_in_log_odds(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    features, target = trained.blobs(classes=2)
    rows = frame_of(features)
    shipped = Shipped(tmp_path, LogisticRegression().fit(rows, target), rows)
    explained = shipped.loaded.explain(rows[:20])
    mean = shipped.background.to_numpy(float).mean(axis=0)
    expected = shipped.estimator.coef_[0] * (rows[:20].to_numpy() - mean)
    near(explained.attributions[:, :, 1], expected)
    near(explained.attributions[:, :, 0], -expected)
    assert (explained.method, explained.unit, explained.output) == ("linear", "log-odds", "probabilities")
    np.testing.assert_allclose(explained.predictions[:, 1], shipped.estimator.decision_function(rows[:20]), atol=1e-4)


def test_several_classes_are_explained_by_their_logits(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    features, target = trained.blobs()
    rows = frame_of(features)
    shipped = Shipped(tmp_path, LogisticRegression().fit(rows, target), rows)
    explained = shipped.loaded.explain(rows[:20], classes=[2, 0])
    mean = shipped.background.to_numpy(float).mean(axis=0)
    expected = shipped.estimator.coef_[[2, 0]].T * (rows[:20].to_numpy() - mean)[:, :, None]
    near(explained.attributions, expected)
    assert (explained.unit, explained.classes) == ("logit", ("2", "0"))


@pytest.mark.parametrize("kind", ["splines", "bins", "powers"])
def test_a_sum_of_curves_of_single_columns_is_exact_however_many_there_are(tmp_path: Path, kind: str) -> None:
    """An additive model's column counts for what it adds: by the estimator itself, with that column alone changed."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import KBinsDiscretizer, PowerTransformer, SplineTransformer

    curves = {
        "splines": SplineTransformer(),
        "bins": KBinsDiscretizer(encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
        "powers": PowerTransformer(),
    }
    random = np.random.default_rng(0)
    rows = pd.DataFrame(random.normal(size=(400, 12)).astype(np.float32), columns=[f"c{place}" for place in range(12)])
    target = np.sin(2 * rows["c0"]) + rows["c5"] ** 2 - rows["c11"] > 0.5
    shipped = Shipped(tmp_path, make_pipeline(curves[kind], LogisticRegression()).fit(rows, target), rows)
    explained = shipped.loaded.explain(rows[:3], classes="True")
    assert (explained.method, explained.unit, explained.evaluations) == ("linear", "log-odds", 0)
    ask, background = shipped.estimator.decision_function, shipped.background[list(rows)]
    for number in range(3):
        for place, column in enumerate(rows):
            alone = background.assign(**{column: rows[column][number]})
            added = (ask(alone) - ask(background)).mean()
            assert explained.attributions[number, place, 0] == pytest.approx(added, abs=1e-4)


def test_the_columns_of_an_encoder_are_the_one_that_was_encoded(tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    random = np.random.default_rng(0)
    rows = pd.DataFrame({"age": random.normal(60, 9, 200), "ward": random.choice(["A", "B", "C"], 200)})
    target = (rows["ward"] == "B").to_numpy() ^ (random.random(200) < 0.2)
    scale = make_pipeline(SimpleImputer(), StandardScaler())
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["ward"]), (scale, ["age"]))
    estimator = make_pipeline(encode, LogisticRegression()).fit(rows, target)
    shipped = Shipped(tmp_path, estimator, rows)
    explained = shipped.loaded.explain(rows[:20])
    assert explained.players == ("age", "ward")
    encoded = encode.transform(rows[:20]) - encode.transform(shipped.background).mean(axis=0)
    shares = encoded * estimator[-1].coef_[0]
    near(explained.attributions[:, :, 1], np.stack([shares[:, 3], shares[:, :3].sum(axis=1)], axis=1))


def test_a_decision_and_a_log_link_are_linear_too(tmp_path: Path) -> None:
    from sklearn.linear_model import PoissonRegressor
    from sklearn.svm import LinearSVC

    features, target = trained.blobs(classes=2)
    rows = frame_of(features)
    decided = Shipped(tmp_path / "svc", LinearSVC().fit(rows, target), rows)
    explained = decided.loaded.explain(rows[:5])
    mean = decided.background.to_numpy(float).mean(axis=0)
    near(explained.attributions[:, :, 0], decided.estimator.coef_[0] * (rows[:5].to_numpy() - mean))
    assert (explained.method, explained.unit) == ("linear", "decision function")
    counted = Shipped(tmp_path / "poisson", PoissonRegressor().fit(rows, target + 1.0), rows)
    explained = counted.loaded.explain(rows[:5])
    near(explained.attributions[:, :, 0], counted.estimator.coef_ * (rows[:5].to_numpy() - mean))
    assert explained.unit == "log"


def test_texts_are_one_player(tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    random = np.random.default_rng(0)
    words = np.array(["pain", "night", "finding", "none"])
    rows = pd.DataFrame(
        {"text": [" ".join(random.choice(words, 5)) for _ in range(120)], "age": random.normal(60, 9, 120)}
    )
    encode = make_column_transformer((CountVectorizer(), "text"), ("passthrough", ["age"]))
    estimator = make_pipeline(encode, Ridge()).fit(rows, random.normal(size=120) + rows["age"])
    shipped = Shipped(tmp_path, estimator, rows)
    explained = shipped.loaded.explain(rows[:6])
    assert set(explained.players) == {"text", "age"}
    assert explained.method in ("linear", "exact")
    assert explained.sum_error < 1e-6


def test_a_network_with_a_hidden_layer_is_not_taken_for_linear(tmp_path: Path) -> None:
    from sklearn.neural_network import MLPRegressor

    features, target = trained.slopes()
    rows = frame_of(features)
    shipped = Shipped(
        tmp_path, trained.fitted(MLPRegressor(hidden_layer_sizes=(8,), random_state=0), rows, target), rows
    )
    assert shipped.draft.explanations is not None
    assert "tables" not in shipped.draft.explanations
    assert shipped.loaded.explain(rows[:2]).method == "exact"
    with pytest.raises(NotExplainableError, match="nothing for the method 'linear'"):
        shipped.loaded.explain(rows[:2], method="linear")


def test_probabilities_are_explained_where_their_scale_is_asked_for(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    features, target = trained.blobs(classes=2)
    rows = frame_of(features)
    loaded = Shipped(tmp_path, LogisticRegression().fit(rows, target), rows).loaded
    served, raw = (loaded.explain(rows[:2], scale=scale) for scale in ("output", "raw"))
    assert (served.method, served.unit) == ("exact", "probability")
    assert (raw.method, raw.unit) == ("linear", "log-odds")
    with pytest.raises(NotExplainableError, match="not in what is served"):
        loaded.explain(rows[:2], method="linear", scale="output")


def test_what_the_model_is_not_linear_in_is_explained_otherwise(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    features, target = trained.blobs(classes=2)
    rows = frame_of(features)
    shipped = Shipped(tmp_path, LogisticRegression().fit(rows, target), rows)
    explained = shipped.loaded.explain(rows[:3], method="exact")
    assert explained.unit == "probability"
    np.testing.assert_allclose(explained.predictions[:, 1], shipped.estimator.predict_proba(rows[:3])[:, 1], atol=1e-5)


def test_more_attributions_than_an_answer_carries_are_refused_before_they_are_written(tmp_path: Path) -> None:
    from sklearn.linear_model import Ridge

    features, target = trained.slopes()
    Shipped(tmp_path, Ridge().fit(features, target), features)
    store = open_store((tmp_path / "store").as_uri())
    Registry(store, who="tests").promote("model", 1)
    predictor = Predictor(store, Settings(cache_dir=str(tmp_path / "cache")))
    rows = MOST_ATTRIBUTIONS // 4 + 1
    tensor = {"name": "features", "datatype": "FP32", "shape": [rows, 4], "data": [0] * rows * 4}
    for path, asked in (
        ("/v1/models/model:explain", {"instances": [[0, 0, 0, 0]] * rows}),
        ("/v2/models/model/explain", {"inputs": [tensor]}),
    ):
        answer = DataPlane(predictor).answer(Request("POST", path, body=json.dumps(asked).encode()))
        assert answer.status == 413
        assert isinstance(answer.body, bytes)
        assert b"524,292 attributions, at most 524,288" in answer.body


def test_a_scale_is_asked_for_in_the_open_inference_protocol_too(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    features, target = trained.blobs(classes=2)
    estimator = LogisticRegression().fit(features, target)
    Shipped(tmp_path, estimator, features)
    store = open_store((tmp_path / "store").as_uri())
    Registry(store, who="tests").promote("model", 1)
    plane = DataPlane(Predictor(store, Settings(cache_dir=str(tmp_path / "cache"))))
    row = features[:1].astype(np.float32)
    tensor = {"name": "features", "datatype": "FP32", "shape": list(row.shape), "data": row.ravel().tolist()}
    margin = estimator.decision_function(row)[0]
    for scale, unit, sum_ in (
        ("raw", "log-odds", margin),
        ("output", "probability", estimator.predict_proba(row)[0, 1]),
    ):
        body = {"inputs": [tensor], "parameters": {"explain_scale": scale, "explain_classes": "1"}}
        answer = plane.answer(Request("POST", "/v2/models/model/explain", body=json.dumps(body).encode()))
        assert answer.status == 200
        assert isinstance(answer.body, bytes)
        told = json.loads(answer.body)
        tensors = {each["name"]: each["data"] for each in told["outputs"]}
        assert told["parameters"]["explain_unit"] == unit
        total = sum(tensors["explain_attributions"]) + tensors["explain_expected"][0]
        assert total == pytest.approx(sum_, abs=1e-4)
    body = {"inputs": [tensor], "parameters": {"explain_scale": "decibel"}}
    answer = plane.answer(Request("POST", "/v2/models/model/explain", body=json.dumps(body).encode()))
    assert answer.status == 400
