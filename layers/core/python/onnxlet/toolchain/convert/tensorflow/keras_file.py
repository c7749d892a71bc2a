"""Keras: `.keras` files of Keras 3, run by its TensorFlow backend."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from onnxlet.errors import ConversionError, TrustRequiredError
from onnxlet.toolchain.convert.networks.tensor_model import TensorModel
from onnxlet.toolchain.convert.options import SourceOptions
from onnxlet.toolchain.convert.tensorflow.exporter import choose_output_names, first_line, spec_of, tensorflow_errors
from onnxlet.toolchain.convert.tensorflow.network import TensorFlowNetwork
from onnxlet.toolchain.workbench.extras import require, versions
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.tensorflow import EXTRA, load_tensorflow, silence_tensorflow

BACKEND = "tensorflow"
_METADATA = "metadata.json"
_UNSAFE = ("safe_mode=False", "unsafe_deserialization", "arbitrary code execution")


def open_model(path: Path, *, trust: bool, progress: Progress, options: SourceOptions) -> TensorModel:
    """The model in a file.

    Raises TrustRequiredError for one with code of its own, ConversionError, MissingExtraError.
    """
    saved_by = _read_keras_version(path)
    require(EXTRA, "tensorflow", "keras", "tf2onnx")
    os.environ.setdefault("KERAS_BACKEND", BACKEND)
    progress("starting TensorFlow")
    load_tensorflow()
    return _network(_load(path, saved_by, trust=trust), options, progress)


def open_object(model: Any, *, progress: Progress, options: SourceOptions) -> TensorModel:
    """A model in memory. Raises ConversionError for what only its code describes, and for other backends of Keras."""
    require(EXTRA, "tensorflow", "keras", "tf2onnx")
    load_tensorflow()
    _check_backend()
    return _network(model, options, progress)


def _network(model: Any, options: SourceOptions, progress: Progress) -> TensorModel:
    layers = KerasLayers(model)
    made_by = versions("keras", "tensorflow", "tensorflow-cpu", "tf2onnx")
    outputs = choose_output_names(layers.outputs(), options.outputs)
    return TensorModel(
        TensorFlowNetwork("Keras", "object", made_by, model, layers.call, layers.specs, outputs),
        options,
        progress,
    )


class KerasLayers:
    """A Keras model: inputs are named like its input layers, or by the keys of its dictionary of inputs."""

    def __init__(self, model: Any) -> None:
        self._model = model
        try:
            self._inputs, self._outputs = model.inputs, model.outputs
        except AttributeError:
            self._inputs = self._outputs = None
        if not self._inputs:
            raise ConversionError(
                f"the model is a {type(model).__name__}, whose code alone says what it takes: save it with "
                "model.export(directory), and convert that directory"
            )
        # a lone tensor has no truth value
        structure = _structure(model, "input")
        self._structure = self._inputs if structure is None else structure
        names = _names(self._structure, [tensor._keras_history.operation.name for tensor in self._inputs])  # noqa: SLF001 - as Keras's own exporters find layers
        self.specs = tuple(spec_of(name, tensor) for name, tensor in zip(names, self._inputs, strict=True))

    def call(self, *tensors: Any) -> list[Any]:
        """The answers to its inputs, in its own order of both."""
        import keras

        structured = keras.tree.pack_sequence_as(self._structure, list(tensors)) if len(tensors) > 1 else tensors[0]
        if len(tensors) == 1 and isinstance(self._structure, dict):
            structured = {self.specs[0].name: structured}
        return list(keras.tree.flatten(self._model(structured, training=False)))

    def outputs(self) -> tuple[str, ...]:
        """Output layers' names, or the keys of a dictionary; lengthened where an input has it."""
        structure = _structure(self._model, "output")
        layers = [tensor._keras_history.operation.name for tensor in self._outputs]  # noqa: SLF001 - see above
        names: list[str] = []
        taken = {spec.name for spec in self.specs}
        for name in _names(structure, layers):
            free = name
            while free in names or free in taken:
                free += "_"
            names.append(free)
        return tuple(names)


def _structure(model: Any, which: str) -> Any:
    """How inputs or outputs are nested; a Sequential has no such thing."""
    try:
        return getattr(model, which)
    except (AttributeError, ValueError):
        return None


def _names(structure: Any, layers: list[str]) -> list[str]:
    """The keys of a dictionary, in the order in which Keras flattens it; else the layers' names."""
    if isinstance(structure, dict) and len(structure) == len(layers):
        return sorted(structure)
    return layers


def _read_keras_version(path: Path) -> str:
    """The version of Keras that saved the file. Raises ConversionError if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return str(json.loads(archive.read(_METADATA))["keras_version"])
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise ConversionError(
            f"{path.name!r} is no file of Keras 3: load it where it was made, and save it with "
            "model.save('model.keras')",
            path=str(path),
        ) from error


def _check_backend() -> None:
    """Raise ConversionError where Keras does not run on TensorFlow."""
    import keras

    if keras.backend.backend() != BACKEND:
        raise ConversionError(
            f"Keras runs on {keras.backend.backend()!r} here, and is converted from TensorFlow: set "
            f"KERAS_BACKEND={BACKEND}"
        )


def _load(path: Path, saved_by: str, *, trust: bool) -> Any:
    with silence_tensorflow():
        import keras

    _check_backend()
    try:
        with silence_tensorflow():
            return keras.saving.load_model(path, compile=False, safe_mode=not trust)
    except tensorflow_errors() as error:
        message = str(error)
        if not trust and any(sign in message for sign in _UNSAFE):
            raise TrustRequiredError(
                f"{path.name!r} holds a Lambda layer, whose code runs when the file is read: pass --trust if you know "
                "who made it",
                path=str(path),
            ) from error
        raise ConversionError(
            f"Keras {keras.__version__} cannot read {path.name!r}, which Keras {saved_by} saved: {first_line(error)}; "
            "if it holds layers of your own, save it with model.export(directory) and convert that directory"
            + ("" if saved_by == keras.__version__ else f", else install keras=={saved_by}"),
            path=str(path),
        ) from error
