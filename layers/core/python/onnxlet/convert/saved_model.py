"""TensorFlow: SavedModel directories, one of whose signatures becomes the graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx

from onnxlet.convert.extras import require, versions
from onnxlet.convert.probing import plain_random
from onnxlet.convert.table import quoted
from onnxlet.convert.tensor_model import TensorModel
from onnxlet.convert.through_tensorflow import (
    EXTRA,
    ask,
    first_line,
    foreign,
    hushed,
    load_tensorflow,
    renamed,
    spec_of,
    to_onnx,
)
from onnxlet.convert.wishes import Wishes
from onnxlet.errors import ConversionError, InvalidInputError, TrustRequiredError
from onnxlet.signature import TensorSpec
from onnxlet.tensors import Tensors

FILE = "saved_model.pb"
SIGNATURE = "serving_default"
_OWN = "__saved_model_init_op"
_ACTING = ("EagerPyFunc", "MatchingFiles", "PyFunc", "PyFuncStateless", "ReadFile", "WholeFileReaderV2", "WriteFile")
"""Operators that reach out of the model when it runs."""


def open_model(path: Path, *, trust: bool, say: Callable[[str], None], wishes: Wishes) -> TensorModel:
    """The signature that is wished for, else `serving_default`.

    Raises TrustRequiredError for a model that reaches out of itself, ConversionError, InvalidInputError for a signature
    that it does not have, MissingExtraError.
    """
    require(EXTRA, "tensorflow", "tf2onnx")
    say("starting TensorFlow")
    load_tensorflow()
    document = _document(path)
    acting = sorted(_operators(document).intersection(_ACTING))
    if acting and not trust:
        raise TrustRequiredError(
            f"{path.name!r} uses {', '.join(map(repr, acting))}, which reaches files or code of this machine when it "
            "runs: pass --trust if you know who made it",
            path=str(path),
        )
    return TensorModel(SavedModelNetwork(path, document, wishes), wishes.labels, say)


class SavedModelNetwork:
    """One signature of a SavedModel."""

    framework = "TensorFlow"
    labels: tuple[str, ...] = ()
    assets: Mapping[str, bytes] = {}

    def __init__(self, path: Path, document: Any, wishes: Wishes) -> None:
        self.versions = versions("tensorflow", "tensorflow-cpu", "tf2onnx")
        self._loaded = _loaded(path, document)
        declared = _signatures(document)
        chosen = _chosen(path, declared, wishes.signature)
        self._function = self._loaded.signatures[chosen]
        arguments: dict[str, Any] = self._function.structured_input_signature[1]
        # signatures may have names that TensorFlow does not take for arguments
        self._arguments = {
            name: name if name in arguments else re.sub(r"\W", "_", name, flags=re.ASCII)
            for name in sorted(declared[chosen].inputs)
        }
        self._specs = {name: spec_of(name, arguments[argument]) for name, argument in self._arguments.items()}
        self.names = tuple(self._specs)
        self._outputs = tuple(sorted(declared[chosen].outputs))
        if not self.names or not self._outputs:
            raise ConversionError(f"the signature {chosen!r} of {path.name!r} has no inputs or no outputs")
        # in a graph each name is given once
        free = tuple(f"{name}_out" if name in self.names else name for name in self._outputs)
        self._output_names = renamed(free, wishes.outputs)

    def specs(self, example: Tensors | None) -> tuple[TensorSpec, ...]:
        """The signature's inputs by their names, whatever the example."""
        del example
        return tuple(self._specs.values())

    def random(self, shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> Tensors:
        """Random tensors of these shapes."""
        return plain_random(self._specs, shapes, seed=seed)

    def run(self, inputs: Tensors) -> Tensors:
        """The signature's answers. Raises InvalidInputError where it fails."""
        answers = ask(self._call, [inputs[name] for name in self.names])
        return dict(zip(self._output_names, answers, strict=True))

    def graph(self) -> onnx.ModelProto:
        """The graph. Raises ConversionError."""
        return to_onnx(self._loaded, self._call, self.specs(None), self._output_names)

    def _call(self, *tensors: Any) -> list[Any]:
        answers = self._function(**dict(zip(self._arguments.values(), tensors, strict=True)))
        return [answers[name] for name in self._outputs]


def _document(path: Path) -> Any:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from tensorflow.core.protobuf import saved_model_pb2

    document = saved_model_pb2.SavedModel()
    try:
        document.ParseFromString((path / FILE).read_bytes())
    except (DecodeError, OSError) as error:
        raise ConversionError(f"{str(path / FILE)!r} is no SavedModel, or not all of it", path=str(path)) from error
    if not document.meta_graphs:
        raise ConversionError(f"{str(path / FILE)!r} holds no graph", path=str(path))
    return document


def _operators(document: Any) -> set[str]:
    graph = document.meta_graphs[0].graph_def
    return {node.op for nodes in (graph.node, *(one.node_def for one in graph.library.function)) for node in nodes}


def _signatures(document: Any) -> dict[str, Any]:
    return {name: one for name, one in document.meta_graphs[0].signature_def.items() if name != _OWN}


def _chosen(path: Path, declared: Mapping[str, Any], wished: str | None) -> str:
    if not declared:
        raise ConversionError(
            f"{path.name!r} has no signatures, so nothing says what it takes and gives: save it with model.export() of "
            "Keras, or with tf.saved_model.save(model, directory, signatures=function.get_concrete_function(…))",
            path=str(path),
        )
    if (wished or SIGNATURE) in declared:
        return wished or SIGNATURE
    raise InvalidInputError(
        f"{path.name!r} has no signature {wished or SIGNATURE!r}, only {quoted(sorted(declared))}: choose with "
        "--signature",
        signatures=sorted(declared),
    )


def _loaded(path: Path, document: Any) -> Any:
    import tensorflow as tf

    try:
        with hushed():
            return tf.saved_model.load(str(path))
    except foreign() as error:
        saved_by = document.meta_graphs[0].meta_info_def.tensorflow_version or "an unknown version"
        raise ConversionError(
            f"TensorFlow {tf.__version__} cannot read {path.name!r}, which TensorFlow {saved_by} saved: "
            f"{first_line(error)}; save it again with a version that both can read",
            path=str(path),
        ) from error
