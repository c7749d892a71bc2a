"""What a graph that is published answers, and what it computes on the way."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import onnx

from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.prepare.tables import Published
from onnxlet.toolchain.workbench.owners import cut
from onnxlet.values.tensors import Tensors

RUN_SECONDS = 60.0


def graph_inputs(published: Published, rows: Tensors) -> Tensors:
    """The graph's inputs for rows of the row signature."""
    steps = published.steps
    preprocessor = steps.preprocessor(steps.row_signature, published.draft.graph)
    return rows if preprocessor is None else preprocessor(rows)


def served_numbers(published: Published, inputs: Tensors) -> Tensors:
    """The served outputs of numbers, one entry for each row. Raises as the engine does."""
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


def run_inside(model: onnx.ModelProto, names: Sequence[str], inputs: Tensors) -> Tensors:
    """What tensors within the graph hold. Raises as the engine does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inside.onnx"
        onnx.save(cut(model, names), path)
        engine = load_engine(path, threads=1, optimized=True, run_deadline=RUN_SECONDS)
        wanted = {spec.name for spec in engine.signature.inputs}
        return engine.run({name: tensor for name, tensor in inputs.items() if name in wanted})
