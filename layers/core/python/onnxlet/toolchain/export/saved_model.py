"""SavedModels as TensorFlow Serving reads them: written from a version, loaded again and run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.export.signatures import ServedSignature, served_signatures
from onnxlet.toolchain.export.translation import Translation
from onnxlet.toolchain.workbench.error_text import one_line
from onnxlet.values.manifest import Manifest
from onnxlet.values.tensors import Tensors

FILE = "saved_model.pb"
_FINGERPRINT = "fingerprint.pb"


def write(manifest: Manifest, graph: Path, folder: Path) -> list[ServedSignature]:
    """Write the version as a SavedModel into `folder`, and return its signatures.

    Raises ConversionError for what TensorFlow cannot compute, InvalidInputError if the disk does not take it.
    """
    translation = Translation(onnx.load(graph))
    served = served_signatures(manifest, translation)
    module = tf.Module()
    functions = {one.name: one.function() for one in served}
    module.weights = translation.weights
    with _explain_write_errors(folder):
        tf.saved_model.save(module, str(folder), signatures=functions)
        _name_inputs(folder, served)
    return served


def _name_inputs(folder: Path, served: Sequence[ServedSignature]) -> None:
    """Give the signatures' inputs their true names, which TensorFlow does not accept as a function's arguments."""
    if all(name == argument for one in served for name, argument in one.arguments.items()):
        return
    document = saved_model_pb2.SavedModel()
    document.ParseFromString((folder / FILE).read_bytes())
    for one in served:
        inputs = document.meta_graphs[0].signature_def[one.name].inputs
        tensors_by_name = {name: inputs[argument].SerializeToString() for name, argument in one.arguments.items()}
        inputs.clear()
        for name, tensor in tensors_by_name.items():
            inputs[name].ParseFromString(tensor)
    (folder / FILE).write_bytes(document.SerializeToString())
    # it holds the digest of what was written before
    (folder / _FINGERPRINT).unlink(missing_ok=True)


class ReloadedModel:
    """A SavedModel loaded from disk by TensorFlow."""

    def __init__(self, folder: Path, served: Sequence[ServedSignature]) -> None:
        self._loaded = tf.saved_model.load(str(folder))
        self._served = {one.name: one for one in served}

    def run(self, signature: str, inputs: Tensors) -> Tensors:
        """Its answers; texts as str. Raises ConversionError if it fails on these inputs."""
        one = self._served[signature]
        arguments = one.arguments
        try:
            answers = self._loaded.signatures[signature](
                **{arguments[name]: tf.constant(_encode_texts(value)) for name, value in inputs.items()}
            )
        except (tf.errors.OpError, ValueError, TypeError) as error:
            raise ConversionError(f"the SavedModel does not run: {one_line(error)}") from error
        return {name: _decode_texts(answer.numpy()) for name, answer in answers.items()}


def _encode_texts(value: Any) -> Any:
    return np.char.encode(value.astype(str), "utf-8") if value.dtype.kind == "O" else value


def _decode_texts(value: Any) -> Any:
    if value.dtype.kind != "O":
        return value
    return np.array([text.decode() for text in value.reshape(-1)], dtype=object).reshape(value.shape)


@contextmanager
def _explain_write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        raise InvalidInputError(
            f"the SavedModel cannot be written below {str(folder.parent)!r}: {one_line(error)}"
        ) from error
