"""Folding: arithmetic that output steps declare becomes nodes of the graph, where it costs next to nothing, if answers
stay: a link, a temperature, Platt's calibration of two classes. `nodes` has what is written.

Rounding stays a step: golden cases hold the graph to a tolerance, which no digit that is rounded away may break.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import onnx

from onnxlet.errors import ExecutionError, GoldenMismatchError, RejectedModelError
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import GoldenCase, check, decode_cases, encode_cases
from onnxlet.steps import Steps
from onnxlet.steps.calibration import Platt, Temperature, plan_calibration
from onnxlet.steps.numbers import link
from onnxlet.steps.output import Output
from onnxlet.toolchain.prepare.nodes import Nodes, write_link, write_platt, write_temperature
from onnxlet.values.manifest import Golden, Tolerance
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import Tensor

FOLDED = "folded.onnx"
CLOSE = Tolerance(1e-6, 1e-5)
"""How near the graph must come to the step."""
ABSOLUTE, RELATIVE = 2e-7, 1e-6
"""How far another processor may be off in a number: what is made of it must stay within the golden cases' tolerance."""
_PAIR = 2


class Fold(NamedTuple):
    """What a step computes of a graph's output, how a graph computes it, and what is left of the step."""

    output: str
    compute: Callable[[Tensor], Tensor]
    write: Callable[[str, str], Nodes]
    rest: Output
    bounds: tuple[float, float] = (-np.inf, np.inf)
    """Of the output's numbers."""


def fold_outputs(folder: Path, graph_file: str, golden: Golden, steps: Steps, graph: Signature) -> Steps:
    """The steps without what the graph in `folder` computes from now on; its `golden` cases know that.

    A graph that answers otherwise than the step does, or to whose outputs a last digit means much, stays as it is, and
    so does one whose outputs are of unknown rank.
    """
    for step in steps.each:
        fold = _fold_of(step, steps, graph) if isinstance(step, Output) else None
        if fold is not None and _fold(folder / graph_file, folder / golden.path, _narrowest(golden), fold):
            steps = Steps(tuple(fold.rest if each is step else each for each in steps.each), steps.read)
    return steps


def _fold_of(step: Output, steps: Steps, graph: Signature) -> Fold | None:
    specs = {spec.name: spec for spec in graph.outputs}
    if step.link is not None:
        spec, rest = specs[step.output], msgspec.structs.replace(step, link=None)
        write = write_link(step.link, len(spec.shape) - 1)
        return Fold(step.output, lambda numbers: link(step, numbers), write, rest) if spec.shape else None
    if isinstance(step.calibration, Temperature | Platt) and not step.calibration.in_graph:
        (name,) = (each.probabilities for each in steps.targets if each.target == step.target)
        return None if name is None else _calibration(step, step.calibration, specs[name])
    return None


def _calibration(step: Output, calibration: Temperature | Platt, spec: TensorSpec) -> Fold | None:
    if isinstance(calibration, Temperature):
        write = write_temperature(calibration.temperature, spec.type.numpy)
    elif calibration.slope and len(step.classes) == _PAIR:
        write = write_platt(calibration, spec.type.numpy)
    else:
        return None
    apply = plan_calibration(calibration, len(step.classes))
    done = msgspec.structs.replace(calibration, in_graph=True)
    return Fold(
        spec.name,
        lambda shares: apply(shares.astype(np.float64)).astype(shares.dtype),
        write,
        msgspec.structs.replace(step, calibration=done),
        (0, 1),
    )


def _fold(path: Path, golden: Path, tolerance: Tolerance, fold: Fold) -> bool:
    known = decode_cases(golden.read_bytes())
    if not all(_is_steady(case.outputs[fold.output], tolerance, fold) for case in known):
        return False
    cases = [_computed(case, fold) for case in known]
    model = onnx.load(path, load_external_data=False)
    _append(model.graph, fold)
    # beside the weights that lay apart
    folded = path.with_name(FOLDED)
    folded.write_bytes(model.SerializeToString())
    try:
        engine = load_engine(folded, threads=1, optimized=True, run_deadline=10)
        try:
            check(engine, cases, CLOSE)
        finally:
            engine.close()
    except (RejectedModelError, ExecutionError, GoldenMismatchError):
        folded.unlink()
        return False
    folded.replace(path)
    golden.write_bytes(encode_cases(cases))
    return True


def _narrowest(golden: Golden) -> Tolerance:
    return min((golden.tolerance, *golden.tolerances.values()), key=lambda each: each.absolute)


def _is_steady(numbers: Tensor, tolerance: Tolerance, fold: Fold) -> bool:
    """Whether golden cases still hold where another processor rounds the numbers otherwise."""
    made = fold.compute(numbers)
    apart = ABSOLUTE + RELATIVE * np.abs(numbers.astype(np.float64))
    for moved in (numbers - apart, numbers + apart):
        near = fold.compute(moved.clip(*fold.bounds).astype(numbers.dtype))
        if not np.allclose(near, made, rtol=tolerance.relative, atol=tolerance.absolute, equal_nan=True):
            return False
    return True


def _computed(case: GoldenCase, fold: Fold) -> GoldenCase:
    outputs = case.outputs | {fold.output: fold.compute(case.outputs[fold.output])}
    return msgspec.structs.replace(case, outputs=outputs)


def _append(graph: onnx.GraphProto, fold: Fold) -> None:
    """Compute it of the output behind the graph, and call the result by its name."""
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    free = f"{fold.output}_unfolded"
    while any(name.startswith(free) for name in taken):
        free += "_"
    for node in graph.node:
        node.input[:] = [free if name == fold.output else name for name in node.input]
        node.output[:] = [free if name == fold.output else name for name in node.output]
    nodes = fold.write(free, fold.output)
    graph.node.extend(nodes.each)
    graph.initializer.extend(nodes.constants)
