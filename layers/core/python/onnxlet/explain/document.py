"""What a manifest says of explanations. Artifacts that only they need are fetched by the first who asks for one."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from onnxlet.errors import NotExplainableError

BackgroundKind = Literal["synthetic", "data", "random"]


class BackgroundDocument(msgspec.Struct, frozen=True):
    """The background: its artifact, where its rows come from, and how many there are.

    Rows of the `data` are what people are measured by; those that are `synthetic` are drawn from its statistics.
    """

    path: str
    kind: BackgroundKind
    rows: int


class PlayerDocument(msgspec.Struct, frozen=True):
    """Columns that are one player: those of one raw column that was encoded before, say."""

    name: str
    columns: tuple[str, ...]


class ExplanationDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What explanations of a version use.

    `players` are columns to take together; each of the others is a player by itself. `tables` hold what a method keeps,
    by the word that the table of methods says it needs.
    """

    background: BackgroundDocument | None = None
    players: tuple[PlayerDocument, ...] = ()
    tables: dict[str, dict[str, Any]] = {}


def read_document(document: dict[str, Any] | None) -> ExplanationDocument:
    """A manifest's `explanations`. Raises NotExplainableError if this onnxlet cannot read them."""
    if document is None:
        return ExplanationDocument()
    try:
        return msgspec.convert(document, ExplanationDocument)
    except msgspec.ValidationError as error:
        raise NotExplainableError(
            f"the version says of explanations what this onnxlet cannot read, {error}: upgrade onnxlet"
        ) from error


def write_document(document: ExplanationDocument) -> dict[str, Any]:
    """The document as a manifest keeps it."""
    written: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return written
