"""Parity: whether a graph answers as before once it is optimized, where no golden case can tell.

Golden cases are held against other machines, which few answers may be too unsteady for. On this machine, on one thread,
most graphs answer the same each time. Those with random operators do so once these are seeded, in a twin of the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx

from onnxlet.errors import GoldenMismatchError
from onnxlet.serving.engine import Engine, load_engine
from onnxlet.serving.golden import GoldenCase, check
from onnxlet.toolchain.workbench.inspection import all_nodes
from onnxlet.toolchain.workbench.offline import save_model, save_optimized
from onnxlet.values.manifest import Tolerance
from onnxlet.values.tensors import Tensors

RANDOM_OPERATORS = {
    "Bernoulli": float,
    "Dropout": int,
    "Multinomial": float,
    "RandomNormal": float,
    "RandomNormalLike": float,
    "RandomUniform": float,
    "RandomUniformLike": float,
}
"""Operators whose answers hang on their attribute `seed`, or on chance, and the type of that attribute."""
TWIN = "twin.onnx"


def repeatable_cases(engine: Engine, inputs: Sequence[Tensors]) -> list[GoldenCase]:
    """Those of the inputs that the graph gives the same answers to when it is asked again."""
    cases = [GoldenCase(each, engine.run(each)) for each in inputs]
    return [case for case in cases if _are_equal(engine.run(case.inputs), case.outputs)]


def agrees(engine: Engine, cases: Sequence[GoldenCase], tolerance: Tolerance) -> bool:
    """Whether the graph gives all of the answers, however long that takes."""
    try:
        for case in cases:
            check(engine, (case,), tolerance)
    except GoldenMismatchError:
        return False
    return True


def seeded_twins_agree(
    source: Path, folder: Path, inputs: Sequence[Tensors], tolerance: Tolerance, *, weights_apart: bool, deadline: float
) -> bool:
    """Whether a graph of random operators answers the same once it is optimized, if these begin with a seed.

    The twins are written into `folder`. False for a graph without such operators: what else makes its answers differ is
    not known.
    """
    model = onnx.load(source)
    if not _seed(model):
        return False
    plain, optimized = folder / TWIN, folder / f"optimized-{TWIN}"
    save_model(model, plain, weights_apart=weights_apart)
    save_optimized(plain, optimized, weights_apart=weights_apart, optimize=True)
    before, after = (load_engine(path, threads=1, optimized=True, run_deadline=deadline) for path in (plain, optimized))
    # each run goes on where the one before it left the seed, so both are asked in the same order
    return agrees(after, [GoldenCase(each, before.run(each)) for each in inputs], tolerance)


def _seed(model: onnx.ModelProto) -> bool:
    """Give each random operator a seed of its own; whether there are any."""
    nodes = [node for node in all_nodes(model) if node.op_type in RANDOM_OPERATORS]
    for number, node in enumerate(nodes, 1):
        if all(attribute.name != "seed" for attribute in node.attribute):
            node.attribute.append(onnx.helper.make_attribute("seed", RANDOM_OPERATORS[node.op_type](number)))
    return bool(nodes)


def _are_equal(some: Tensors, others: Tensors) -> bool:
    return all(
        np.array_equal(tensor, others[name], equal_nan=tensor.dtype.kind == "f") for name, tensor in some.items()
    )
