"""The registry over HTTP: models, versions, aliases and their history."""

from __future__ import annotations

from typing import Literal, TypeVar
from urllib.parse import quote

import msgspec

from onnxlet.client.moves import MODELS
from onnxlet.client.transport import Transport
from onnxlet.errors import OnnxletError
from onnxlet.values.aliases import Alias, HistoryEntry
from onnxlet.values.refs import check_alias_name, check_model_name

T = TypeVar("T")


class Version(msgspec.Struct, frozen=True):
    """A version in a list. `created` is RFC 3339, `size` bytes, `aliases` are those that route to it now."""

    version: int
    created: str
    size: int
    state: Literal["published", "incomplete"]
    aliases: tuple[str, ...]


class _Models(msgspec.Struct):
    models: list[str]


class _Versions(msgspec.Struct):
    versions: list[Version]


class _Aliases(msgspec.Struct):
    aliases: dict[str, Alias]


class _History(msgspec.Struct):
    entries: list[HistoryEntry]


def models(transport: Transport) -> list[str]:
    """The names of all models."""
    return _read(transport, MODELS, _Models).models


def versions(transport: Transport, model: str) -> list[Version]:
    """A model's versions by number."""
    return _read(transport, f"{MODELS}/{check_model_name(model)}/versions", _Versions).versions


def aliases(transport: Transport, model: str) -> dict[str, Alias]:
    """A model's aliases by name."""
    return _read(transport, f"{MODELS}/{check_model_name(model)}/aliases", _Aliases).aliases


def history(transport: Transport, model: str, alias: str) -> list[HistoryEntry]:
    """Every move of an alias, oldest first."""
    path = f"{MODELS}/{check_model_name(model)}/history?alias={quote(check_alias_name(alias))}"
    return _read(transport, path, _History).entries


def _read(transport: Transport, path: str, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(transport.get(path).body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise OnnxletError(f"{path} at {transport.url!r} is not what a registry answers: {error}") from error
