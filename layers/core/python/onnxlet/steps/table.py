"""The kinds of steps, by the `kind` of their documents: the one place that lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

import msgspec

from onnxlet.errors import InvalidInputError, UnknownStepError
from onnxlet.steps.base import Read, Step, kind_of, no_artifacts
from onnxlet.steps.classification import Classification
from onnxlet.steps.finite import Finite
from onnxlet.steps.pipeline import Steps
from onnxlet.steps.tabular import Tabular

KINDS: dict[str, type[Step]] = {kind_of(step): step for step in (Tabular, Finite, Classification)}
LATER = {
    "categories": ("onnxlet.steps.categories", "Categories"),
    "image": ("onnxlet.steps.image", "Image"),
    "method": ("onnxlet.steps.method", "Method"),
    "output": ("onnxlet.steps.output", "Output"),
    "ranges": ("onnxlet.steps.ranges", "Ranges"),
    "token_ids": ("onnxlet.steps.token_ids", "TokenIds"),
    "tokenizer": ("onnxlet.steps.tokenizer", "Tokenizer"),
    "vectorizer": ("onnxlet.steps.vectorizer", "Vectorizer"),
}
"""Kinds that are imported by the first version which has such a step: no other's cold start waits for them."""


def add_kind(kind: type[Step]) -> None:
    """Let manifests have steps of another kind. Raises InvalidInputError if its name is another's."""
    known = KINDS.setdefault(kind_of(kind), kind)
    if known is not kind:
        raise InvalidInputError(f"steps of kind {kind_of(kind)!r} are {known.__qualname__}'s: choose another tag")


def decode_steps(documents: Iterable[Mapping[str, Any]], read: Read = no_artifacts) -> Steps:
    """A manifest's steps, which `read` their artifacts when they are planned.

    Raises UnknownStepError for one that this onnxlet does not know, or cannot read.
    """
    return Steps(tuple(_decoded(document) for document in documents), read)


def _known_kind(kind: str) -> type[Step] | None:
    if kind in LATER and kind not in KINDS:
        module, name = LATER[kind]
        add_kind(getattr(import_module(module), name))
    return KINDS.get(kind)


def _decoded(document: Mapping[str, Any]) -> Step:
    kind = document.get("kind")
    known = _known_kind(kind) if isinstance(kind, str) else None
    if known is None:
        raise UnknownStepError(
            f"the manifest has a step of kind {kind!r}, this onnxlet knows {', '.join(map(repr, {**KINDS, **LATER}))}: "
            "upgrade onnxlet",
            kind=str(kind),
        )
    try:
        return msgspec.convert(document, known)
    except msgspec.ValidationError as error:
        raise UnknownStepError(
            f"the manifest has a step of kind {kind!r} that this onnxlet cannot read, {error}: upgrade onnxlet",
            kind=kind,
        ) from error
