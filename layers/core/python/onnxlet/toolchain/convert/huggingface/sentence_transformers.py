"""Layouts of Hugging Face directories: a transformer alone, or the `modules.json` of sentence-transformers.

The format of modules.json, of 1_Pooling/config.json and of their kin is that of sentence-transformers 2 to 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from onnxlet.errors import ConversionError

_MODES = {
    # as they are called before sentence-transformers 6, in the order in which they are joined
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
KNOWN = ("cls", "max", "mean", "mean_sqrt_len_tokens")


class _Module(msgspec.Struct, frozen=True):
    idx: int
    path: str
    type: str


@dataclass(frozen=True)
class Dense:
    """A linear layer after pooling: where its weights lie, and what its activation is called."""

    weights: Path
    activation: str


@dataclass(frozen=True)
class EncoderLayout:
    """The folders of an encoder's parts, and the layers after the transformer."""

    directory: Path
    transformer: Path
    pooling: tuple[str, ...] = ()
    """Pooling modes whose vectors are concatenated; none for a transformer alone."""
    after: tuple[Dense | str, ...] = ()
    """Layers after pooling: dense ones and `normalize`."""
    max_tokens: int | None = None
    """The most tokens of a text that are read, if the directory says so."""
    lowercase: bool = False


def read_encoder_layout(directory: Path) -> EncoderLayout:
    """Read `modules.json` if there is one. Raises ConversionError for modules that are not known here."""
    if not (directory / "modules.json").is_file():
        return EncoderLayout(directory, directory)
    first, *rest = _read_modules(directory)
    if _kind(first) != "Transformer":
        raise ConversionError(f"{directory.name!r} begins with a {_kind(first)}, and only transformers are read here")
    transformer = directory / first.path
    settings = read_json(transformer / "sentence_bert_config.json")
    pooling: tuple[str, ...] = ()
    after: list[Dense | str] = []
    for module in rest:
        kind, place = _kind(module), directory / module.path
        if kind == "Pooling" and not pooling:
            pooling = _read_pooling(read_json(place / "config.json"))
        elif kind == "Dense" and pooling:
            after.append(_read_dense(place))
        elif kind == "Normalize" and pooling:
            after.append("normalize")
        else:
            raise ConversionError(
                f"{directory.name!r} has a module {kind!r} after its transformer, which has no form here: known are "
                "Pooling, then Dense and Normalize"
            )
    if not pooling:
        raise ConversionError(f"{directory.name!r} has no Pooling, so it makes no vector of a text")
    return EncoderLayout(
        directory,
        transformer,
        pooling,
        tuple(after),
        settings.get("max_seq_length"),
        bool(settings.get("do_lower_case", False)),
    )


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is no such file. Raises ConversionError for a broken one."""
    if not path.is_file():
        return {}
    try:
        document: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConversionError(f"{path.name!r} is no JSON object: {error}", path=str(path)) from error
    return document


def _read_modules(directory: Path) -> list[_Module]:
    try:
        modules = msgspec.json.decode((directory / "modules.json").read_bytes(), type=list[_Module])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConversionError(f"'modules.json' in {directory.name!r} lists no modules: {error}") from error
    if not modules:
        raise ConversionError(f"'modules.json' in {directory.name!r} lists no modules")
    if any(Path(module.path).is_absolute() or ".." in Path(module.path).parts for module in modules):
        raise ConversionError(f"'modules.json' in {directory.name!r} points out of its directory")
    return sorted(modules, key=lambda module: module.idx)


def _kind(module: _Module) -> str:
    return module.type.rpartition(".")[2]


def _read_pooling(config: dict[str, Any]) -> tuple[str, ...]:
    setting = config.get("pooling_mode")
    if setting is None:
        modes = [setting for key, setting in _MODES.items() if config.get(key)]
    else:
        modes = [setting] if isinstance(setting, str) else list(setting)
    unknown = [setting for setting in modes if setting not in KNOWN]
    if unknown or not modes:
        raise ConversionError(
            f"pooling by {', '.join(map(repr, unknown)) or 'nothing'} has no form here: known are "
            f"{', '.join(map(repr, KNOWN))}"
        )
    return tuple(modes)


def _read_dense(place: Path) -> Dense:
    config = read_json(place / "config.json")
    weights = place / "model.safetensors"
    unsupported = (
        config.get("use_residual") or config.get("module_input_name", "sentence_embedding") != "sentence_embedding"
    )
    if unsupported or not weights.is_file():
        raise ConversionError(
            f"the Dense module in {place.name!r} "
            + (
                "is of a kind that has no form here"
                if unsupported
                else "has no model.safetensors: save the model again"
            )
        )
    return Dense(weights, str(config.get("activation_function") or "Identity").rpartition(".")[2])
