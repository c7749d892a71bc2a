"""docs/fidelity.md, from what the environments measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fidelity.environments import ENVIRONMENTS, MEASURED, REPOSITORY
from fidelity.row import Head, Row, Speed, read
from onnxlet.toolchain.optimize.latency import NOT_SLOWER, UNNOTICED, Latency

NEAR = 1e-5
"""The largest relative distance between the framework and its graph."""
SMALLER = 3.5
"""Times smaller is an optimized network, if it was larger than this many bytes."""
LARGE = 1_000_000
COLUMNS = 14
"""Of the tables."""
HEAD = f"""\
# Fidelity

Written by `make fidelity`: every kind of model that is converted, trained on half of real data that packages ship, then
converted, optimized and verified on 30 % of it, which are held out, and published, by the same functions as `onnxlet
ship` uses. All figures but those of fresh rows are of the held-out ones.

- **distance** is the largest one between the framework's own answer and the graph's, of all rows and outputs:
  `relative` to the scale of the output, which is 1 for probabilities and the standard deviation of the framework's
  answers otherwise, so that no probability near zero and no prediction near zero blows it up; and `absolute`.
- **reference** says [whose answers count](concepts.md#the-reference-whose-answers-count): those of the `object`, those
  that are `expected`, or what the framework reads in the `file`.
- **labels** is the share of rows whose label is the framework's, near ties included.
- **probing rows** are made of what the model knows: both sides of thresholds, every category and an unknown one,
  missing values, other magnitudes. Conversion stops unless their answers agree; labels that hang on less than the
  tolerance are counted as tied.
- **fresh rows** are the other 20 %, which nothing was chosen, converted or judged by: the published version is asked
  for them as a model is asked, and so is the framework, by its own public call. Given are the share of rows whose
  labels are equal, how many rows there are, and the largest distance of probabilities or, relative to their spread, of
  numbers. Of tables there are 1,000: the fresh rows, and rows each of whose cells is that of one of two fresh rows,
  which lie between classes.
- **metric** is the accuracy, the root mean squared error (rmse), or the cosine to the framework's embeddings, of
  framework → ONNX → optimized.
- **speed** compares the fastest runs of interleaved rounds in one process, one thread each, both graphs as they are
  served. `framework` is the median of its own quickest way to answer one row that is in memory, checks included.
- **contract** is the accuracy contract's default: [what it bounds](concepts.md). Where the ladder runs, one part of the
  held-out rows chooses and the other judges; below 400 rows, five splits do so in turn.

Targets: labels 100 %, on fresh rows too, relative distance at most {NEAR:g}; after `optimize` the contract kept
everywhere, networks over 1 MB at least {SMALLER:g} times smaller, no row slower than with the float graph (as the
ladder tells it: by more than {NOT_SLOWER - 1:.0%} and {UNNOTICED * 1e6:.0f} us, as measurements vary by less). Tree
ensembles have nothing to shrink.
"""
Measured = Sequence[tuple[Head, list[Row]]]


def write() -> None:
    """The page. Environments that were not measured are said to be missing."""
    found = [read(path.read_bytes()) for name in ENVIRONMENTS if (path := MEASURED / f"{name}.json").is_file()]
    rows = [row for _, rows in found for row in rows]
    parts = (
        HEAD,
        "\n".join(_where(found)),
        "\n".join(_summary(rows)),
        "\n".join(_reasons(rows)),
        "\n".join(_conversions(rows)),
        "\n".join(_optimizations(rows)),
    )
    (REPOSITORY / "docs" / "fidelity.md").write_text("\n".join(f"{part.rstrip()}\n" for part in parts if part))


def _where(found: Measured) -> Iterator[str]:
    for machine in dict.fromkeys(f"{head.date}: {head.machine}" for head, _ in found):
        yield f"Measured on {machine}."
    yield ""
    for head, rows in found:
        versions = ", ".join(f"{name} {version}" for name, version in head.versions.items())
        missing = "" if len(rows) == head.cases else f"; **{head.cases - len(rows)} of {head.cases} rows are missing**"
        yield f"- {head.environment}: {versions}; {sum(row.seconds for row in rows):.0f} s{missing}"
    for name in ENVIRONMENTS.keys() - {head.environment for head, _ in found}:
        yield f"- {name}: **not measured**"


def _summary(rows: Sequence[Row]) -> Iterator[str]:
    measured = [row for row in rows if row.outcome == "measured"]
    yield "## Targets"
    yield ""
    yield "| target | kept | farthest |"
    yield "|---|---|---|"
    labelled = [row for row in measured if row.agreement is not None]
    yield _target("labels 100 %", labelled, _labels_kept, lambda row: row.agreement, "{:.2%}", least=True)
    distant = [row for row in measured if row.relative is not None]
    yield _target(f"distance <= {NEAR:g}", distant, _near, lambda row: row.relative, "{:.1e}")
    fresh = [row for row in measured if row.fresh_agreement is not None]
    yield _target(
        "labels 100 % on fresh rows", fresh, _fresh_kept, lambda row: row.fresh_agreement, "{:.2%}", least=True
    )
    exact = [row for row in measured if row.fresh_distance is not None and row.method == "none"]
    yield _target(f"distance <= {NEAR:g} on fresh rows", exact, _fresh_near, lambda row: row.fresh_distance, "{:.1e}")
    optimized = [row for row in measured if row.method != "none"]
    yield _target("contract", measured, lambda row: row.holds, lambda row: row.moved, "moved by {:.2g}")
    large = [row for row in measured if row.bytes_before > LARGE and _is_network(row)]
    yield _target(f"over 1 MB >= {SMALLER:g} x smaller", large, _small, _ratio, "{:.2f} x", least=True)
    yield _target("one row not slower than float", optimized, _fast, _slowdown, "{:.2f} x the time")
    yield _target("32 rows, which nothing is chosen by", optimized, _fast_32, _slowdown_32, "{:.2f} x the time")
    failed = [row for row in rows if row.outcome == "failed"]
    refused = sum(row.outcome == "refused" for row in rows)
    yield ""
    asked = sum(row.fresh for row in measured)
    probed = sum(row.probing for row in measured)
    kinds = ", ".join(
        f"{count} {kind or 'none'}"
        for kind in ("object", "expected", "file", "")
        if (count := _held_to(measured, kind))
    )
    yield (
        f"{len(rows)} models: {len(measured)} measured, {refused} refused as they must be, {len(failed)} failed. "
        f"References: {kinds}. {asked} fresh rows and {probed} probing rows were asked for."
    )


def _held_to(rows: Sequence[Row], kind: str) -> int:
    return sum(row.reference == kind for row in rows)


def _target(
    name: str,
    rows: Sequence[Row],
    kept: Callable[[Row], bool],
    value: Callable[[Row], float | None],
    words: str,
    *,
    least: bool = False,
) -> str:
    told = [(row, found) for row in rows if (found := value(row)) is not None]
    if not told:
        return f"| {name} | - | - |"
    worst, far = (min if least else max)(told, key=lambda each: each[1])
    return f"| {name} | {sum(map(kept, rows))} of {len(rows)} | {words.format(far)}: {_called(worst)} |"


def _reasons(rows: Sequence[Row]) -> Iterator[str]:
    """Why rows miss a target, or have no figures."""
    yield "## Rows that miss a target"
    yield ""
    lines = [f"- {_called(row)}: {'; '.join(found)}." for row in rows if (found := list(_misses(row)))]
    yield from lines or ["None."]
    refused = [row for row in rows if row.outcome == "refused"]
    if refused:
        yield ""
        yield "## Refused, as it must be"
        yield ""
        yield from (f"- {_called(row)}: {row.reason}." for row in refused)


def _misses(row: Row) -> Iterator[str]:
    if row.outcome == "failed":
        yield f"**failed**: {row.reason}"
    if row.outcome != "measured":
        return
    if not _labels_kept(row) or not _near(row):
        labels = "" if row.agreement is None else f", {row.agreement:.2%} of the labels agree"
        yield f"distance {row.relative or 0:.1e}{labels}; {row.cause or '**unexplained**'}"
    if not _fresh_kept(row) or not _fresh_near(row):
        labels = "" if row.fresh_agreement is None else f", {row.fresh_agreement:.2%} of the labels agree"
        yield f"on {row.fresh} fresh rows distance {row.fresh_distance or 0:.1e}{labels}; {_explained(row)}"
    if not row.holds:
        yield f"the contract does not hold: {row.breaches}"
    if row.bytes_before > LARGE and _is_network(row) and not _small(row):
        yield f"{_ratio(row):.2f} x smaller: {row.why}"
    if not _fast(row):
        yield f"{_slowdown(row):.2f} x the float graph's time"


def _explained(row: Row) -> str:
    """Why fresh rows are answered otherwise."""
    if row.method != "none":
        return f"the graph is quantized ({row.method}), for which the contract lets up to 1 % of the labels change"
    return row.cause or "**unexplained**"


def _conversions(rows: Sequence[Row]) -> Iterator[str]:
    yield "## Framework → ONNX → optimized"
    for framework in dict.fromkeys(row.framework for row in rows):
        yield ""
        yield f"### {framework}"
        yield ""
        yield (
            "| model | data, rows | reference | graph | labels | relative | absolute | probing rows | fresh rows | "
            "metric | kB | optimized | one row: framework / ONNX | contract |"
        )
        yield f"|{'---|' * COLUMNS}"
        yield from (_line(row) for row in rows if row.framework == framework)


def _line(row: Row) -> str:
    if row.outcome != "measured":
        return f"| {row.name} | {row.data} |{' |' * (COLUMNS - 3)} {row.outcome} |"
    optimized = "stays exact" if row.method == "none" else f"{row.method}, {_ratio(row):.2f} x smaller"
    cells = (
        row.name,
        f"{row.data}, {row.rows}",
        row.reference or "-",
        row.precision,
        _shown(row.agreement, "{:.4g} %", 100),
        _shown(row.relative, "{:.1e}"),
        _shown(row.absolute, "{:.1e}"),
        f"{row.probing}, {row.tied} tied" if row.tied else f"{row.probing or '-'}",
        _fresh(row),
        f"{row.metric} {' → '.join(f'{value:.4g}' for value in row.values)}" if row.values else "-",
        f"{row.bytes_before / 1000:.4g}",
        optimized,
        _asked(row.speed),
        "holds" if row.holds else "**BROKEN**",
    )
    return f"| {' | '.join(cells)} |"


def _optimizations(rows: Sequence[Row]) -> Iterator[str]:
    chosen = [row for row in rows if row.method not in ("", "none") or row.bytes_before > LARGE]
    if not chosen:
        return
    yield "## What the ladder chose"
    yield ""
    yield (
        "Graphs under 256 kB, tree ensembles, linear models, support vectors and neighbours stay as they are. `time` "
        "is the optimized graph's over the float one's, for 1 and for 32 rows; `moved` the largest distance from the "
        "framework on the contract's scale (1 - cosine for embeddings)."
    )
    yield ""
    yield "| model | kB | smaller | time, 1 row | time, 32 rows | labels kept | moved | why |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in chosen:
        speed = row.speed
        cells = (
            f"{row.framework}: {row.name}",
            f"{row.bytes_before / 1000:.0f} → {row.bytes_after / 1000:.0f}",
            f"{_ratio(row):.2f} x",
            f"{speed.optimized / speed.float_graph:.2f}" if speed else "-",
            f"{speed.optimized_32 / speed.float_graph_32:.2f}" if speed else "-",
            _shown(row.labels_kept, "{:.4g} %", 100),
            _shown(row.moved, "{:.2g}"),
            row.why.replace("|", "/"),
        )
        yield f"| {' | '.join(cells)} |"


def _called(row: Row) -> str:
    return f"{row.framework}, {row.name} ({row.data})"


def _shown(value: float | None, words: str, times: float = 1) -> str:
    return "-" if value is None else words.format(value * times)


def _fresh(row: Row) -> str:
    if not row.fresh:
        return "-"
    labels = _shown(row.fresh_agreement, "{:.4g} % of ", 100).lstrip("-")
    return f"{labels}{row.fresh}{_shown(row.fresh_distance, ', {:.1e}').lstrip('-')}"


def _asked(speed: Speed | None) -> str:
    if speed is None:
        return "-"
    ratio = speed.framework / speed.float_graph
    return f"{speed.framework * 1e6:.0f} / {speed.float_graph * 1e6:.0f} us, {ratio:.1f} x"


def _labels_kept(row: Row) -> bool:
    return row.agreement in (None, 1.0)


def _fresh_kept(row: Row) -> bool:
    return row.fresh_agreement in (None, 1.0)


def _fresh_near(row: Row) -> bool:
    return row.fresh_distance is None or row.method != "none" or row.fresh_distance <= NEAR


def _near(row: Row) -> bool:
    return row.relative is None or row.relative <= NEAR


def _is_network(row: Row) -> bool:
    """Everything but trees, which have no weights to shrink."""
    return not row.why.startswith("tree ensembles")


def _ratio(row: Row) -> float:
    return row.bytes_before / row.bytes_after


def _small(row: Row) -> bool:
    return _ratio(row) >= SMALLER


def _slowdown(row: Row) -> float | None:
    return row.speed.optimized / row.speed.float_graph if row.speed else None


def _slowdown_32(row: Row) -> float | None:
    return row.speed.optimized_32 / row.speed.float_graph_32 if row.speed else None


def _fast(row: Row) -> bool:
    return row.speed is None or not Latency(row.speed.float_graph, row.speed.optimized).slower


def _fast_32(row: Row) -> bool:
    return row.speed is None or not Latency(row.speed.float_graph_32, row.speed.optimized_32).slower
