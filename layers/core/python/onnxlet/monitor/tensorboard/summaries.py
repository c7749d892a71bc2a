"""What TensorBoard shows, as the values of a summary: a tag, a tensor, and the plugin that draws it.

Source: tensorboard/compat/proto/{summary,tensor,tensor_shape}.proto, and the `metadata.py` and `.proto` files of the
plugins scalar, histogram, text, image and hparams.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

from onnxlet.monitor.tensorboard.protobuf import data, double, doubles, single, varint

Value = bytes
"""An encoded Summary.Value."""
Hyperparameter = str | float | bool
EXPERIMENT = "_hparams_/experiment"
SESSION_START = "_hparams_/session_start_info"
SESSION_END = "_hparams_/session_end_info"
_FLOAT, _DOUBLE, _STRING = 1, 2, 7
_SUCCESS = 1


class DataClass(IntEnum):
    """How TensorBoard keeps a tag's tensors."""

    SCALAR = 1
    TENSOR = 2
    BLOBS = 3


class Bucket(NamedTuple):
    """A bar of a histogram."""

    left: float
    right: float
    rows: float


class Picture(NamedTuple):
    """A picture, encoded as PNG."""

    width: int
    height: int
    png: bytes


def scalar(tag: str, value: float, about: str = "") -> Value:
    """A number. It is one real element, without which the hparams page cannot read a metric."""
    return _value(tag, "scalars", DataClass.SCALAR, _tensor(_FLOAT, (), single(5, value)), about)


def histogram(tag: str, buckets: Sequence[Bucket], about: str = "") -> Value:
    """Counts by bucket."""
    flat = [number for bucket in buckets for number in bucket]
    tensor = _tensor(_DOUBLE, (len(buckets), 3), doubles(6, flat))
    return _value(tag, "histograms", DataClass.TENSOR, tensor, about)


def text(tag: str, markdown: str, about: str = "") -> Value:
    """A text, which TensorBoard reads as Markdown and shows without scripts."""
    return _value(tag, "text", DataClass.TENSOR, _tensor(_STRING, (1,), data(8, markdown)), about)


def image(tag: str, picture: Picture, about: str = "") -> Value:
    """A picture."""
    told = (str(picture.width), str(picture.height), picture.png)
    tensor = _tensor(_STRING, (len(told),), b"".join(data(8, each) for each in told))
    return _value(tag, "images", DataClass.BLOBS, tensor, about)


def experiment(hyperparameters: Mapping[str, Sequence[Hyperparameter]], metrics: Sequence[str]) -> Value:
    """What the sessions below a run have in common: names of hyperparameters, with the values met, and of metrics."""
    infos = b"".join(data(4, _hyperparameter(name, values)) for name, values in hyperparameters.items())
    named = b"".join(data(5, data(1, data(2, metric)) + data(3, metric)) for metric in metrics)
    return _session_value(EXPERIMENT, data(2, infos + named))


def session_start(hyperparameters: Mapping[str, Hyperparameter], group: str, at: float) -> Value:
    """The hyperparameters of a run. Runs of one `group` are one line of the table."""
    values = b"".join(data(1, data(1, name) + data(2, _plain(value))) for name, value in hyperparameters.items())
    return _session_value(SESSION_START, data(3, values + data(4, group) + double(5, at)))


def session_end(at: float) -> Value:
    """That the run's metrics are there."""
    return _session_value(SESSION_END, data(4, varint(1, _SUCCESS) + double(2, at)))


def _value(tag: str, plugin: str, kind: DataClass, tensor: bytes, about: str = "", *, content: bytes = b"") -> Value:
    called = data(1, plugin) + (data(2, content) if content else b"")
    metadata = data(1, called) + (data(3, about) if about else b"") + varint(4, kind)
    return data(1, tag) + data(9, metadata) + data(8, tensor)


def _session_value(tag: str, content: bytes) -> Value:
    return _value(tag, "hparams", DataClass.TENSOR, _tensor(_FLOAT, (1,), single(5, 0.0)), content=content)


def _tensor(kind: int, shape: Sequence[int], values: bytes) -> bytes:
    return varint(1, kind) + data(2, b"".join(data(2, varint(1, size)) for size in shape)) + values


def _hyperparameter(name: str, values: Sequence[Hyperparameter]) -> bytes:
    kinds = {bool: 2, float: 3, int: 3, str: 1}
    members = b"".join(data(1, _plain(value)) for value in values)
    return data(1, name) + varint(4, kinds[type(values[0])]) + data(5, members)


def _plain(value: Hyperparameter) -> bytes:
    """A value of protobuf's Struct."""
    if isinstance(value, bool):
        return varint(4, value)
    return data(3, value) if isinstance(value, str) else double(2, value)
