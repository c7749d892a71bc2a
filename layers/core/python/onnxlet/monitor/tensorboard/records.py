"""Event files: events in TensorFlow's record format, each with checksums of its length and of itself.

Source: tensorboard/compat/proto/event.proto and tensorflow/core/lib/io/record_writer.h. A file begins with its format's
name, then with a restart: whatever the files before it said from that step on no longer holds.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from onnxlet.errors import MissingExtraError
from onnxlet.monitor.tensorboard.protobuf import data, double, varint
from onnxlet.monitor.tensorboard.summaries import Value

_FORMAT = "brain.Event:2"
_WRITER = "onnxlet"
_START = 1
_MASK = 0xA282EAD8
_WORD = 0xFFFFFFFF


class Step(NamedTuple):
    """All that is known of one step of a run; `at` is in seconds since the epoch."""

    step: int
    at: float
    values: tuple[Value, ...]


def event_file(steps: Sequence[Step]) -> bytes:
    """A file of these steps, in order. Raises MissingExtraError without what computes its checksums."""
    first = steps[0]
    events = [
        double(1, first.at) + data(3, _FORMAT) + data(10, data(1, _WRITER)),
        double(1, first.at) + varint(2, first.step) + data(7, varint(1, _START)),
        *(_event(step) for step in steps),
    ]
    return b"".join(map(_framed, events))


def _event(step: Step) -> bytes:
    return double(1, step.at) + varint(2, step.step) + data(5, b"".join(data(1, value) for value in step.values))


def _framed(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    return length + _checksum(length) + record + _checksum(record)


def _checksum(record: bytes) -> bytes:
    try:
        from google_crc32c import value
    except ImportError as error:
        raise MissingExtraError(
            "event files need google-crc32c: pip install 'onnxlet[tensorboard]'", extra="tensorboard"
        ) from error
    crc = value(record)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & _WORD)
