"""The table of a linear model: the coefficients of the operation that a served output hangs on."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import numpy as np
import onnx

from onnxlet.errors import OnnxletError
from onnxlet.explain.document import read_document
from onnxlet.explain.linear import LinearTable
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.prepare.linear.links import Link, find_link
from onnxlet.toolchain.prepare.linear.operations import Operation, linear_operations
from onnxlet.toolchain.prepare.tables import Built, Published
from onnxlet.toolchain.workbench.owners import Owned, cut, input_owners, trace_owners
from onnxlet.values.canonical import canonical
from onnxlet.values.tensors import Tensor, Tensors, pack

COEFFICIENTS = "explain.linear.json"
FRONT = "explain.front.onnx"
RUN_SECONDS = 60.0
MOST_OPERATIONS = 8
"""Graphs with more linear operations are networks."""
_FEWEST = 2


def build(published: Published) -> Built | None:
    """The table; None for a version that is not linear, as far as its answers to the background tell."""
    operations = list(linear_operations(published.model))
    rows = published.background
    if not operations or len(operations) > MOST_OPERATIONS or rows is None or len(next(iter(rows.values()))) < _FEWEST:
        return None
    try:
        inputs = _graph_inputs(published, rows)
        served = _served(published, inputs)
        values = _run(published.model, [*_tensors(published.model)], inputs) | inputs
    except OnnxletError:
        return None
    owners = trace_owners(published.model, input_owners(published.steps, published.draft.graph), values)
    for operation in operations:
        owned = owners.get(operation.input)
        columns = values.get(operation.input)
        if owned is None or columns is None or len(owned) != len(operation.coefficients):
            continue
        scores = columns.reshape(len(columns), -1).astype(np.float64) @ operation.coefficients + operation.intercepts
        for output, answers in served.items():
            link = find_link(scores, answers, _plain_unit(published, output))
            if link is not None:
                return _built(published, operation, owned, output, link)
    return None


def _plain_unit(published: Published, output: str) -> str:
    methods = {served: method for method, served in published.steps.methods.items()}
    return methods.get(output, "value").replace("_", " ")


def _graph_inputs(published: Published, rows: Tensors) -> Tensors:
    steps = published.steps
    preprocessor = steps.preprocessor(steps.row_signature, published.draft.graph)
    return rows if preprocessor is None else preprocessor(rows)


def _served(published: Published, inputs: Tensors) -> Tensors:
    """The served outputs of numbers."""
    outputs = load_engine(published.path, threads=1, optimized=True, run_deadline=RUN_SECONDS).run(inputs)
    for postprocessor in published.steps.postprocessors():
        outputs = outputs | postprocessor.apply(outputs)
    count = len(next(iter(inputs.values())))
    names = [spec.name for spec in published.draft.signature.outputs]
    return {
        name: outputs[name]
        for name in names
        if name in outputs and outputs[name].dtype.kind == "f" and outputs[name].shape[:1] == (count,)
    }


def _tensors(model: onnx.ModelProto) -> list[str]:
    return [name for node in model.graph.node for name in node.output if name and node.op_type != "Constant"]


def _run(model: onnx.ModelProto, names: list[str], inputs: Tensors) -> Tensors:
    """What tensors within the graph hold."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inside.onnx"
        onnx.save(cut(model, names), path)
        engine = load_engine(path, threads=1, optimized=True, run_deadline=RUN_SECONDS)
        wanted = {spec.name for spec in engine.signature.inputs}
        return engine.run({name: tensor for name, tensor in inputs.items() if name in wanted})


def _built(published: Published, operation: Operation, owned: Owned, output: str, link: Link) -> Built:
    merged = {
        column: player.name
        for player in read_document(published.draft.explanations).players
        for column in player.columns
    }
    coefficients: Tensor = operation.coefficients @ link.matrix
    tensors = {"coefficients": coefficients, "intercepts": operation.intercepts @ link.matrix}
    artifacts = {COEFFICIENTS: canonical(pack(tensors))}
    is_input = operation.input in {spec.name for spec in published.draft.graph.inputs}
    if not is_input:
        artifacts[FRONT] = cut(published.model, [operation.input]).SerializeToString()
    players = tuple(merged.get(name, name) for name in owned)
    table = LinearTable(
        artifact=COEFFICIENTS,
        input=operation.input,
        players=players[:1] if len(set(players)) == 1 else players,
        output=output,
        unit=link.unit,
        front=None if is_input else FRONT,
    )
    return Built(msgspec.to_builtins(table), artifacts)
