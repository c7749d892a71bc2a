"""CountVectorizer, TfidfVectorizer and HashingVectorizer: a node that stands for what a step does before the graph.

ONNX's own Tokenizer and StringNormalizer split and lower other texts otherwise than Python does. No runtime knows the
node: `text_inputs` makes graph inputs of it, and a step of what it holds.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import msgspec
import onnx

from onnxlet.steps.texts.wordlist import decode_word_list
from onnxlet.steps.vectorizer import Vectorizer
from onnxlet.toolchain.convert.scikit_learn.nodes import Converter
from onnxlet.toolchain.convert.scikit_learn.vectorizers import TextColumns, read_vectorizer

DOMAIN, OPERATOR = "onnxlet", "Vectorizer"
OPTIONS = MappingProxyType({"datatype": ["FP32", "FP64"]})
"""The datatype of the weights."""


def declare(operator: Any) -> None:
    """Declare a matrix [N, features]."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    vectorizer = operator.raw_operator
    known = operator.scope_inst.get_options(vectorizer, {"datatype": "FP32"})
    kind = DoubleTensorType if known["datatype"] == "FP64" else FloatTensorType
    features = len(vectorizer.vocabulary_) if hasattr(vectorizer, "vocabulary_") else vectorizer.n_features
    operator.outputs[0].type = kind([None, features])


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the node."""
    _write(scope, operator, container, operator.inputs[0].full_name, read_vectorizer(operator.raw_operator))


def _write(scope: Any, operator: Any, container: Any, texts: str, columns: TextColumns) -> None:
    from skl2onnx.common.data_types import DoubleTensorType

    (output,) = operator.outputs
    container.add_node(
        OPERATOR,
        [texts],
        [output.full_name],
        name=scope.get_unique_operator_name(OPERATOR),
        op_domain=DOMAIN,
        op_version=1,
        datatype=onnx.TensorProto.DOUBLE if isinstance(output.type, DoubleTensorType) else onnx.TensorProto.FLOAT,
        step=msgspec.json.encode(columns.step),
        words=columns.encode(),
    )


def is_stand_in(node: onnx.NodeProto) -> bool:
    """Whether the node stands for a step."""
    return (node.domain, node.op_type) == (DOMAIN, OPERATOR)


def columns_of(node: onnx.NodeProto) -> tuple[TextColumns, int]:
    """What the node does, and the type of its elements."""
    held = {attribute.name: attribute for attribute in node.attribute}
    step = msgspec.json.decode(held["step"].s, type=Vectorizer)
    return TextColumns(step, decode_word_list(held["words"].s, OPERATOR)), held["datatype"].i


def weighing_converter(convert_any: Converter) -> Converter:
    """A converter of TfidfTransformers, which leaves those of counted texts to the step that counts them."""

    def write_operator(scope: Any, operator: Any, container: Any) -> None:
        source = operator.inputs[0].full_name
        counting = next((node for node in container.nodes if source in node.output and is_stand_in(node)), None)
        columns = None if counting is None else columns_of(counting)[0]
        if counting is None or columns is None or not columns.is_counted:
            convert_any(scope, operator, container)
            return
        _write(scope, operator, container, counting.input[0], columns.weigh(operator.raw_operator))

    return write_operator
