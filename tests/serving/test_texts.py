"""Texts over every door: both protocols, files, Python; what is no text, or too much, is the caller's fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from doors import Answer, Shop
from onnxlet.batch.local_files import score_path
from onnxlet.dataplane.messages import Request
from onnxlet.lifecycle.loading import LoadedVersion
from onnxlet.store import Store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.values.refs import parse_ref

pytestmark = pytest.mark.toolchain

REPORTS = ["kein Befund", "Schmerzen über Nacht", "no finding", "PAIN over night", "東京 мир", "pain"] * 20
KINDS = np.array(["routine", "urgent", "routine", "urgent", "routine", "urgent"] * 20)
TRIAGE = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(REPORTS, KINDS)
ROWS = pd.DataFrame({"report": REPORTS, "age": np.arange(120.0)})


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    made = Shop(store, tmp_path / "shop")
    publish(made, "triage", TRIAGE, REPORTS, tmp_path)
    return made


def publish(shop: Shop, name: str, model: Any, rows: Any, folder: Path) -> None:  # noqa: ANN401
    convert(model, folder / name, data=rows, target=KINDS)
    version = shop.registry.publish(name, *prepare(folder / name, folder / f"{name}-work")).version
    shop.registry.promote(name, version)


def ask(shop: Shop, path: str, body: object) -> Answer:
    answer = shop.dataplane.answer(Request("POST", path, body=json.dumps(body).encode()))
    assert isinstance(answer.body, bytes)
    return answer  # type: ignore[return-value]


def labels(shop: Shop, body: object) -> list[str]:
    answer = ask(shop, "/v1/models/triage:predict", body)
    assert answer.status == 200, answer.body
    document = json.loads(answer.body)
    told: list[str] = [row["label"] for row in document.get("predictions", [])] or document["outputs"]["label"]
    return told


TEXTS = ["Schmerzen ÜBER Nacht", "", "東京", "pain \U0001f600 \x00"]


@pytest.mark.parametrize(
    "body",
    [
        {"instances": TEXTS},
        {"instances": [{"text": text} for text in TEXTS]},
        {"instances": [{"text": {"b64": "UEFJTg=="}}]},
        {"inputs": TEXTS},
        {"inputs": {"text": TEXTS}},
        {"signature_name": "columns", "instances": [{"text": text} for text in TEXTS]},
    ],
    ids=["texts", "objects", "base64", "column", "columns", "by signature"],
)
def test_the_first_protocol_takes_texts(shop: Shop, body: dict[str, Any]) -> None:
    sent = TEXTS if "b64" not in json.dumps(body) else ["PAIN"]
    assert labels(shop, body) == TRIAGE.predict(sent).tolist()


def test_the_second_protocol_takes_texts_as_bytes(shop: Shop) -> None:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(TEXTS)], "data": TEXTS}
    answer = ask(shop, "/v2/models/triage/infer", {"inputs": [tensor]})
    outputs = {each["name"]: each["data"] for each in json.loads(answer.body)["outputs"]}
    assert outputs["label"] == TRIAGE.predict(TEXTS).tolist()
    expected = TRIAGE.predict_proba(TEXTS).ravel().tolist()
    assert outputs["probabilities"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\ud800", "half of a surrogate pair"),
        ("x" * 1_000_001, "1000001 characters"),
        (None, "must be"),
        (5, "must be"),
        (["pain"], "must be a string"),
    ],
    ids=["half a pair", "too long", "null", "number", "list"],
)
def test_what_is_no_text_is_the_callers_fault_and_named(shop: Shop, text: object, complaint: str) -> None:
    answer = ask(shop, "/v1/models/triage:predict", {"instances": [{"text": "pain"}, {"text": text}]})
    assert answer.status == 400
    assert complaint in json.loads(answer.body)["error"]


def test_too_many_texts_are_refused_where_the_graph_takes_a_matrix(shop: Shop, tmp_path: Path) -> None:
    vectorizer = CountVectorizer(vocabulary=[f"w{number}" for number in range(20_000)])
    forest = make_pipeline(vectorizer, RandomForestClassifier(5, random_state=0)).fit(REPORTS, KINDS)
    publish(shop, "forest", forest, REPORTS, tmp_path)
    answer = ask(shop, "/v1/models/forest:predict", {"instances": ["w1"] * 900})
    assert answer.status == 413
    assert "900 texts with 20000 columns each" in json.loads(answer.body)["error"]
    assert ask(shop, "/v1/models/forest:predict", {"instances": ["w1"] * 800}).status == 200
    # in Python there is no request, and the rows are cut
    loaded = LoadedVersion(shop.predictor.load(parse_ref("forest")))
    assert loaded.predict(REPORTS * 8).tolist() == forest.predict(REPORTS * 8).tolist()


def test_files_of_texts_are_scored_and_a_text_that_is_too_long_stays_alone(shop: Shop, tmp_path: Path) -> None:
    source, scored = tmp_path / "reports.jsonl", tmp_path / "scored.jsonl"
    texts = [*REPORTS * 5, "x" * 1_000_001, "pain over night"]
    source.write_text("".join(json.dumps({"id": number, "text": text}) + "\n" for number, text in enumerate(texts)))
    score_path(shop.predictor, parse_ref("triage"), source, scored)
    told = [json.loads(line) for line in scored.read_text().splitlines()]
    assert [row["label"] for row in told] == TRIAGE.predict([*texts[:-2], texts[-1]]).tolist()
    (bad,) = map(json.loads, (tmp_path / "scored.jsonl.errors.jsonl").read_text().splitlines())
    assert bad["row"] == len(texts) - 1

    source, scored = tmp_path / "reports.csv", tmp_path / "scored.csv"
    source.write_text('id,text\n1,"pain, over\nnight"\n2,東京\n')
    score_path(shop.predictor, parse_ref("triage"), source, scored)
    assert [label for label in ("urgent", "routine") if label in scored.read_text()] == ["urgent", "routine"]


def test_python_takes_texts_alone_and_beside_other_columns(shop: Shop, tmp_path: Path) -> None:
    triage = LoadedVersion(shop.predictor.load(parse_ref("triage")))
    for rows in (TEXTS, np.array(TEXTS), pd.DataFrame({"text": TEXTS}), [{"text": text} for text in TEXTS]):
        assert triage.predict(rows).tolist() == TRIAGE.predict(TEXTS).tolist()

    both = make_column_transformer((TfidfVectorizer(), "report"), ("passthrough", ["age"]))
    model = make_pipeline(both, LogisticRegression(max_iter=1000)).fit(ROWS, KINDS)
    publish(shop, "beside", model, ROWS, tmp_path)
    beside = LoadedVersion(shop.predictor.load(parse_ref("beside")))
    assert beside.predict(ROWS).tolist() == model.predict(ROWS).tolist()
    np.testing.assert_allclose(beside.predict_proba(ROWS), model.predict_proba(ROWS), atol=1e-5)
