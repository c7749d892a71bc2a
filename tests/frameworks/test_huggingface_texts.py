"""Converting encoders with their tokenizers: raw texts in, the answers that transformers' own calls give out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import trained
from frameworks.conftest import Ship
from frameworks.shipping import Shipped
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.huggingface.tokenizer import OwnTokenizer, make_step
from onnxlet.toolchain.optimize import optimize
from onnxlet.toolchain.verify import verify
from wordings import FAMILIES, SENTENCES, tokenizer_of

pytestmark = pytest.mark.torch
torch.set_num_threads(1)

LABELS = ("knee", "lung", "well")
TEXTS = [*SENTENCES[:8], "", "pain " * 90, "東京 \x00 [SEP] <s>", "a\nb\tc  d "]
SHAPE: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "id2label": dict(enumerate(LABELS)),
    "initializer_range": 0.6,
}


def wrapped(family: str, **settings: Any) -> Any:
    """A tokenizer as transformers has it."""
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer_of(family),
        unk_token="[UNK]",  # noqa: S106 - no secret
        pad_token="[PAD]",  # noqa: S106
        cls_token="[CLS]",  # noqa: S106
        sep_token="[SEP]",  # noqa: S106
        **settings,
    )


def saved(folder: Path, kind: str = "BertForSequenceClassification", family: str = "WordPiece", **settings: Any) -> Any:
    """A small model with random weights beside its tokenizer; the model, and the tokenizer as users load it."""
    torch.manual_seed(0)
    own = {key: settings.pop(key) for key in list(settings) if key.endswith("_side") or key == "model_input_names"}
    tokenizer = wrapped(family, **own)
    config = getattr(transformers, kind).config_class(
        vocab_size=len(tokenizer), **{"max_position_embeddings": 40, "pad_token_id": 0} | SHAPE | settings
    )
    model = getattr(transformers, kind)(config).eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, transformers.AutoTokenizer.from_pretrained(folder)


def by_transformers(model: Any, tokenizer: Any, *columns: list[str], most: int = 40) -> Any:
    """What transformers' own tokenizer and model give for each text by itself."""
    rows = []
    for row in zip(*columns, strict=True):
        made = tokenizer(*[[text] for text in row], truncation=True, max_length=most, return_tensors="pt")
        with torch.no_grad():
            rows.append(model(**made))
    return rows


def probabilities_of(model: Any, tokenizer: Any, *columns: list[str], most: int = 40) -> Any:
    rows = by_transformers(model, tokenizer, *columns, most=most)
    return np.concatenate([row.logits.softmax(dim=1).numpy() for row in rows])


def answers_to(shipped: Shipped, instances: list[Any]) -> list[Any]:
    predictions: list[Any] = shipped.dataplane.invoke({"model": "model", "instances": instances})["predictions"]
    return predictions


@pytest.mark.representative
def test_a_version_answers_raw_texts_as_transformers_does(tmp_path: Path, shipping: Ship) -> None:
    model, tokenizer = saved(tmp_path / "model")
    expected = probabilities_of(model, tokenizer, TEXTS)
    labels = [LABELS[index] for index in expected.argmax(axis=1)]
    texts = [text for text in TEXTS if "\x00" not in text]
    rows = [[text, label] for text, label in zip(TEXTS, labels, strict=True) if text in texts]
    data = trained.write_csv(tmp_path / "notes.csv", ["note", "cause"], rows * 20)

    shipped = shipping(tmp_path / "model", data=data, target="cause")

    draft = shipped.draft
    assert [str(spec) for spec in draft.signature.inputs] == ["note: BYTES[-1]"]
    assert [step["kind"] for step in draft.steps] == ["tokenizer", "token_ids", "classification"]
    assert draft.evaluations[-1].metrics["accuracy"] == 1
    assert draft.golden is not None
    assert draft.golden.source == "random"
    for answer, row, label in zip(answers_to(shipped, TEXTS), expected, labels, strict=True):
        assert answer["label"] == label
        np.testing.assert_allclose(answer["probabilities"], row, atol=1e-5)
    optimize(shipped.converted, tmp_path / "optimized", data=data, target="cause")
    assert verify(tmp_path / "optimized", data=data, target="cause").holds


