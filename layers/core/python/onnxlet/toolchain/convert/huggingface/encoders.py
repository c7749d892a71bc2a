"""Encoders: a transformer with its weights, as a module that takes tensors and returns tensors by name."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from onnxlet.errors import ConversionError
from onnxlet.steps.token_ids import Bound
from onnxlet.toolchain.convert.huggingface.pretrained import (
    check_weights,
    labels_of,
    load_pretrained,
    missing_weights,
    read_config,
    run_module,
)
from onnxlet.toolchain.convert.huggingface.sentence_transformers import Dense, EncoderLayout
from onnxlet.toolchain.convert.networks.model_errors import MODEL_ERRORS
from onnxlet.toolchain.convert.networks.outputs import OutputHints
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.values.tensors import Tensors

_HEADS = {
    "ForSequenceClassification": (AutoModelForSequenceClassification, ("logits",)),
    "ForTokenClassification": (AutoModelForTokenClassification, ("logits",)),
    "ForQuestionAnswering": (AutoModelForQuestionAnswering, ("start_logits", "end_logits")),
}
_BODY = (AutoModel, ("last_hidden_state", "pooler_output"))
_BARE = ("Model", "ForMaskedLM", "ForPreTraining")
"""Architectures whose body is used, without their heads."""
_ACTIVATIONS = ("GELU", "Identity", "ReLU", "Sigmoid", "Tanh")
_SMALLEST = 1e-9


@dataclass(frozen=True)
class Encoder:
    """A module, its inputs, its vocabulary (the number of tokens, the padding token, the longest text, the kinds of
    texts), and whether it is made for pairs of texts.
    """

    module: Any
    names: tuple[str, ...]
    labels: tuple[str, ...]
    hints: OutputHints
    vocabulary: int
    pad: int
    max_tokens: int
    types: int
    pairs: bool

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The numbers that its inputs may hold."""
        below = {"input_ids": self.vocabulary, "attention_mask": 2, "token_type_ids": self.types}
        return tuple(Bound(name, below[name]) for name in self.names)

    def run(self, inputs: Tensors) -> Tensors:
        """Its answers by name. Raises InvalidInputError where it fails."""
        return run_module(self.module, inputs, "the encoder does not take these tokens")


def load_encoder(layout: EncoderLayout) -> Encoder:
    """Read architecture and weights. Raises ConversionError for what is no encoder, or lacks weights."""
    directory = layout.transformer
    config = read_config(directory)
    model_class, outputs = _choose_head(config, pooled=bool(layout.pooling))
    body, lacking = load_pretrained(model_class, directory, config)
    if missing_weights(lacking, pooler=True):
        outputs = tuple(name for name in outputs if name != "pooler_output")
    check_weights(directory.name, missing_weights(lacking, pooler=False))
    module: nn.Module = _SentenceEmbedding(body, layout) if layout.pooling else _TransformerModule(body, outputs)
    return Encoder(
        module.eval().requires_grad_(requires_grad=False),
        _inputs(body, config),
        labels_of(config) if outputs == ("logits",) else (),
        _hints(config, model_class, outputs),
        int(config.vocab_size),
        int(getattr(config, "pad_token_id", None) or 0),
        _max_tokens(config),
        int(getattr(config, "type_vocab_size", 0)),
        model_class is AutoModelForQuestionAnswering,
    )


def _choose_head(config: Any, *, pooled: bool) -> tuple[Any, tuple[str, ...]]:
    """The class that reads it, and the outputs to give. Raises ConversionError for what is no encoder."""
    (architecture,) = (getattr(config, "architectures", None) or ["Model"])[:1]
    head = next((known for ending, known in _HEADS.items() if architecture.endswith(ending)), None)
    writes = architecture.endswith("LMHeadModel") or getattr(config, "is_encoder_decoder", False)
    if writes or getattr(config, "is_decoder", False):
        head = None
    elif pooled or architecture.endswith(_BARE):
        head = _BODY
    if head is None or not hasattr(config, "vocab_size"):
        raise ConversionError(
            f"a {architecture} is no encoder of texts that is known here: their architectures end in "
            f"{quoted([*_BARE, *_HEADS])}; export it yourself and convert the .onnx file",
            architecture=architecture,
        )
    return head


