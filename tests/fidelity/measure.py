"""One case through convert, optimize, verify and publish, as `onnxlet ship` goes, and what came of it."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

import onnxlet
from fidelity.case import Case, Fresh, Trained
from fidelity.row import Row, Speed
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.steps import decode_steps
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.optimize import optimize
from onnxlet.toolchain.optimize.candidates import Bench
from onnxlet.toolchain.optimize.evaluation_rows import choose_rows
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.verify.findings import scaled_distances
from onnxlet.toolchain.workbench.directory import read_draft
from onnxlet.toolchain.workbench.evaluation_data import open_graph
from onnxlet.toolchain.workbench.reference import ONNX, SOURCE, read_reference
from onnxlet.toolchain.workbench.task import task_of
from onnxlet.values.contract import Contract
from onnxlet.values.keys import GRAPH
from onnxlet.values.manifest import Draft

Array = npt.NDArray[Any]
FEWEST_ANSWERS = 5
ANSWERING = 0.2
"""Seconds that the framework is asked for."""


def measured(case: Case) -> Row:
    """The row of a case, whatever becomes of it."""
    started = perf_counter()
    about: dict[str, Any] = {"name": case.name, "framework": case.framework, "data": case.data, "cause": case.cause}
    with tempfile.TemporaryDirectory(prefix="onnxlet-fidelity-") as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = _measured(case.train(Path(folder)), Path(folder))
        except (ConversionError, InvalidInputError) as error:
            refused = bool(case.refused) and case.refused in error.detail
            outcome = "refused" if refused else "failed"
            found = {"outcome": outcome, "reason": error.detail}
        except Exception as error:  # noqa: BLE001 - a case that fails is a row of the table
            found = {"outcome": "failed", "reason": f"{type(error).__name__}: {error}"}
    return Row(**about, **found, seconds=perf_counter() - started)


def _measured(trained: Trained, folder: Path) -> dict[str, Any]:
    converted, optimized = folder / "converted", folder / "optimized"
    given: dict[str, Any] = {"data": trained.data, "target": trained.target}
    float_draft = convert(trained.source, converted, **given, **trained.options)
    draft = optimize(converted, optimized, **given)
    contract = verify(optimized, **given)
    done = draft.optimization
    assert done is not None
    return {
        "outcome": "measured",
        "rows": contract.rows,
        "precision": _precision(float_draft),
        **_conversion(converted, float_draft),
        "metric": contract.metric or "",
        "values": _values(contract),
        "bytes_before": done.bytes_before,
        "bytes_after": done.bytes_after,
        "method": done.method,
        "why": done.reason,
        **_kept(contract),
        "reference": draft.reference.kind if draft.reference else "",
        "probing": draft.probing.rows if draft.probing else 0,
        "tied": draft.probing.tied if draft.probing else 0,
        **(_ask_fresh(trained.fresh, optimized, folder) if trained.fresh else {}),
        "speed": _speed(trained, converted, optimized, draft, folder),
    }


def _precision(draft: Draft) -> str:
    """Of the numbers that the graph takes and gives."""
    specs = (*draft.graph.inputs, *draft.graph.outputs)
    return "float64" if any(spec.datatype == "FP64" for spec in specs) else "float32"


def _conversion(converted: Path, draft: Draft) -> dict[str, Any]:
    """How far the graph's answers are from the framework's own."""
    reference = read_reference(converted)
    (figures,) = (evaluation.metrics for evaluation in draft.evaluations if evaluation.stage == ONNX)
    assert reference is not None
    source, graph = reference.stages[SOURCE], reference.stages[ONNX]
    relative = scaled_distances(source, graph, task_of(decode_steps(draft.steps), source, None, draft.outputs))
    floats = any(tensor.dtype.kind == "f" for tensor in source.values())
    labels = [name for name in source if name.startswith("label")]
    agreed = [float((source[name] == graph[name]).mean()) for name in labels]
    return {
        "agreement": min(agreed, default=None),
        "relative": float(relative.max()) if floats else None,
        "absolute": figures["largest_distance"] if floats else None,
    }


def _values(contract: Contract) -> tuple[float, ...]:
    """The metric stage by stage: without a stage `optimized` the graph stayed as it was."""
    if contract.metric is None:
        return ()
    values = [stage.metrics[contract.metric].value for stage in contract.stages]
    return tuple(values) if len(values) > 2 else (*values, values[-1])


def _kept(contract: Contract) -> dict[str, Any]:
    found = {finding.name: finding.value for finding in contract.findings}
    return {
        "labels_kept": contract.stages[-1].distances.get("label_agreement"),
        "moved": found.get("distance"),
        "holds": contract.holds,
        "breaches": contract.breaches,
    }


def _ask_fresh(fresh: Fresh, optimized: Path, folder: Path) -> dict[str, Any]:
    """How the published version, asked as a model is asked, agrees with the framework on fresh rows."""
    store, rows = folder / "store", fresh.rows
    onnxlet.publish(optimized, "model", store=store)
    version = onnxlet.load("model:1", store=store)
    served = version.predict(rows)
    found: dict[str, Any] = {"fresh": len(next(iter(rows.values())) if isinstance(rows, dict) else rows)}
    if fresh.labels is not None:
        labels = served["label"] if isinstance(served, dict) else served
        found["fresh_agreement"] = _agreement(np.asarray(fresh.labels), np.asarray(labels))
    if fresh.numbers is not None:
        scaled = [
            _distance(own, numbers, probable=name.startswith("p") and fresh.labels is not None)
            for name, each in _by_name(fresh).items()
            for own, numbers in _pairs(each, served[name] if isinstance(served, dict) else getattr(version, name)(rows))
        ]
        found["fresh_distance"] = max(scaled)
    return found


def _by_name(fresh: Fresh) -> Mapping[str, Any]:
    """Numbers by the method that gives them, or by the output."""
    if isinstance(fresh.numbers, Mapping):
        return fresh.numbers
    return {"predict" if fresh.labels is None else "predict_proba": fresh.numbers}


def _pairs(own: Any, served: Any) -> Iterator[tuple[Array, Array]]:  # noqa: ANN401 - an array, or one for each target
    several = isinstance(own, list)
    yield from zip(map(np.asarray, own if several else [own]), served if several else [served], strict=True)


def _agreement(own: Array, served: Array) -> float:
    """The share of rows whose labels, of all targets, are equal."""
    same = own.astype(object).reshape(len(own), -1) == served.astype(object).reshape(len(served), -1)
    return float(same.all(axis=1).mean())


def _distance(own: Array, served: Array, *, probable: bool) -> float:
    """The largest distance, on the scale of the answers where they are no probabilities."""
    numbers = np.asarray(own, dtype=np.float64).reshape(served.shape)
    spread = 1.0 if probable else float(numbers.std()) or float(np.abs(numbers).max()) or 1.0
    return float(np.abs(numbers - served).max() / spread)


def _speed(trained: Trained, converted: Path, optimized: Path, draft: Draft, folder: Path) -> Speed:
    """The optimized graph beside the float one, once more, both as they are served."""
    float_draft, cases = read_draft(converted)
    plain = open_graph(converted / GRAPH)
    rows = choose_rows(converted, float_draft, cases, plain, data=trained.data, target=trained.target)
    assert rows is not None
    bench = Bench(converted / GRAPH, decode_steps(float_draft.steps), rows, [np.arange(rows.count)], folder)
    alone, many = bench.latency, bench.latency_32
    done = draft.optimization
    assert done is not None
    if done.method == "none":
        return Speed(_seconds(trained.alone), alone.before, alone.before, many.before, many.before)
    copy = partial(shutil.copyfile, optimized / GRAPH)
    tried = bench.measure(done.method, folder / "again.onnx", copy)
    assert tried.latency is not None, tried.broken
    assert tried.latency_32 is not None
    alone, many = tried.latency, tried.latency_32
    return Speed(_seconds(trained.alone), alone.before, alone.after, many.before, many.after)


def _seconds(answer: Callable[[], object]) -> float:
    """The median of so many answers as there is time for, after a first one."""
    answer()
    taken: list[float] = []
    while len(taken) < FEWEST_ANSWERS or sum(taken) < ANSWERING:
        started = perf_counter()
        answer()
        taken.append(perf_counter() - started)
    return median(taken)
