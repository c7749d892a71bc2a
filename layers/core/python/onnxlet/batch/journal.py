"""A folder's journal: which parts of an output are in their places, so that a job that was killed goes on behind them.

It is of one boot of the machine: what was written and is not on the disk yet is lost with the power, but not with a
process.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from onnxlet.batch.parts import Part
from onnxlet.values.canonical import canonical
from onnxlet.version import __version__

if TYPE_CHECKING:
    from onnxlet.batch.book import Scorer

JOURNAL = "journal"
_BOOT = Path("/proc/sys/kernel/random/boot_id")

_decoder = msgspec.json.Decoder(Part)


class Journal:
    """The journal of a folder, where `file` is open to be written on; `parts` are those that were in their places."""

    def __init__(self, file: BinaryIO, parts: list[Part]) -> None:
        self.parts = parts
        self._file = file

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def append(self, part: Part) -> None:
        """Take note that the next part is in its place."""
        self._file.write(msgspec.json.encode(part) + b"\n")


def open_journal(folder: Path, job: str, scorer: Scorer) -> Journal:
    """The journal of a job that a version does: that of the job when it was killed, or a new one."""
    opening = canonical([job, scorer, __version__, _BOOT.read_text() if _BOOT.exists() else None]) + b"\n"
    path = folder / JOURNAL
    known = path.read_bytes() if path.exists() else b""
    parts: list[Part] = []
    if known.startswith(opening):
        # the last line may not be whole
        lines = known[len(opening) :].split(b"\n")[:-1]
        parts = [_decoder.decode(line) for line in lines]
    path.write_bytes(opening + b"".join(msgspec.json.encode(part) + b"\n" for part in parts))
    return Journal(path.open("ab", buffering=0), parts)
