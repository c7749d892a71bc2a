"""Folding: links that output steps declare become nodes of the graph, where they cost nothing, if answers stay."""

from __future__ import annotations

from pathlib import Path

import msgspec
import onnx
from onnx import helper

from onnxlet.errors import ExecutionError, GoldenMismatchError, RejectedModelError
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import GoldenCase, check, decode_cases, encode_cases
from onnxlet.steps import Steps
from onnxlet.steps.numbers import link
from onnxlet.steps.output import Output
from onnxlet.values.manifest import Tolerance
from onnxlet.values.signature import Signature, TensorSpec

FOLDED = "folded.onnx"
OPERATORS = {"sigmoid": "Sigmoid", "softmax": "Softmax"}


def fold_links(folder: Path, graph_file: str, golden_file: str, steps: Steps, graph: Signature) -> Steps:
    """The steps without the links that the graph in `folder` computes from now on; its golden cases know these.

    A graph that answers otherwise than the step does, or whose outputs are of unknown rank, stays as it is.
    """
    for step in steps.each:
        if isinstance(step, Output) and step.link is not None:
            spec = next(spec for spec in graph.outputs if spec.name == step.output)
            if spec.shape and _fold(folder, graph_file, golden_file, step, spec):
                rest = msgspec.structs.replace(step, link=None)
                steps = Steps(tuple(rest if each is step else each for each in steps.each), steps.read)
    return steps


def _fold(folder: Path, graph_file: str, golden_file: str, step: Output, spec: TensorSpec) -> bool:
    path, golden = folder / graph_file, folder / golden_file
    cases = [_linked(case, step) for case in decode_cases(golden.read_bytes())]
    model = onnx.load(path, load_external_data=False)
    _append(model.graph, step, len(spec.shape) - 1)
    # beside the weights that lay apart
    folded = folder / FOLDED
    folded.write_bytes(model.SerializeToString())
    try:
        engine = load_engine(folded, threads=1, optimized=True, run_deadline=10)
        try:
            check(engine, cases, Tolerance(1e-6, 1e-5))
        finally:
            engine.close()
    except (RejectedModelError, ExecutionError, GoldenMismatchError):
        folded.unlink()
        return False
    folded.replace(path)
    golden.write_bytes(encode_cases(cases))
    return True


def _linked(case: GoldenCase, step: Output) -> GoldenCase:
    outputs = case.outputs | {step.output: link(step, case.outputs[step.output])}
    return msgspec.structs.replace(case, outputs=outputs)


def _append(graph: onnx.GraphProto, step: Output, last: int) -> None:
    """Compute the link of the output behind the graph, and call the result by its name."""
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    free = f"{step.output}_unlinked"
    while free in taken:
        free += "_"
    for node in graph.node:
        node.input[:] = [free if name == step.output else name for name in node.input]
        node.output[:] = [free if name == step.output else name for name in node.output]
    node = helper.make_node(OPERATORS[str(step.link)], [free], [step.output])
    if step.link == "softmax":
        node.attribute.append(helper.make_attribute("axis", last))
    graph.node.append(node)
