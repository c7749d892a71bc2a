"""TensorFlow and tf2onnx: run a function, export it as an ONNX graph, and say in one line what an error means."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import defs

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.convert.networks.model_errors import MODEL_ERRORS
from onnxlet.toolchain.workbench.extras import require
from onnxlet.toolchain.workbench.privacy import without_values
from onnxlet.toolchain.workbench.refusals import refused
from onnxlet.toolchain.workbench.shapes import declare_shape
from onnxlet.toolchain.workbench.tensorflow import EXTRA, silence_tensorflow
from onnxlet.values.datatypes import DATATYPES, VARIABLE
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor

OPSET = 18
"""The newest that tf2onnx writes."""
_BY_TENSORFLOW = {("string" if name == "BYTES" else row.numpy_name): name for name, row in DATATYPES.items()}


def tensorflow_errors() -> tuple[type[Exception], ...]:
    """What a model in TensorFlow raises: its code's errors, and TensorFlow's own."""
    import tensorflow as tf

    return (*MODEL_ERRORS, tf.errors.OpError)


def spec_of(name: str, tensor: Any) -> TensorSpec:
    """An input by its name, and what TensorFlow says of it. Raises ConversionError for types that cannot be served."""
    import tensorflow as tf

    kind = tf.as_dtype(tensor.dtype).name
    if kind not in _BY_TENSORFLOW:
        raise ConversionError(
            f"the input {name!r} is of type {kind!r}, which no protocol here carries: cast it within the model"
        )
    if tensor.shape.rank is None if hasattr(tensor.shape, "rank") else tensor.shape is None:
        raise ConversionError(f"the input {name!r} has no shape: save the model with one, -1 or None for free sizes")
    return TensorSpec(
        name, _BY_TENSORFLOW[kind], tuple(VARIABLE if size is None else int(size) for size in tensor.shape)
    )


def choose_output_names(names: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """The wanted names of the outputs, else their own. Raises InvalidInputError if there is not one for each."""
    if wanted and len(wanted) != len(names):
        raise InvalidInputError(f"{len(wanted)} outputs were named, the model has {len(names)}: {', '.join(names)}")
    return tuple(wanted or names)


def run_function(function: Callable[..., Any], inputs: Sequence[Tensor]) -> list[Tensor]:
    """The function's answers as arrays, texts as str. Raises InvalidInputError where it fails."""
    import tensorflow as tf

    try:
        with silence_tensorflow():
            return [
                _decode_texts(np.asarray(answer)) for answer in function(*map(tf.constant, map(_encode_texts, inputs)))
            ]
    except tensorflow_errors() as error:
        raise refused("the model does not take these inputs", first_line(error), inputs) from without_values(error)


def to_onnx(
    owner: Any, function: Callable[..., Any], inputs: Sequence[TensorSpec], outputs: Sequence[str]
) -> onnx.ModelProto:
    """The graph of a function that takes tensors in the order of `inputs` and returns them in the order of `outputs`.

    `owner` holds what the function uses: variables and tables. Raises ConversionError naming the operator that has no
    ONNX form.
    """
    require(EXTRA, "tf2onnx")
    import tensorflow as tf

    specs = [
        tf.TensorSpec(
            [None if size == VARIABLE else size for size in spec.shape],
            tf.string if spec.datatype == "BYTES" else tf.as_dtype(spec.type.numpy),
            name=f"input_{number}",
        )
        for number, spec in enumerate(inputs)
    ]
    try:
        with silence_tensorflow():
            concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
            model = _convert(owner, concrete, len(inputs))
    except tensorflow_errors() as error:
        raise ConversionError(f"tf2onnx cannot convert the model: {first_line(error)}") from error
    _check_operators(model.graph)
    if len(model.graph.output) != len(outputs):
        raise ConversionError(f"the graph has {len(model.graph.output)} outputs, the model {len(outputs)}")
    _declare_inputs(model.graph, inputs)
    for values, names in ((model.graph.input, [spec.name for spec in inputs]), (model.graph.output, outputs)):
        for value, name in zip(list(values), names, strict=True):
            graph_edits.rename_value(model.graph, value.name, name)
    return model