def _inputs(body: Any, config: Any) -> tuple[str, ...]:
    taken = inspect.signature(body.forward).parameters
    typed = "token_type_ids" in taken and getattr(config, "type_vocab_size", 0) > 1
    return ("input_ids", "attention_mask", *(("token_type_ids",) if typed else ()))


def _hints(config: Any, model_class: Any, outputs: tuple[str, ...]) -> OutputHints:
    """What a head is known to give: logits of labels, of each by itself where the configuration says so; states."""
    if outputs != ("logits",):
        bare = model_class is AutoModel
        return OutputHints(task="embedding" if bare else None, class_axis=-1)
    if model_class is AutoModelForTokenClassification:
        return OutputHints(are="logits", task="segmentation", class_axis=-1)
    kind = getattr(config, "problem_type", None)
    if kind == "regression" or int(getattr(config, "num_labels", 1)) == 1:
        return OutputHints(class_axis=-1)
    return OutputHints(are="independent-logits" if kind == "multi_label_classification" else "logits", class_axis=-1)


def _max_tokens(config: Any) -> int:
    """Positions, less those that RoBERTa and its kin count up to their padding."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    shifted = "roberta" in config.model_type or config.model_type in ("camembert", "mpnet", "xlm-roberta", "xmod")
    return positions - 1 - int(config.pad_token_id) if shifted else positions


class _TransformerModule(nn.Module):  # type: ignore[misc]
    def __init__(self, body: nn.Module, outputs: tuple[str, ...]) -> None:
        super().__init__()
        self.body, self.outputs = body, outputs

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        answer = _run_transformer(self.body, input_ids, attention_mask, token_type_ids)
        return {name: answer[name] for name in self.outputs if answer.get(name) is not None}


class _SentenceEmbedding(nn.Module):  # type: ignore[misc]
    def __init__(self, body: nn.Module, layout: EncoderLayout) -> None:
        super().__init__()
        self.body, self.modes = body, layout.pooling
        self.after = nn.ModuleList([_Normalize() if isinstance(one, str) else _load_dense(one) for one in layout.after])

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        states = _run_transformer(self.body, input_ids, attention_mask, token_type_ids)["last_hidden_state"]
        embedding = torch.cat([_pool(mode, states, attention_mask) for mode in self.modes], dim=-1)
        for layer in self.after:
            embedding = layer(embedding)
        return {"embedding": embedding}


class _Normalize(nn.Module):  # type: ignore[misc]
    def forward(self, embedding: torch.Tensor) -> torch.Tensor:
        return functional.normalize(embedding, p=2, dim=-1)


def _run_transformer(body: nn.Module, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor | None) -> Any:
    typed = {} if types is None else {"token_type_ids": types}
    return body(input_ids=ids, attention_mask=mask, return_dict=True, **typed)


def _pool(mode: str, states: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """One vector per text, as sentence-transformers pools it."""
    if mode == "cls":
        return states[:, 0]
    mask = attention_mask.unsqueeze(-1).to(states.dtype)
    if mode == "max":
        return states.masked_fill(mask == 0, torch.finfo(states.dtype).min).amax(dim=1)
    count = mask.sum(dim=1).clamp(min=_SMALLEST)
    return (states * mask).sum(dim=1) / (count.sqrt() if mode == "mean_sqrt_len_tokens" else count)


def _load_dense(dense: Dense) -> nn.Module:
    from safetensors.torch import load_file

    if dense.activation not in _ACTIVATIONS:
        raise ConversionError(
            f"the activation {dense.activation!r} of a Dense module has no form here: known are {quoted(_ACTIVATIONS)}"
        )
    try:
        weights = load_file(dense.weights)
        weight, bias = weights["linear.weight"], weights.get("linear.bias")
    except MODEL_ERRORS as error:
        raise ConversionError(f"{str(dense.weights)!r} holds no weights of a Dense module: {error}") from error
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.load_state_dict({"weight": weight} | ({"bias": bias} if bias is not None else {}))
    return nn.Sequential(linear.float(), getattr(nn, dense.activation)())