@pytest.mark.parametrize(
    ("kind", "family", "settings"),
    [
        ("RobertaForSequenceClassification", "BPE", {"type_vocab_size": 1}),
        ("XLMRobertaForSequenceClassification", "Unigram", {"type_vocab_size": 1}),
        (
            "DistilBertForSequenceClassification",
            "WordPiece",
            {"dim": 16, "hidden_dim": 32, "n_heads": 2, "n_layers": 1},
        ),
        ("BertForSequenceClassification", "BPE", {"truncation_side": "left", "padding_side": "left"}),
        ("ElectraForSequenceClassification", "WordPiece", {"embedding_size": 16}),
    ],
)
def test_families_of_encoders_and_tokenizers_answer_raw_texts(
    tmp_path: Path, shipping: Ship, kind: str, family: str, settings: dict[str, Any]
) -> None:
    model, tokenizer = saved(tmp_path / "model", kind, family, **settings)
    most = 39 if "oberta" in kind else 40

    shipped = shipping(tmp_path / "model")

    expected = probabilities_of(model, tokenizer, TEXTS, most=most)
    if "padding_side" in settings:
        # a row alone has no padding, which moves positions to the left of others
        got = [answers_to(shipped, [text])[0]["probabilities"] for text in TEXTS]
    else:
        got = [answer["probabilities"] for answer in answers_to(shipped, TEXTS)]
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("types", [[], ["token_type_ids"]], ids=["without types", "with types"])
def test_pairs_of_texts_are_two_columns(tmp_path: Path, shipping: Ship, types: list[str]) -> None:
    model, tokenizer = saved(tmp_path / "model", model_input_names=["input_ids", "attention_mask", *types])
    questions, contexts = TEXTS[:6], [text * 3 for text in TEXTS[6:]]
    expected = probabilities_of(model, tokenizer, questions, contexts)
    labels = [LABELS[index] for index in expected.argmax(axis=1)]
    pairs = list(zip(questions, contexts, strict=True))
    data = [(one, other.replace("\x00", "")) for one, other in pairs]

    shipped = shipping(tmp_path / "model", data=data, target=np.array(labels))

    assert [spec.name for spec in shipped.draft.signature.inputs] == ["text", "text_pair"]
    rows = [{"text": one, "text_pair": other} for one, other in pairs]
    np.testing.assert_allclose([answer["probabilities"] for answer in answers_to(shipped, rows)], expected, atol=1e-5)


def test_states_of_texts_are_those_of_the_model(tmp_path: Path, shipping: Ship) -> None:
    model, tokenizer = saved(tmp_path / "model", "BertModel")

    shipped = shipping(tmp_path / "model", data=[f"{text} {number}" for number in range(9) for text in SENTENCES[:8]])

    for text, row in zip(TEXTS, by_transformers(model, tokenizer, TEXTS), strict=True):
        (answer,) = answers_to(shipped, [text])
        np.testing.assert_allclose(answer["last_hidden_state"], row.last_hidden_state[0].numpy(), atol=1e-5)
        np.testing.assert_allclose(answer["pooler_output"], row.pooler_output[0].numpy(), atol=1e-5)


def test_questions_are_asked_of_contexts(tmp_path: Path, shipping: Ship) -> None:
    model, tokenizer = saved(tmp_path / "model", "BertForQuestionAnswering", id2label={0: "start", 1: "end"})

    shipped = shipping(tmp_path / "model")

    assert [spec.name for spec in shipped.draft.signature.inputs] == ["text", "text_pair"]
    (row,) = by_transformers(model, tokenizer, ["where?"], [SENTENCES[0]])
    (answer,) = answers_to(shipped, [{"text": "where?", "text_pair": SENTENCES[0]}])
    np.testing.assert_allclose(answer["start_logits"], row.start_logits[0].numpy(), atol=1e-5)


