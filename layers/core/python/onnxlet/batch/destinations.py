"""Where the files go that a job writes: beside each other on this machine, or below `batch/out/` of a store.

The scored rows are written under `<output>`, bad rows to `<output>.errors.jsonl`, and last of all the book, to
`<output>.manifest.json`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from onnxlet.batch.book import Scorer
from onnxlet.errors import InvalidInputError
from onnxlet.values.keys import BATCH_OUT

if TYPE_CHECKING:
    from onnxlet.store import Store

ERRORS = ".errors.jsonl"
BOOK = ".manifest.json"

FAILED = BATCH_OUT + "_errors/"
"""Where the books of files lie that could not be scored; no model's name starts with `_`."""


class Destination(Protocol):
    """Where a job's outputs go.

    `name` ends as the output will. `failed` is where the book of a file lies that was not scored. Outputs are made in
    `scratch`, a folder from which they can be moved at once, or None for the system's own.
    """

    name: str
    failed: str
    scratch: Path | None

    def name_output(self, scorer: Scorer) -> str:
        """Where the rows go that `scorer` scores."""

    def put(self, name: str, data: bytes | Path) -> None:
        """Write an output, whole: nobody sees half of it."""


class LocalDestination:
    """A file on this machine."""

    def __init__(self, output: Path) -> None:
        self.name = output.name
        self.failed = str(output)
        self.scratch: Path | None = output.parent
        self._output = output

    def name_output(self, scorer: Scorer) -> str:  # noqa: ARG002 - one name, whoever scores
        """The file's path."""
        return str(self._output)

    def put(self, name: str, data: bytes | Path) -> None:
        """Write an output, or move it to its place. Raises InvalidInputError where none may be."""
        part = data if isinstance(data, Path) else Path(f"{name}.{os.getpid()}.part")
        try:
            if isinstance(data, bytes):
                part.write_bytes(data)
            part.replace(name)
        except OSError as error:
            raise InvalidInputError(f"{name!r} cannot be written: {error.strerror}") from error


class StoreDestination:
    """A store: what `batch/in/<ref>/<path>` holds is scored to `batch/out/<model>/<version>/<path>`."""

    def __init__(self, store: Store, ref: str, path: str) -> None:
        self.name = path
        self.failed = f"{FAILED}{ref}/{path}"
        self.scratch: Path | None = None
        self._store = store

    def name_output(self, scorer: Scorer) -> str:
        """The key of the output."""
        return f"{BATCH_OUT}{scorer.model}/{scorer.version}/{self.name}"

    def put(self, name: str, data: bytes | Path) -> None:
        """Write an object."""
        self._store.put(name, data)