def _convert(owner: Any, concrete: Any, count: int) -> onnx.ModelProto:
    import tensorflow as tf
    from tf2onnx import convert, tf_loader

    inputs = [tensor.name for tensor in concrete.inputs[:count]]
    outputs = [tensor.name for tensor in concrete.outputs]
    with tf.device("/cpu:0"):
        frozen, tables = tf_loader.from_trackable(owner, concrete, inputs, outputs, large_model=False)
        model, _ = convert._convert_common(  # noqa: SLF001 - there is no public way for models with tables
            frozen,
            name="model",
            # else it stops at the first operator that it does not know, and does not say which
            continue_on_error=True,
            opset=OPSET,
            custom_op_handlers={"Erfc": (_write_erfc, [])},
            input_names=inputs,
            output_names=outputs,
            initialized_tables=tables,
        )
    proto: onnx.ModelProto = model
    proto.producer_name, proto.producer_version, proto.doc_string = "tf2onnx", "", ""
    return proto


def _write_erfc(graph: Any, node: Any, _name: str, _arguments: Any) -> None:
    """1 - Erf: Keras's Gaussian error linear units use the complement, which tf2onnx 1.17 does not know."""
    erf = graph.make_node("Erf", node.input)
    kind = np.dtype(np.float64 if graph.get_dtype(node.input[0]) == onnx.TensorProto.DOUBLE else np.float32)
    one = graph.make_const(f"{node.name}_one", np.ones((), kind))
    shapes, dtypes = node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node(
        "Sub", [one.output[0], erf.output[0]], outputs=node.output, name=node.name, shapes=shapes, dtypes=dtypes
    )


def _check_operators(graph: onnx.GraphProto) -> None:
    """Raise ConversionError with the operators of TensorFlow's that stayed as they were."""
    unknown = sorted({node.op_type for node in graph.node if not defs.has(node.op_type, OPSET, node.domain)})
    if unknown:
        raise ConversionError(
            f"TensorFlow's {', '.join(map(repr, unknown))} have no ONNX form in tf2onnx: leave that part, often the "
            "preprocessing of texts, to whoever calls the model, or build it of other layers",
            operators=unknown,
        )


def _declare_inputs(graph: onnx.GraphProto, specs: Sequence[TensorSpec]) -> None:
    """Bring the inputs in order, and back those that nothing reads."""
    inputs_by_name = {value.name.removesuffix(":0"): value for value in graph.input}
    values = []
    for number, spec in enumerate(specs):
        value = inputs_by_name.get(f"input_{number}") or onnx.helper.make_tensor_value_info(
            f"input_{number}:0", onnx.helper.np_dtype_to_tensor_dtype(spec.type.numpy), []
        )
        kept = onnx.ValueInfoProto()
        kept.CopyFrom(value)
        declare_shape(kept, spec.shape)
        values.append(kept)
    del graph.input[:]
    graph.input.extend(values)


def first_line(error: BaseException) -> str:
    """What an error of TensorFlow's or Keras's says, without the traces that they add."""
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [
        line for line in lines if line and not line.startswith(("Traceback", "File ", "in user code", "Arguments "))
    ]
    return re.split(r"\. (?=[A-Z])", lines[0])[0][:300].rstrip(".") if lines else type(error).__name__


def _encode_texts(value: Tensor) -> Tensor:
    return np.char.encode(value.astype(str), "utf-8") if value.dtype.kind == "O" else value


def _decode_texts(value: Tensor) -> Tensor:
    if value.dtype.kind not in "OS":
        return value
    flat = [text.decode(errors="replace") for text in value.reshape(-1).tolist()]
    return np.array(flat, dtype=object).reshape(value.shape)
