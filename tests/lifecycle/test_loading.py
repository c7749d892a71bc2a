"""A loaded version predicts what the model in its trainer's hands predicts, on fresh rows, here and over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import onnx
import pandas as pd
import pytest

import nets
import onnxlet
from markup import tables
from models import tiny
from onnxlet.errors import InvalidInputError, ModelNotFoundError, VersionNotFoundError
from onnxlet.lifecycle.loading import LoadedVersion
from onnxlet.store import open_store
from patients import FEATURES, patients, pipeline
from published import publish
from scripted import Server, serving

pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain

KNOWN, FRESH = patients(400, 1), patients(300, 2)[list(FEATURES)]


@dataclass(frozen=True)
class Served:
    """An estimator, and what onnxlet made of it."""

    estimator: Any
    loaded: LoadedVersion
    name: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loading")


@pytest.fixture(scope="module")
def url(folder: Path) -> str:
    return (folder / "store").as_uri()


def served(url: str, folder: Path, name: str, estimator: Any, target: str | list[str], **options: Any) -> Served:  # noqa: ANN401
    truth = KNOWN[target]
    model = pipeline(estimator).fit(KNOWN[list(FEATURES)], truth)
    publish(url, folder / name, name, model, data=KNOWN[list(FEATURES)], target=truth, **options)
    return Served(model, onnxlet.load(name, store=url), name)


@pytest.fixture(scope="module")
def classifier(url: str, folder: Path) -> Served:
    from sklearn.ensemble import RandomForestClassifier

    return served(url, folder, "diagnosis", RandomForestClassifier(20, max_depth=4, random_state=0), "diagnosis")


@pytest.fixture(scope="module")
def regressor(url: str, folder: Path) -> Served:
    from sklearn.linear_model import LinearRegression

    return served(url, folder, "risk", LinearRegression(), "risk")


@pytest.fixture(scope="module")
def server(url: str, folder: Path, classifier: Served, regressor: Served) -> Iterator[Server]:  # noqa: ARG001 - it serves them
    with serving(url, folder / "cache") as server:
        yield server


def test_predict_gives_the_estimators_labels_here_and_over_http(classifier: Served, server: Server) -> None:
    expected = classifier.estimator.predict(FRESH)
    got = classifier.loaded.predict(FRESH)
    assert got.shape == expected.shape
    assert got.tolist() == expected.tolist()
    assert onnxlet.connect(server.url).predict("diagnosis", FRESH).label.tolist() == expected.tolist()


def test_predict_proba_gives_the_estimators_probabilities_here_and_over_http(
    classifier: Served, server: Server
) -> None:
    expected = classifier.estimator.predict_proba(FRESH)
    got = classifier.loaded.predict_proba(FRESH)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert got.tobytes() == onnxlet.connect(server.url).predict_proba("diagnosis", FRESH).tobytes()


def test_a_regressor_gives_a_number_for_each_row(regressor: Served, server: Server) -> None:
    expected = regressor.estimator.predict(FRESH)
    got = regressor.loaded.predict(FRESH)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    over_http = onnxlet.connect(server.url).predict("risk", FRESH)
    (answer,) = over_http.values()
    assert got.tobytes() == answer.tobytes()
    with pytest.raises(InvalidInputError, match="'risk:1' gives no probabilities, only"):
        regressor.loaded.predict_proba(FRESH)


def test_columns_in_a_dict_and_in_records_are_the_same_rows(classifier: Served) -> None:
    expected = classifier.loaded.predict_proba(FRESH)
    columns = {name: FRESH[name].tolist() for name in reversed(FEATURES)}
    assert classifier.loaded.predict_proba(columns).tobytes() == expected.tobytes()
    assert classifier.loaded.predict_proba(FRESH.to_dict("records")).tobytes() == expected.tobytes()
    assert classifier.loaded.predict_proba(FRESH.to_numpy(dtype=object)).tobytes() == expected.tobytes()


def test_classes_have_the_estimators_own_values_though_they_were_named(url: str, folder: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    rows = KNOWN[["age", "marker ß"]].to_numpy(np.float64)
    target = np.where(KNOWN["diagnosis"] == "benign", 4, 2)
    model = LogisticRegression().fit(rows, target)
    publish(url, folder / "named", "named", model, data=rows, target=target, labels=["malignant", "benign"])
    fresh = FRESH[["age", "marker ß"]].to_numpy(np.float64)

    got = onnxlet.load("named", store=url).predict(fresh)

    assert got.tolist() == model.predict(fresh).tolist()
    assert got.dtype == model.predict(fresh).dtype
    assert set(got.tolist()) == {2, 4}


def test_numbers_that_labels_give_a_networks_classes_are_what_it_predicts(url: str, folder: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    expected = rows.argmax(axis=1) + 1
    path = folder / "scores.onnx"
    weights = {"w": np.eye(3, dtype=np.float32) * 4}
    nodes = [onnx.helper.make_node("MatMul", ["features", "w"], ["y"])]
    onnx.save_model(nets.made(nodes, {"features": (onnx.TensorProto.FLOAT, ["N", 3])}, ["N", 3], weights), path)
    answers = {"label": expected}
    publish(url, folder / "stages", "stages", path, data=rows, target=expected, expected=answers, labels=[1, 2, 3])

    got = onnxlet.load("stages", store=url).predict(rows)

    assert got.tolist() == expected.tolist()


def test_several_targets_come_as_the_estimator_gives_them(url: str, folder: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier

    rows = KNOWN[["age", "marker ß"]].to_numpy(np.float32)
    target = np.stack([KNOWN["diagnosis"] == "benign", KNOWN["smoker"]], axis=1).astype(np.int64)
    model = RandomForestClassifier(5, max_depth=3, random_state=0).fit(rows, target)
    publish(url, folder / "several", "several", model, data=rows, target=target)
    fresh = FRESH[["age", "marker ß"]].to_numpy(np.float32)
    loaded = onnxlet.load("several", store=url)

    assert loaded.predict(fresh).tolist() == model.predict(fresh).tolist()
    for got, expected in zip(loaded.predict_proba(fresh), model.predict_proba(fresh), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


def test_many_rows_are_predicted_in_parts(regressor: Served) -> None:
    many = pd.concat([FRESH] * 400, ignore_index=True)
    assert len(many) == 120_000
    got = regressor.loaded.predict(many)
    assert got.reshape(400, -1).tobytes() == np.tile(regressor.loaded.predict(FRESH), (400, 1)).tobytes()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (FRESH[:0], "there are no rows"),
        (FRESH.assign(sex="f"), "does not know 'sex'"),
        (FRESH.drop(columns="age"), "lacks 'age'"),
        (FRESH.assign(age=["old"] * len(FRESH)), "age"),
        (FRESH.assign(smoker=[None] * len(FRESH)), "smoker"),
        (7, "rows are a DataFrame"),
    ],
)
def test_what_the_server_refuses_is_refused_in_the_same_words(
    classifier: Served,
    server: Server,
    rows: Any,  # noqa: ANN401 - whatever callers hand over
    said: str,
) -> None:
    with pytest.raises(InvalidInputError, match=said) as here:
        classifier.loaded.predict(rows)
    with pytest.raises(InvalidInputError, match=said) as there:
        onnxlet.connect(server.url).predict("diagnosis", rows)
    assert there.value.detail.removeprefix("the server answered 400: ") == here.value.detail


def test_what_does_not_exist_is_not_found(url: str, classifier: Served) -> None:
    with pytest.raises(VersionNotFoundError):
        onnxlet.load(f"{classifier.name}:9", store=url)
    with pytest.raises(ModelNotFoundError):
        onnxlet.load("nothing", store=url)


def test_the_store_is_the_commands_own_unless_it_is_named(
    url: str, classifier: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONNXLET_STORE", url)
    assert onnxlet.load(classifier.name).manifest == classifier.loaded.manifest
    path = Path(url.removeprefix("file://"))
    monkeypatch.setenv("ONNXLET_STORE", "memory://another")
    assert onnxlet.load(f"{classifier.name}:1", store=path).manifest == classifier.loaded.manifest


def test_it_tells_what_it_takes_and_where_it_comes_from(classifier: Served) -> None:
    loaded = classifier.loaded
    assert [spec.name for spec in loaded.signature.inputs] == list(FEATURES)
    assert loaded.manifest.reference is not None
    assert loaded.manifest.reference.kind == "object"
    assert repr(loaded).startswith("<diagnosis:1: (age: ")
    facts = dict(tables(loaded._repr_html_())[0])
    assert facts["version"] == "diagnosis:1"
    assert facts["columns"] == "age, marker ß, ward, smoker, dose"


def test_networks_give_their_tensors(tmp_path: Path, directory_url: str) -> None:
    store = open_store(directory_url)
    for name, graph in {"sum": tiny.regressor(), "two": tiny.two_inputs()}.items():
        tiny.publish(store, name, tiny.package(graph, tmp_path / name))
    rows = np.array([[1, 2], [2, 0.5]], dtype=np.float32)
    doubled = onnxlet.load("sum", store=directory_url)

    assert doubled.predict(rows).tolist() == [6, 5]
    assert doubled.predict(rows[:1].astype(int)).tolist() == [6]
    assert doubled.predict(rows.tolist()).tolist() == [6, 5]
    with pytest.raises(InvalidInputError, match="takes shape"):
        doubled.predict(rows[:, :1])
    answer = onnxlet.load("two", store=directory_url).predict({"left": rows, "right": rows})
    assert {name: tensor.tolist() for name, tensor in answer.items()} == {
        "sum": (2 * rows).tolist(),
        "difference": (0 * rows).tolist(),
    }


def test_numbers_beyond_the_datatype_are_refused_as_a_server_refuses_them(tmp_path: Path, directory_url: str) -> None:
    tiny.publish(open_store(directory_url), "sum", tiny.package(tiny.regressor(), tmp_path / "sum"))
    doubled = onnxlet.load("sum", store=directory_url)
    with pytest.raises(InvalidInputError, match="FP32"):
        doubled.predict(np.array([[1e39, 0.0]]))


def test_truth_values_come_as_the_estimator_gives_them_here_and_over_http(url: str, folder: Path) -> None:
    from sklearn.linear_model import LogisticRegression

    rows = KNOWN[["age", "marker ß"]].to_numpy(np.float64)
    fresh = FRESH[["age", "marker ß"]].to_numpy(np.float64)
    model = LogisticRegression().fit(rows, KNOWN["diagnosis"] == "malignant")
    onnxlet.ship(model, "ill", data=rows, target=KNOWN["diagnosis"] == "malignant", promote=True, store=url)

    got = onnxlet.load("ill", store=url).predict(fresh)
    with serving(url, folder / "cache of truth") as server:
        over_http = onnxlet.connect(server.url).predict("ill", fresh)
        body = json.dumps({"instances": fresh[:5].tolist()}).encode()
        answer = urlopen(Request(f"{server.url}/v1/models/ill:predict", body), timeout=30).read()

    expected = model.predict(fresh)
    assert (got.dtype, got.tolist()) == (expected.dtype, expected.tolist())
    assert (over_http.label.dtype, over_http.label.tolist()) == (expected.dtype, expected.tolist())
    assert [row["label"] for row in json.loads(answer)["predictions"]] == expected[:5].tolist()


def own_answers(model: Any, rows: Any) -> dict[str, Any]:  # noqa: ANN401
    """What the estimator's own public methods give, but for a classifier's scores beside its probabilities."""
    names = ["predict", "predict_proba", "decision_function"]
    given = [name for name in names if hasattr(model, name)]
    if "predict_proba" in given:
        given = given[:2]
    return {name: getattr(model, name)(rows) for name in given}


def estimators() -> dict[str, tuple[Any, str]]:
    """Estimators by name, with the target that they are fitted to."""
    from sklearn.cluster import KMeans
    from sklearn.cross_decomposition import PLSRegression
    from sklearn.ensemble import HistGradientBoostingRegressor, IsolationForest, RandomForestClassifier
    from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
    from sklearn.mixture import GaussianMixture
    from sklearn.model_selection import FixedThresholdClassifier
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.multioutput import MultiOutputClassifier
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor
    from sklearn.neural_network import MLPClassifier
    from sklearn.svm import SVC, LinearSVC, OneClassSVM

    forest = RandomForestClassifier(10, max_depth=3, random_state=0)
    return {
        "mixture": (GaussianMixture(3, random_state=0), ""),
        "clusters": (KMeans(4, n_init=1, random_state=0), ""),
        "isolation": (IsolationForest(n_estimators=20, random_state=0), ""),
        "one-class": (OneClassSVM(), ""),
        "outlier-factor": (LocalOutlierFactor(novelty=True), ""),
        "vectors": (SVC(), "text"),
        "linear-vectors": (LinearSVC(random_state=0), "sign"),
        "ridge": (RidgeClassifier(), "text"),
        "boolean": (LogisticRegression(), "boolean"),
        "threshold": (FixedThresholdClassifier(LogisticRegression(), threshold=0.3), "sign"),
        "labels-of-forest": (forest, "labels"),
        "labels-of-net": (MLPClassifier((8,), max_iter=100, random_state=0), "labels"),
        "labels-one-by-one": (OneVsRestClassifier(LogisticRegression()), "labels"),
        "labels-of-neighbours": (KNeighborsClassifier(), "labels"),
        "several-vectors": (MultiOutputClassifier(LinearSVC(random_state=0)), "labels"),
        "line": (LinearRegression(), "number"),
        "line-of-one-column": (LinearRegression(), "column"),
        "neighbours-of-one-column": (KNeighborsRegressor(), "column"),
        "lines": (LinearRegression(), "numbers"),
        "least-squares": (PLSRegression(2), "numbers"),
        "boosted": (HistGradientBoostingRegressor(max_iter=10), "number"),
    }


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", estimators())
def test_estimators_of_all_kinds_answer_as_their_own_methods(name: str, url: str, folder: Path) -> None:
    random = np.random.default_rng(0)
    rows, fresh = random.normal(size=(300, 4)), random.normal(size=(90, 4))
    score = rows @ np.array([1.0, 0.5, -1.0, 2.0])
    numbers = np.stack([score, rows[:, 1] - score], axis=1)
    targets = {
        "text": np.array(["low", "middle", "high"])[np.digitize(score, [-1, 1])],
        "sign": np.where(score > 0, 1, -1),
        "boolean": score > 0,
        "labels": (rows[:, :3] > 0).astype(int),
        "number": score,
        "column": score[:, None],
        "numbers": numbers,
    }
    estimator, target = estimators()[name]
    model = estimator.fit(rows, targets[target]) if target else estimator.fit(rows)
    publish(url, folder / name, name, model, data=fresh)
    loaded = onnxlet.load(name, store=url)

    expected = own_answers(model, fresh)
    for method, own in expected.items():
        got = getattr(loaded, method)(fresh)
        pairs = list(zip(own, got, strict=True)) if isinstance(own, list) else [(own, got)]
        assert isinstance(got, list) == isinstance(own, list)
        for theirs, ours in pairs:
            assert ours.shape == theirs.shape
            if theirs.dtype.kind == "f":
                np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
            else:
                assert ours.tolist() == theirs.tolist()
    for method in {"predict_proba", "decision_function"} - expected.keys():
        with pytest.raises(InvalidInputError, match=f"'{name}:1' gives no "):
            getattr(loaded, method)(fresh)


def test_clusters_and_mixtures_tell_how_near_rows_are(url: str, folder: Path) -> None:
    from sklearn.cluster import KMeans
    from sklearn.mixture import GaussianMixture

    rows, fresh = np.random.default_rng(0).normal(size=(2, 200, 3))
    clusters, mixture = KMeans(4, n_init=1, random_state=0).fit(rows), GaussianMixture(2, random_state=0).fit(rows)
    for name, model in {"centres": clusters, "density": mixture}.items():
        publish(url, folder / name, name, model, data=rows)

    distances = onnxlet.load("centres", store=url).transform(fresh)
    np.testing.assert_allclose(distances, clusters.transform(fresh), rtol=1e-4)
    likelihood = onnxlet.load("density", store=url).score_samples(fresh)
    np.testing.assert_allclose(likelihood, mixture.score_samples(fresh), rtol=1e-6)
    with pytest.raises(InvalidInputError, match="'centres:1' gives no score_samples, only 'label', 'distances'"):
        onnxlet.load("centres", store=url).score_samples(fresh)
