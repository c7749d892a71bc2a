"""The JSON Lines that are written: objects with what the model says of them behind their own members."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec
import orjson

from onnxlet.batch.formats.texts import interleave, write_integers, write_values
from onnxlet.batch.inputs import MODEL_VERSION, ROW, Inputs, free_name
from onnxlet.values.tensors import Tensors

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Sink

_ROW = b',"row":'

_read_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class JsonOutput:
    """Objects, and outputs of a model, written to a sink."""

    def __init__(self, sink: Sink, inputs: Inputs) -> None:
        self._sink = sink
        self._keep = inputs.keep
        version = inputs.version
        self._added = {ROW, MODEL_VERSION, *(spec.name for spec in inputs.outputs)}
        self._end = b"}\n" if version is None else b',"%s":%d}\n' % (MODEL_VERSION.encode(), version)

    def write(self, lines: Sequence[bytes], numbers: Sequence[int], outputs: Tensors, members: Iterable[str]) -> None:
        """Append lines by their own bytes, with their numbers; `members` are the names of all that they may have."""
        whole = self._keep is None and self._added.isdisjoint(members)
        columns = [_open_all(lines) if whole else list(map(self._rewrite, lines)), write_integers(numbers)]
        behind = [b"", b""]
        for name, tensor in outputs.items():
            values = write_values(tensor)
            behind[-1] += b"," + orjson.dumps(name) + b":" + values.before
            columns.append(values.texts)
            behind.append(values.after)
        behind[-1] += self._end
        self._sink.write(interleave(columns, behind, len(lines)))

    def _rewrite(self, line: bytes) -> bytes:
        """As `_open`, with the members to keep, by names that are not those of what is added.

        A line that has neither stays as it is, whatever others there are.
        """
        members = _read_members(line) if line.startswith(b"{") else {}
        if self._keep is None and self._added.isdisjoint(members):
            return _open(line)
        kept = [
            orjson.dumps(free_name(name, self._added)) + b":" + bytes(value) + b","
            for name, value in members.items()
            if self._keep is None or name in self._keep
        ]
        return b"{" + b"".join(kept) + b'"row":'


def _open_all(lines: Sequence[bytes]) -> list[bytes]:
    """Lines up to where their rows' numbers are written."""
    return [line[:-1] + _ROW if line[1:2] == b'"' else _open(line) for line in lines]


def _open(line: bytes) -> bytes:
    """A line of any kind, likewise. A bare value has no name under which it could be kept."""
    members = line[1:-1].strip() if line.startswith(b"{") else b""
    return b"{" + members + _ROW if members else b'{"row":'
