"""The table of a linear model: the coefficients of the operation that a served output hangs on."""

from __future__ import annotations

import msgspec
import numpy as np
import onnx

from onnxlet.errors import OnnxletError
from onnxlet.explain.document import read_document
from onnxlet.explain.linear import LinearTable
from onnxlet.explain.outputs import METHOD_UNITS
from onnxlet.toolchain.prepare.inside import graph_inputs, run_inside, served_numbers
from onnxlet.toolchain.prepare.linear.links import Link, find_link
from onnxlet.toolchain.prepare.linear.operations import Operation, linear_operations
from onnxlet.toolchain.prepare.tables import Built, Published
from onnxlet.toolchain.workbench.owners import Owned, cut, input_owners, trace_owners
from onnxlet.values.canonical import canonical
from onnxlet.values.tensors import Tensor, pack

COEFFICIENTS = "explain.linear.json"
FRONT = "explain.front.onnx"
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
        inputs = graph_inputs(published, rows)
        served = served_numbers(published, inputs)
        values = run_inside(published.model, [*_tensors(published.model)], inputs) | inputs
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
    return METHOD_UNITS.get(methods.get(output, ""), "value")


def _tensors(model: onnx.ModelProto) -> list[str]:
    return [name for node in model.graph.node for name in node.output if name and node.op_type != "Constant"]


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
