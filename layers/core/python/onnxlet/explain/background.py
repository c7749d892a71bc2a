"""The background: rows that stand for "not known". One artifact of a version, in the words of its row signature."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from onnxlet.errors import IntegrityError, NotExplainableError
from onnxlet.explain.answer import BackgroundUsed
from onnxlet.explain.document import BackgroundDocument
from onnxlet.explain.interface import Subject
from onnxlet.values.canonical import canonical
from onnxlet.values.tensors import PackedTensor, Tensor, Tensors, pack, unpack

MOST_ROWS = 100
"""Rows of a background: so many are shap's own default, and more cost time and change little."""
MOST_BYTES = 2**20
"""Bytes of a background's artifact: of rows that are larger there are fewer."""


class _Background(msgspec.Struct, frozen=True):
    columns: dict[str, PackedTensor]


def encode_background(rows: Tensors) -> bytes:
    """The rows, tensors [rows, ...] by input, as an artifact."""
    return canonical(_Background(pack(rows)))


def decode_background(data: bytes) -> Tensors:
    """Read an artifact. Raises IntegrityError if it holds no rows of one number."""
    try:
        rows = unpack(msgspec.json.decode(data, type=_Background).columns)
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise IntegrityError(f"this is no background: {error}") from error
    if len({tensor.shape[:1] for tensor in rows.values()}) != 1 or not count_rows(rows):
        raise IntegrityError("this is no background: its columns have no rows, or not as many")
    return rows


def count_rows(rows: Mapping[str, object]) -> int:
    """How many rows there are."""
    return len(next(iter(rows.values()), ()))  # type: ignore[arg-type]


class Background:
    """A version's background, read by the first method that needs one."""

    def __init__(self, subject: Subject, document: BackgroundDocument | None) -> None:
        self._subject = subject
        self._document = document
        self._rows: Tensors | None = None
        self._answers: dict[str, Tensor] = {}

    @property
    def exists(self) -> bool:
        """Whether the version has one."""
        return self._document is not None

    @property
    def count(self) -> int:
        """How many rows there are; 0 if there is no background."""
        return 0 if self._document is None else self._document.rows

    @property
    def used(self) -> BackgroundUsed:
        """What an answer tells of it. Raises NotExplainableError if there is none."""
        document = self._known()
        digests = {artifact.path: artifact.digest for artifact in self._subject.manifest.artifacts}
        return BackgroundUsed(document.kind, document.rows, digests.get(document.path, ""))

    def rows(self) -> Tensors:
        """Its rows, by input. Raises NotExplainableError if there is none, IntegrityError if it is broken."""
        if self._rows is None:
            with open(self._subject.fetch(self._known().path), "rb") as file:
                self._rows = decode_background(file.read())
        return self._rows

    def answers(self, output: str, ask: Callable[[Tensors], Tensor]) -> Tensor:
        """The answers [rows, columns] to its rows, of one output; they are asked for once."""
        if output not in self._answers:
            self._answers[output] = ask(self.rows())
        return self._answers[output]

    def _known(self) -> BackgroundDocument:
        if self._document is None:
            raise NotExplainableError(
                "the version has no background to compare rows with: convert the model with --data, and publish it"
            )
        return self._document
