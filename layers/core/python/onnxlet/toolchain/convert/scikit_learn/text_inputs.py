"""Text inputs: nodes that stand for vectorizers become graph inputs, and steps that fill them.

Where the weights of a text's words are but multiplied by coefficients, the graph takes the few that are not 0 with the
columns that they are of, and gathers the coefficients of these: of 50,000 words a text has a hundred. Else it takes the
whole matrix.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import onnx
from onnx import helper

from onnxlet.errors import ConversionError
from onnxlet.steps.texts.wordlist import WordList
from onnxlet.steps.vectorizer import Vectorizer
from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.convert.scikit_learn.converters.text_vectorizers import DOMAIN, columns_of, is_stand_in
from onnxlet.toolchain.convert.scikit_learn.linear_texts import gather_coefficients


class TextInputs(NamedTuple):
    """The steps that fill a graph's inputs, and the artifacts that they read, by name."""

    steps: tuple[Vectorizer, ...]
    assets: dict[str, bytes]


def open_text_inputs(model: onnx.ModelProto) -> TextInputs:
    """Put inputs into the place of the model's nodes that stand for vectorizers.

    Inputs that only those read are dropped. Raises ConversionError for one whose texts are no column as it is sent.
    """
    graph = model.graph
    nodes = [node for node in graph.node if is_stand_in(node)]
    steps, assets = [], {}
    for number, node in enumerate(nodes):
        read, datatype = columns_of(node)
        artifact = None if read.words == WordList() else f"words{number}.json"
        if artifact is not None:
            assets[artifact] = read.encode()
        text = _column_of(graph, node.input[0])
        values = graph_edits.free_name(graph, f"{text}_weights")
        graph_edits.rename_value(graph, node.output[0], values)
        graph.node.remove(node)
        graph.input.append(helper.make_tensor_value_info(values, datatype, [None, read.step.features]))
        steps.append(msgspec.structs.replace(read.step, column=text, values=values, artifact=artifact))
    if not steps:
        return TextInputs((), {})
    _drop_unread(graph, {step.column for step in steps})
    opsets = [entry for entry in model.opset_import if entry.domain != DOMAIN]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    gathered = gather_coefficients(model, [step.values for step in steps])
    for number, step in enumerate(steps):
        if step.values in gathered:
            columns, outputs = gathered[step.values]
            steps[number] = msgspec.structs.replace(step, indices=columns, gathered=outputs)
    return TextInputs(tuple(steps), assets)


def _column_of(graph: onnx.GraphProto, value: str) -> str:
    """The graph input that a value is the same as."""
    producers = {output: node for node in graph.node for output in node.output}
    while value in producers and producers[value].op_type == "Identity":
        value = producers[value].input[0]
    if all(value != each.name for each in graph.input):
        raise ConversionError(
            "a vectorizer reads texts that another step made, which has no ONNX form: make them before, and fit it on "
            "them"
        )
    return value


def _drop_unread(graph: onnx.GraphProto, names: set[str]) -> None:
    """Drop the inputs of these names that no node reads, or only such whose answers nobody reads."""
    graph_edits.keep_outputs(graph, [value.name for value in graph.output])
    read = {name for node in graph.node for name in node.input}
    kept = [value for value in graph.input if value.name in read or value.name not in names]
    del graph.input[:]
    graph.input.extend(kept)
