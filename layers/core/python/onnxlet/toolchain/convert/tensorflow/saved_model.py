"""TensorFlow: SavedModel directories, one of whose signatures becomes the graph."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxlet.errors import ConversionError, InvalidInputError, TrustRequiredError
from onnxlet.toolchain.convert.networks.tensor_model import TensorModel
from onnxlet.toolchain.convert.options import SourceOptions
from onnxlet.toolchain.convert.tensorflow.exporter import choose_output_names, first_line, spec_of, tensorflow_errors
from onnxlet.toolchain.convert.tensorflow.network import TensorFlowNetwork
from onnxlet.toolchain.workbench.extras import require, versions
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.toolchain.workbench.tensorflow import EXTRA, load_tensorflow, silence_tensorflow

FILE = "saved_model.pb"
SIGNATURE = "serving_default"
_OWN = "__saved_model_init_op"
_UNSAFE_OPERATORS = (
    "EagerPyFunc",
    "MatchingFiles",
    "PyFunc",
    "PyFuncStateless",
    "ReadFile",
    "WholeFileReaderV2",
    "WriteFile",
)
"""Operators that reach out of the model when it runs."""


def open_model(path: Path, *, trust: bool, progress: Progress, options: SourceOptions) -> TensorModel:
    """The signature that the options name, else `serving_default`.

    Raises TrustRequiredError for a model that reaches out of itself, ConversionError, InvalidInputError for a signature
    that it does not have, MissingExtraError.
    """
    require(EXTRA, "tensorflow", "tf2onnx")
    progress("starting TensorFlow")
    load_tensorflow()
    document = _read_document(path)
    unsafe = sorted(_operators(document).intersection(_UNSAFE_OPERATORS))
    if unsafe and not trust:
        raise TrustRequiredError(
            f"{path.name!r} uses {', '.join(map(repr, unsafe))}, which reaches files or code of this machine when it "
            "runs: pass --trust if you know who made it",
            path=str(path),
        )
    declared = _signatures(document)
    chosen = _choose_signature(path, declared, options.signature)
    model = _load(path, document)
    called = SignatureFunction(model.signatures[chosen], declared[chosen])
    if not called.specs or not called.outputs:
        raise ConversionError(f"the signature {chosen!r} of {path.name!r} has no inputs or no outputs")
    made_by = versions("tensorflow", "tensorflow-cpu", "tf2onnx")
    taken = {spec.name for spec in called.specs}
    # in a graph each name is given once
    outputs = choose_output_names(
        tuple(f"{name}_out" if name in taken else name for name in called.outputs), options.outputs
    )
    return TensorModel(
        TensorFlowNetwork("TensorFlow", "file", made_by, model, called.call, called.specs, outputs),
        options,
        progress,
    )


class SignatureFunction:
    """One signature of a SavedModel: a function, and the names that it declares."""

    def __init__(self, function: Any, declared: Any) -> None:
        self._function = function
        arguments: dict[str, Any] = self._function.structured_input_signature[1]
        # signatures may have names that TensorFlow does not take for arguments
        self._arguments = {
            name: name if name in arguments else re.sub(r"\W", "_", name, flags=re.ASCII)
            for name in sorted(declared.inputs)
        }
        self.specs = tuple(spec_of(name, arguments[argument]) for name, argument in self._arguments.items())
        self.outputs = tuple(sorted(declared.outputs))

    def call(self, *tensors: Any) -> list[Any]:
        """The answers to its inputs, in the order of their names."""
        answers = self._function(**dict(zip(self._arguments.values(), tensors, strict=True)))
        return [answers[name] for name in self.outputs]


def _read_document(path: Path) -> Any:
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


def _choose_signature(path: Path, declared: Mapping[str, Any], wanted: str | None) -> str:
    if not declared:
        raise ConversionError(
            f"{path.name!r} has no signatures, so nothing says what it takes and gives: save it with model.export() of "
            "Keras, or with tf.saved_model.save(model, directory, signatures=function.get_concrete_function(…))",
            path=str(path),
        )
    if (wanted or SIGNATURE) in declared:
        return wanted or SIGNATURE
    raise InvalidInputError(
        f"{path.name!r} has no signature {wanted or SIGNATURE!r}, only {quoted(sorted(declared))}: choose with "
        "--signature",
        signatures=sorted(declared),
    )


def _load(path: Path, document: Any) -> Any:
    import tensorflow as tf

    try:
        with silence_tensorflow():
            return tf.saved_model.load(str(path))
    except tensorflow_errors() as error:
        saved_by = document.meta_graphs[0].meta_info_def.tensorflow_version or "an unknown version"
        raise ConversionError(
            f"TensorFlow {tf.__version__} cannot read {path.name!r}, which TensorFlow {saved_by} saved: "
            f"{first_line(error)}; save it again with a version that both can read",
            path=str(path),
        ) from error