def sentence_encoder(folder: Path) -> Any:
    """A SentenceTransformer with mean pooling, which makes vectors of length 1."""
    saved(folder, "BertModel")
    modules = sentence_transformers.sentence_transformer.modules
    return sentence_transformers.SentenceTransformer(
        modules=[
            modules.Transformer(str(folder), max_seq_length=24),
            modules.Pooling(16, pooling_mode="mean"),
            modules.Normalize(),
        ],
        device="cpu",
    )


def test_a_sentence_transformer_in_memory_is_asked_by_its_own_encode(tmp_path: Path, shipping: Ship) -> None:
    model = sentence_encoder(tmp_path / "model")

    shipped = shipping(model, data=[text for text in TEXTS if "\x00" not in text])

    assert shipped.draft.reference is not None
    assert shipped.draft.reference.kind == "object"
    expected = model.encode(TEXTS)
    np.testing.assert_allclose(answers_to(shipped, TEXTS), expected, atol=1e-5)


def test_a_directory_of_sentence_transformers_answers_as_encode_does(tmp_path: Path, shipping: Ship) -> None:
    model = sentence_encoder(tmp_path / "model")
    model.save(str(tmp_path / "sentences"))

    shipped = shipping(tmp_path / "sentences")

    np.testing.assert_allclose(answers_to(shipped, TEXTS), model.encode(TEXTS), atol=1e-5)


def test_token_ids_in_the_data_make_a_version_of_token_ids(tmp_path: Path) -> None:
    _, tokenizer = saved(tmp_path / "model")
    made = tokenizer(TEXTS, padding=True, truncation=True, max_length=40, return_token_type_ids=True)
    tokens = {name: np.array(each) for name, each in made.items()}
    said: list[str] = []

    draft = convert(
        tmp_path / "model", tmp_path / "out", data=trained.npz_of(tmp_path / "x.npz", tokens), on_progress=said.append
    )

    assert [step["kind"] for step in draft.steps] == ["token_ids", "classification"]
    assert any("the data hold token ids" in line for line in said)


def test_a_model_without_a_tokenizer_takes_token_ids_within_its_vocabulary(tmp_path: Path, shipping: Ship) -> None:
    saved(tmp_path / "model")
    for file in (tmp_path / "model").glob("tokenizer*"):
        file.unlink()

    shipped = shipping(tmp_path / "model")

    assert [spec.name for spec in shipped.draft.signature.inputs] == ["input_ids", "attention_mask", "token_type_ids"]
    sent = {"input_ids": [[5, 10_000]], "attention_mask": [[1, 1]], "token_type_ids": [[0, 0]]}
    with pytest.raises(InvalidInputError, match="'input_ids' has a number in row 0"):
        shipped.dataplane.invoke({"model": "model", "inputs": sent})


texts = st.lists(st.sampled_from([word for text in SENTENCES for word in text.split()]) | st.text(), max_size=25)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts.map(" ".join), min_size=1, max_size=4), st.booleans(), st.sampled_from([4, 16, 400]))
def test_the_step_makes_the_ids_that_transformers_makes(family: str, sent: list[str], pairs: bool, most: int) -> None:
    names = ("input_ids", "attention_mask", "token_type_ids")
    tokenizer = wrapped(family)
    own = OwnTokenizer(tokenizer, names, make_step(tokenizer, names, max(most, 5) if pairs else most))
    column = np.array(sent, dtype=object)
    # raises where the two differ
    made = own.tokens({"a": column, "b": column[::-1]} if pairs else {"a": column})
    assert made["input_ids"].shape[0] == len(sent)


