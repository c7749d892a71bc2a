"""Texts and token ids over every door, for a model of token ids with a tokenizer; what is wrong is the caller's 4xx."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from doors import Answer, Shop
from onnxlet.batch.local_files import score_path
from onnxlet.lifecycle.loading import LoadedVersion
from onnxlet.store import Store
from onnxlet.values.refs import parse_ref
from wordings import LONGEST, publish_triage, tokenizer_of

TEXTS = ["pain in the left knee", "", "東京 no fever", "cough \x00 \U0001f600", "Schmerzen ÜBER Nacht " * 30]


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    shop = Shop(store, tmp_path / "shop")
    publish_triage(shop)
    return shop


def tokens_of(texts: list[Any]) -> dict[str, Any]:
    """What the library alone makes of texts or pairs."""
    tokenizer = tokenizer_of("WordPiece")
    tokenizer.enable_truncation(LONGEST)
    tokenizer.enable_padding(pad_id=0)
    made = tokenizer.encode_batch(texts)
    return {
        "input_ids": [each.ids for each in made],
        "attention_mask": [each.attention_mask for each in made],
        "token_type_ids": [each.type_ids for each in made],
    }


def ask(shop: Shop, path: str, body: object) -> Answer:
    return shop.send("POST", path, json.dumps(body))


def shares(shop: Shop, body: object) -> list[list[float]]:
    """The probabilities that the first protocol answers."""
    answer = ask(shop, "/v1/models/triage:predict", body)
    assert answer.status == 200, answer.body
    document = json.loads(answer.body)
    rows = document.get("predictions")
    return [row["probabilities"] for row in rows] if rows else document["outputs"]["probabilities"]


def said(answer: Answer, status: int = 400) -> str:
    assert answer.status == status, answer.body
    error = json.loads(answer.body)
    return str(error.get("error") or error.get("detail") or error)


def expected_of(shop: Shop, texts: list[Any]) -> list[list[float]]:
    """By token ids that the library alone makes."""
    return shares(shop, {"inputs": tokens_of(texts)})


@pytest.mark.parametrize(
    "body",
    [
        {"instances": TEXTS},
        {"instances": [{"text": text} for text in TEXTS]},
        {"inputs": TEXTS},
        {"inputs": {"text": TEXTS}},
        {"signature_name": "columns", "instances": [{"text": text} for text in TEXTS]},
        {"signature_name": "serving_default", "instances": TEXTS},
    ],
    ids=["texts", "objects", "column", "columns", "by signature", "by default"],
)
def test_the_first_protocol_takes_texts(shop: Shop, body: dict[str, Any]) -> None:
    assert shares(shop, body) == expected_of(shop, TEXTS)


def test_the_first_protocol_takes_token_ids_by_their_names(shop: Shop) -> None:
    tokens = tokens_of(TEXTS)
    rows = [dict(zip(tokens, row, strict=True)) for row in zip(*tokens.values(), strict=True)]
    assert shares(shop, {"instances": rows}) == expected_of(shop, TEXTS)
    assert shares(shop, {"signature_name": "tokens", "inputs": tokens}) == expected_of(shop, TEXTS)


def test_the_second_protocol_takes_texts_and_token_ids(shop: Shop) -> None:
    expected = np.ravel(expected_of(shop, TEXTS)).tolist()
    sent = [{"name": "text", "datatype": "BYTES", "shape": [len(TEXTS)], "data": TEXTS}]
    ids = [
        {"name": name, "datatype": "INT64", "shape": list(np.shape(rows)), "data": rows}
        for name, rows in tokens_of(TEXTS).items()
    ]
    for inputs in (sent, ids):
        answer = ask(shop, "/v2/models/triage/infer", {"inputs": inputs})
        assert answer.status == 200, answer.body
        outputs = {each["name"]: each["data"] for each in json.loads(answer.body)["outputs"]}
        assert outputs["probabilities"] == expected


def test_both_protocols_tell_what_they_take(shop: Shop) -> None:
    first = json.loads(shop.send("GET", "/v1/models/triage/metadata").body)
    signatures = first["metadata"]["signature_def"]["signature_def"]
    assert {name: list(each["inputs"]) for name, each in signatures.items()} == {
        "serving_default": ["text"],
        "columns": ["text"],
        "tokens": ["input_ids", "attention_mask", "token_type_ids"],
    }
    second = json.loads(shop.send("GET", "/v2/models/triage").body)
    assert second["inputs"][0] == {"name": "text", "datatype": "BYTES", "shape": [-1]}


def test_texts_are_scored_from_files_and_predicted_in_python(shop: Shop, tmp_path: Path) -> None:
    texts = [text for text in TEXTS if "\x00" not in text] * 20
    expected = expected_of(shop, texts)
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    score_path(shop.predictor, parse_ref("triage"), rows, tmp_path / "scored.jsonl")
    scored = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    assert len(scored) == len(texts)
    model = LoadedVersion(shop.predictor.load(parse_ref("triage")))
    for told in (model.predict_proba(texts), model.predict_proba(pd.DataFrame({"text": texts}))):
        assert np.allclose(told, expected, atol=1e-6)
    assert model.predict(texts).tolist() == np.argmax(expected, axis=1).tolist()
    ids = {name: np.array(each) for name, each in tokens_of(texts).items()}
    assert np.allclose(model.predict_proba(ids), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\ud800", "half of a surrogate pair"),
        ("pain " * 100_000, "has 500000 characters, the model reads 100000"),
        (None, "must be"),
        (5, "must be"),
        (["pain", "fever"], "must be a string"),
        ({"b64": "/w=="}, "UTF-8"),
    ],
    ids=["half a pair", "100,000 tokens", "null", "number", "list", "no UTF-8"],
)
def test_what_is_no_text_is_the_callers_fault_and_named(shop: Shop, text: object, complaint: str) -> None:
    for rows in ([{"text": "pain"}, {"text": text}], ["pain", text]):
        assert complaint in said(ask(shop, "/v1/models/triage:predict", {"instances": rows}))


@pytest.mark.parametrize("number", [-1, 10_000, -(2**63), 2**63 - 1])
def test_token_ids_beyond_the_vocabulary_are_the_callers_fault(shop: Shop, number: int) -> None:
    tokens = tokens_of(TEXTS[:2])
    tokens["input_ids"][1][0] = number
    assert "'input_ids' has a number in row 1" in said(ask(shop, "/v1/models/triage:predict", {"inputs": tokens}))


def test_more_tokens_than_there_are_positions_are_the_callers_fault(shop: Shop) -> None:
    sent = {name: [[1] * (LONGEST + 1)] for name in tokens_of(["pain"])}
    assert f"has {LONGEST + 1} tokens a row" in said(ask(shop, "/v1/models/triage:predict", {"inputs": sent}))


def test_texts_that_are_cut_are_flagged_in_a_row_of_their_own_and_in_a_header(store: Store, tmp_path: Path) -> None:
    shop = Shop(store, tmp_path / "shop")
    publish_triage(shop, overflow="flag")
    answer = ask(shop, "/v1/models/triage:predict", {"instances": TEXTS})
    assert answer.headers["X-Onnxlet-Flags"] == "text:1"
    rows = json.loads(answer.body)["predictions"]
    assert [row["flags"] for row in rows] == ["", "", "", "", "text"]
    answer = ask(shop, "/v1/models/triage:predict", {"inputs": tokens_of(TEXTS)})
    assert "X-Onnxlet-Flags" not in answer.headers
    outputs = json.loads(answer.body)["outputs"]
    assert outputs["flags"] == [""] * len(TEXTS)
    assert outputs["probabilities"] == [row["probabilities"] for row in rows]


def test_too_many_texts_are_too_large(shop: Shop) -> None:
    body = {"instances": ["pain " * 40] * 3_000}
    assert "send at most 2730 of them" in said(ask(shop, "/v1/models/triage:predict", body), 413)


def test_pairs_are_two_columns(store: Store, tmp_path: Path) -> None:
    shop = Shop(store, tmp_path / "shop")
    publish_triage(shop, columns=("question", "context"))
    pairs = [("pain?", "pain in the left knee"), ("", "no fever"), ("where?", "")]
    rows = [{"question": question, "context": context} for question, context in pairs]
    expected = expected_of(shop, pairs)
    assert shares(shop, {"instances": rows}) == expected
    model = LoadedVersion(shop.predictor.load(parse_ref("triage")))
    for sent in (pairs, np.array(pairs, dtype=object), pd.DataFrame(rows), rows):
        assert np.allclose(model.predict_proba(sent), expected, atol=1e-6)
    said_of_one = said(ask(shop, "/v1/models/triage:predict", {"instances": ["pain? pain in the left knee"]}))
    assert "the model has 2 inputs, 'question', 'context'" in said_of_one
    assert "lacks 'context'" in said(ask(shop, "/v1/models/triage:predict", {"instances": [{"question": "pain?"}]}))
