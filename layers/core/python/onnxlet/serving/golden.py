"""Golden cases: graph inputs with the outputs they gave when the version was published.

They travel as one artifact, `golden.json`: `{"cases": [{"inputs": {name: {"datatype", "shape", "data"}}, "outputs":
…}]}`, where `data` is the base64 of the tensor's little-endian bytes, and BYTES tensors have `strings` instead. Where
steps compute the inputs, a case also has what is `sent` to them; where they decide, what is `served`.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from time import perf_counter

import msgspec
import numpy as np

from onnxlet.errors import DeadlineExceededError, ExecutionError, GoldenMismatchError, IntegrityError, InvalidInputError
from onnxlet.serving.engine import Engine
from onnxlet.steps.base import Preprocessor
from onnxlet.values.canonical import canonical
from onnxlet.values.manifest import Golden, Tolerance
from onnxlet.values.tensors import PackedTensor, Tensor, Tensors, pack, unpack

MOST_CASES = 4
MOST_SECONDS = 0.05
"""No further case is started once this much time went by: the check is part of every cold start."""

ARCHITECTURES = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "arm64", "arm64": "arm64"}
"""Architectures, as manifests name them, by what `platform.machine` says on Linux, Windows and macOS."""


class GoldenCase(msgspec.Struct, frozen=True, eq=False):
    """One run of the graph: tensors in, tensors out, as the graph has them.

    `sent` is what the steps made the inputs of, where these compute something: one row of the row signature. `served`
    is what the steps make of the outputs, where they decide something.
    """

    inputs: Tensors
    outputs: Tensors
    sent: Tensors | None = None
    served: Tensors | None = None


class _Case(msgspec.Struct, frozen=True, omit_defaults=True):
    inputs: dict[str, PackedTensor]
    outputs: dict[str, PackedTensor]
    sent: dict[str, PackedTensor] | None = None
    served: dict[str, PackedTensor] | None = None


class _Cases(msgspec.Struct, frozen=True):
    cases: tuple[_Case, ...]


def encode_cases(cases: Sequence[GoldenCase]) -> bytes:
    """The cases as `golden.json`. Raises InvalidInputError for more than four, or a tensor of no known datatype."""
    if len(cases) > MOST_CASES:
        raise InvalidInputError(f"a version has at most {MOST_CASES} golden cases, not {len(cases)}")
    return canonical(_Cases(tuple(map(_packed_case, cases))))


def decode_cases(data: bytes) -> tuple[GoldenCase, ...]:
    """Read `golden.json`. Raises IntegrityError if it is none."""
    try:
        document = msgspec.json.decode(data, type=_Cases)
        return tuple(map(_unpacked_case, document.cases))
    except (msgspec.MsgspecError, ValueError, KeyError) as error:
        raise IntegrityError(f"these are not golden cases: {error}") from error


def architecture() -> str:
    """This machine's architecture: `x86-64`, `arm64`, or its own name for another."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def tolerance_here(golden: Golden) -> Tolerance:
    """How near this machine's answers must be."""
    return golden.tolerances.get(architecture(), golden.tolerance)


def with_sent(cases: Sequence[GoldenCase], known: Sequence[GoldenCase]) -> tuple[GoldenCase, ...]:
    """The cases with what was sent to make the very inputs of those that are `known`."""
    sent = {id(case.inputs): case.sent for case in known}
    return tuple(msgspec.structs.replace(case, sent=sent.get(id(case.inputs))) for case in cases)


def check(
    engine: Engine,
    cases: Sequence[GoldenCase],
    tolerance: Tolerance,
    prepare: Preprocessor | None = None,
    finish: Preprocessor | None = None,
) -> None:
    """Run the cases and compare. Raises GoldenMismatchError for the first that fails or gives another answer.

    `prepare` are the steps before the graph: a case that was sent through them is sent through them here; `finish` are
    those behind it, which are given the expected outputs, so that no threshold hangs on last digits. Floats may
    differ by the tolerance, NaN equals NaN; everything else must be equal. No case is started after 50 ms.
    """
    started = perf_counter()
    for number, case in enumerate(cases, 1):
        if number > 1 and perf_counter() - started > MOST_SECONDS:
            return
        try:
            inputs = case.inputs if case.sent is None or prepare is None else prepare(case.sent)
            outputs = engine.run(inputs, list(case.outputs))
        except (ExecutionError, InvalidInputError, DeadlineExceededError) as error:
            raise GoldenMismatchError(f"golden case {number} of {len(cases)} does not run: {error.detail}") from error
        pairs = [(name, outputs[name], expected) for name, expected in case.outputs.items()]
        if case.served is not None and finish is not None:
            served = finish(case.outputs)
            pairs += [(name, served[name], expected) for name, expected in case.served.items()]
        for name, got, expected in pairs:
            difference = _difference(got, expected, tolerance)
            if difference:
                raise GoldenMismatchError(
                    f"golden case {number} of {len(cases)}: output {name!r} {difference}", case=number, output=name
                )


def _difference(got: Tensor, expected: Tensor, tolerance: Tolerance) -> str:
    """In what the two differ, never with their values; empty if in nothing that matters."""
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return f"is {got.dtype} {list(got.shape)} where {expected.dtype} {list(expected.shape)} is expected"
    if got.dtype.kind != "f":
        wrong = int((got != expected).sum())
        return f"has {wrong} of {got.size} elements wrong" if wrong else ""
    got, expected = got.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        distance = np.abs(got - expected)
        near = distance <= tolerance.absolute + tolerance.relative * np.abs(expected)
    # infinities of one sign are equal, but their difference is no number; an infinite tolerance proves nothing
    near = np.where(np.isfinite(got) & np.isfinite(expected), near, got == expected)
    near |= np.isnan(got) & np.isnan(expected)
    if near.all():
        return ""
    worst = distance[~near].max()
    by = f"by up to {worst:.3g}" if math.isfinite(worst) else "(an infinity or no number)"
    return f"has {int((~near).sum())} of {got.size} elements outside the tolerance, {by}"


def _packed_case(case: GoldenCase) -> _Case:
    sent, served = (None if each is None else pack(each) for each in (case.sent, case.served))
    return _Case(pack(case.inputs), pack(case.outputs), sent, served)


def _unpacked_case(case: _Case) -> GoldenCase:
    sent, served = (None if each is None else unpack(each) for each in (case.sent, case.served))
    return GoldenCase(unpack(case.inputs), unpack(case.outputs), sent, served)