def test_a_pipeline_in_memory_brings_its_tokenizer(tmp_path: Path, shipping: Ship) -> None:
    model, tokenizer = saved(tmp_path / "model")
    pipeline = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")

    shipped = shipping(pipeline)

    told = pipeline(TEXTS, truncation=True, max_length=40)
    answers = answers_to(shipped, TEXTS)
    assert [answer["label"] for answer in answers] == [each["label"] for each in told]
    np.testing.assert_allclose(
        [answer["probability"] for answer in answers], [each["score"] for each in told], atol=1e-5
    )


def test_a_model_in_memory_is_given_its_tokenizer_beside_it(tmp_path: Path, shipping: Ship) -> None:
    model, tokenizer = saved(tmp_path / "model")

    shipped = shipping(model, processor=tokenizer, text={"overflow": "refuse", "most_tokens": 20, "max_characters": 99})

    expected = probabilities_of(model, tokenizer, TEXTS[:1])
    np.testing.assert_allclose(answers_to(shipped, TEXTS[:1])[0]["probabilities"], expected[0], atol=1e-5)
    for text, complaint in (("a " * 40, "tokens, the model reads 20"), ("a " * 50, "the model reads 99")):
        with pytest.raises(InvalidInputError, match=complaint):
            answers_to(shipped, [text])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ({"overflow": "ignore"}, "nothing that a tokenizer can do"),
        ({"most_tokens": 41}, "reads 40 tokens, and not 41"),
        ({"padding": {"token": 3}}, "'padding' cannot be chosen"),
    ],
)
def test_what_a_tokenizer_cannot_do_cannot_be_chosen(tmp_path: Path, text: dict[str, Any], complaint: str) -> None:
    saved(tmp_path / "model")
    with pytest.raises(InvalidInputError, match=complaint):
        convert(tmp_path / "model", tmp_path / "out", text=text)


def test_a_processor_beside_a_directory_is_refused(tmp_path: Path) -> None:
    _, tokenizer = saved(tmp_path / "model")
    with pytest.raises(InvalidInputError, match="save it in the model's directory"):
        convert(tmp_path / "model", tmp_path / "out", processor=tokenizer)


def test_texts_that_are_cut_may_be_flagged(tmp_path: Path, shipping: Ship) -> None:
    model, tokenizer = saved(tmp_path / "model")

    shipped = shipping(tmp_path / "model", text={"overflow": "flag", "most_tokens": 20})

    expected = probabilities_of(model, tokenizer, TEXTS, most=20)
    answers = answers_to(shipped, TEXTS)
    np.testing.assert_allclose([answer["probabilities"] for answer in answers], expected, atol=1e-5)
    lengths = [len(ids) for ids in tokenizer(TEXTS)["input_ids"]]
    assert [answer["flags"] for answer in answers] == ["text" if length > 20 else "" for length in lengths]


def test_a_pipeline_that_mlflow_saved_answers_as_it_did(tmp_path: Path, shipping: Ship) -> None:
    model, _ = saved(tmp_path / "own")
    # as mlflow.transformers.save_model writes it
    tokenizer = wrapped("WordPiece")
    tokenizer.save_pretrained(tmp_path / "flavoured/components/tokenizer")
    model.save_pretrained(tmp_path / "flavoured/model")
    flavour = {"model_binary": "model", "components": ["tokenizer"], "task": "text-classification", "code": None}
    flavours = {"python_function": {"loader_module": "mlflow.transformers"}, "transformers": flavour}
    (tmp_path / "flavoured/MLmodel").write_text(json.dumps({"flavors": flavours, "mlflow_version": "3.17.2"}))

    shipped = shipping(tmp_path / "flavoured")

    loaded = transformers.AutoTokenizer.from_pretrained(tmp_path / "flavoured/components/tokenizer")
    expected = probabilities_of(model, loaded, TEXTS)
    answers = answers_to(shipped, TEXTS)
    np.testing.assert_allclose([answer["probabilities"] for answer in answers], expected, atol=1e-5)
