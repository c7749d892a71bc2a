"""Families of the ladder: the methods that make a graph smaller, each with its variants and the nodes it quantizes."""

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
    """One rung: `write` writes the graph to a path and leaves the named nodes in float."""

    words: str
    write: Write
    calibration: Calibration | None = None


@dataclass(frozen=True)
class Family:
    """The variants of one method; `skipped` says why there are none."""

    method: str
    nodes: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = ()
    skipped: str = ""
    ends: tuple[str, ...] = ()
    """The first and the last node that multiply, which most likely must stay float."""


@dataclass(frozen=True)
class SourceGraph:
    """The simplified graph that every variant is made of."""

    path: Path
    model: onnx.ModelProto
    survey: Survey


def make_families(source: SourceGraph, sample: Sample | str, cpu: str) -> Iterator[Family]:
    """The families for a processor, the cheapest first; `sample` is for calibration, or says why there is none."""
    yield _dynamic(source, cpu)
    yield _static(source, sample, cpu)
    yield _weight_only(source)
    yield _float16(source)


def _dynamic(source: SourceGraph, cpu: str) -> Family:
    survey = source.survey
    nodes = (*survey.embeddings, *survey.recurrent, *survey.products)
    if not nodes:
        return Family(dynamic_int8.METHOD, skipped="convolutions lose too much by it; there is no matrix product")
    return Family(
        dynamic_int8.METHOD,
        nodes,
        tuple(
            Variant(f"dynamic int8, {weight_format.words}", partial(_write_dynamic, source, weight_format))
            for weight_format in dynamic_int8.WEIGHT_FORMATS[cpu]
        ),
        ends=_first_and_last(*survey.recurrent, *survey.products),
    )


def _static(source: SourceGraph, sample: Sample | str, cpu: str) -> Family:
    survey = source.survey
    nodes = (*survey.embeddings, *survey.convolutions, *survey.products)
    if not survey.convolutions and not survey.products:
        return Family(static_int8.METHOD, skipped="there is neither convolution nor matrix product")
    if isinstance(sample, str):
        return Family(static_int8.METHOD, skipped=sample)
    return Family(
        static_int8.METHOD,
        nodes,
        tuple(
            Variant(
                f"static int8, {static_format.words}",
                partial(_write_static, source, sample, static_format),
                sample.record(static_format.method),
            )
            for static_format in static_int8.static_formats(cpu)
        ),
        ends=_first_and_last(*survey.convolutions, *survey.products),
    )


def _first_and_last(*nodes: str) -> tuple[str, ...]:
    return (nodes[0], nodes[-1]) if len(nodes) > 1 else ()


def _weight_only(source: SourceGraph) -> Family:
    nodes = (*source.survey.embeddings, *weight_only.large_products(source.model, source.survey))
    if len(nodes) == len(source.survey.embeddings):
        return Family(weight_only.METHOD, skipped="there is no large matrix product")
    return Family(
        weight_only.METHOD,
        nodes,
        tuple(Variant(f"weight-only int{bits}", partial(_write_weight_only, source, bits)) for bits in (8, 4)),
    )


def _float16(source: SourceGraph) -> Family:
    return Family(float16.METHOD, variants=(Variant("float16 weights", partial(_write_float16, source)),))


def _write_dynamic(
    source: SourceGraph, weight_format: dynamic_int8.WeightFormat, destination: Path, keep: Sequence[str]
) -> None:
    dynamic_int8.quantize(source.path, destination, source.survey, weight_format, keep=keep)


def _write_static(
    source: SourceGraph, sample: Sample, static_format: static_int8.StaticFormat, destination: Path, keep: Sequence[str]
) -> None:
    static_int8.quantize(source.path, destination, source.survey, sample, static_format, keep=keep)


def _write_weight_only(source: SourceGraph, bits: int, destination: Path, keep: Sequence[str]) -> None:
    weight_only.quantize(source.path, destination, source.survey, bits=bits, keep=keep)


def _write_float16(source: SourceGraph, destination: Path, keep: Sequence[str]) -> None:  # noqa: ARG001 - a Write
    float16.store_float16_weights(source.path, destination)
