"""Golden cases of declared steps: what they make of the graph's outputs travels with the version, and is checked."""

from __future__ import annotations

from pathlib import Path

import msgspec

from onnxlet.errors import ExecutionError, RejectedModelError
from onnxlet.serving.golden import GoldenCase, decode_cases, encode_cases
from onnxlet.steps import Steps
from onnxlet.values.signature import Signature
from onnxlet.values.tensors import VARIABLE, Tensor, Tensors


def add_served(path: Path, steps: Steps, signature: Signature) -> None:
    """Add to the golden cases at `path` what is served of their outputs, where declared steps decide it.

    Raises RejectedModelError where steps and graph disagree in what they do, which their signatures need not show.
    """
    if not any(step.declared() and step.postprocessor() is not None for step in steps.each):
        return
    cases = decode_cases(path.read_bytes())
    path.write_bytes(encode_cases([_with_served(case, steps, signature) for case in cases]))


def _with_served(case: GoldenCase, steps: Steps, signature: Signature) -> GoldenCase:
    outputs: Tensors = case.outputs
    try:
        for postprocessor in steps.postprocessors():
            outputs = outputs | postprocessor.apply(outputs)
    except (ExecutionError, ValueError, IndexError) as error:
        reason = error.detail if isinstance(error, ExecutionError) else error
        raise RejectedModelError(f"the steps cannot read what the graph gives: {reason}") from error
    served = {spec.name: outputs[spec.name] for spec in signature.outputs if spec.name in outputs}
    for spec in signature.outputs:
        tensor = served.get(spec.name)
        if tensor is not None and not _fits(tensor, spec.shape):
            raise RejectedModelError(
                f"the steps make {list(tensor.shape)} of {spec.name!r} where {spec} is declared: convert it again"
            )
    return msgspec.structs.replace(case, served=served)


def _fits(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    return tensor.ndim == len(shape) and all(
        wanted in (VARIABLE, size) for wanted, size in zip(shape, tensor.shape, strict=True)
    )
