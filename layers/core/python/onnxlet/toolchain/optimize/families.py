"""The ladder: families of ways to make a graph smaller, from the cheapest, each with the nodes that it touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import onnx

from onnxlet.toolchain.optimize import dynamic_int8, float16, static_int8, weight_only
from onnxlet.toolchain.optimize.calibration import Sample
from onnxlet.toolchain.optimize.graph import Survey
from onnxlet.values.optimization import Calibration

METHODS = (dynamic_int8.METHOD, static_int8.METHOD, weight_only.METHOD, float16.METHOD)
Write = Callable[[Path, Sequence[str]], None]


@dataclass(frozen=True)
class Variant:
    """One way: `write` makes the graph at a path, with the named nodes left as they are."""

    words: str
    write: Write
    calibration: Calibration | None = None


@dataclass(frozen=True)
class Family:
    """Variants of one method. `skipped` says why there are none."""

    method: str
    nodes: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    skipped: str = ""
    ends: tuple[str, ...] = ()
    """The nodes that most likely must stay float, if any: the first and the last that multiply."""


@dataclass(frozen=True)
class Source:
    """The simplified graph that everything is made of."""

    path: Path
    model: onnx.ModelProto
    surveyed: Survey


def families(source: Source, sample: Sample | str, cpu: str) -> Iterator[Family]:
    """The families for a processor, the cheapest first; `sample` is for calibration, or says why there is none."""
    yield _dynamic(source, cpu)
    yield _static(source, sample, cpu)
    yield _blocks(source)
    yield _halves(source)


def _dynamic(source: Source, cpu: str) -> Family:
    surveyed = source.surveyed
    nodes = (*surveyed.embeddings, *surveyed.recurrent, *surveyed.products)
    if not nodes:
        return Family(dynamic_int8.METHOD, skipped="convolutions lose too much by it; there is no matrix product")
    return Family(
        dynamic_int8.METHOD,
        nodes,
        tuple(
            Variant(f"dynamic int8, {weighing.words}", partial(_write_dynamic, source, weighing))
            for weighing in dynamic_int8.WEIGHINGS[cpu]
        ),
        ends=_ends(*surveyed.recurrent, *surveyed.products),
    )


def _static(source: Source, sample: Sample | str, cpu: str) -> Family:
    surveyed = source.surveyed
    nodes = (*surveyed.embeddings, *surveyed.convolutions, *surveyed.products)
    if not surveyed.convolutions and not surveyed.products:
        return Family(static_int8.METHOD, skipped="there is neither convolution nor matrix product")
    if isinstance(sample, str):
        return Family(static_int8.METHOD, skipped=sample)
    return Family(
        static_int8.METHOD,
        nodes,
        tuple(
            Variant(f"static int8, {how.words}", partial(_write_static, source, sample, how), sample.record(how.method))
            for how in static_int8.calibratings(cpu)
        ),
        ends=_ends(*surveyed.convolutions, *surveyed.products),
    )


def _ends(*nodes: str) -> tuple[str, ...]:
    return (nodes[0], nodes[-1]) if len(nodes) > 1 else ()


def _blocks(source: Source) -> Family:
    nodes = (*source.surveyed.embeddings, *weight_only.large_products(source.model, source.surveyed))
    if len(nodes) == len(source.surveyed.embeddings):
        return Family(weight_only.METHOD, skipped="there is no large matrix product")
    return Family(
        weight_only.METHOD,
        nodes,
        tuple(Variant(f"weight-only int{bits}", partial(_write_blocks, source, bits)) for bits in (8, 4)),
    )


def _halves(source: Source) -> Family:
    return Family(float16.METHOD, variants=(Variant("float16 weights", partial(_write_halves, source)),))


def _write_dynamic(source: Source, weighing: dynamic_int8.Weighing, destination: Path, keep: Sequence[str]) -> None:
    dynamic_int8.quantize(source.path, destination, source.surveyed, weighing, keep=keep)


def _write_static(
    source: Source, sample: Sample, how: static_int8.Calibrating, destination: Path, keep: Sequence[str]
) -> None:
    static_int8.quantize(source.path, destination, source.surveyed, sample, how, keep=keep)


def _write_blocks(source: Source, bits: int, destination: Path, keep: Sequence[str]) -> None:
    weight_only.quantize(source.path, destination, source.surveyed, bits=bits, keep=keep)


def _write_halves(source: Source, destination: Path, keep: Sequence[str]) -> None:  # noqa: ARG001 - a Write
    float16.halve(source.path, destination)
