"""The ladder: tries a family's variants, and leaves sensitive nodes in float where all of them break the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path

from onnxlet.toolchain.optimize.candidates import Candidate, Judge
from onnxlet.toolchain.optimize.families import Family, Variant
from onnxlet.toolchain.optimize.selection import Selection
from onnxlet.toolchain.workbench.progress import Progress

SEARCH_ROWS = 64
"""Rows that nodes are compared on."""
FEWEST_FOR_BOTH = 4
"""With at least so many nodes, the first and the last are also left in float together."""


@dataclass(frozen=True)
class Ladders:
    """The ladder, climbed anew for each judge; their graphs are written into `folder`."""

    families: Sequence[Family]
    selection: Selection
    folder: Path
    search: bool
    progress: Progress
    _numbers: Iterator[int] = field(default_factory=partial(count, 1))

    def climb(self, judge: Judge) -> tuple[list[Candidate], Candidate | None]:
        """Every candidate, and the one to take; None if none is acceptable."""
        ladder = Ladder(judge, self.folder, self._numbers, search=self.search, progress=self.progress)
        candidates: list[Candidate] = []
        for family in self.families:
            acceptable = (each.size for each in candidates if not self.selection.reason_against(each))
            candidates.extend(ladder.climb(family, min(acceptable, default=None)))
        return candidates, self.selection.choose(candidates)


class Ladder:
    """Tries families of variants; their graphs are written into `folder`, named by `numbers`."""

    def __init__(self, judge: Judge, folder: Path, numbers: Iterator[int], *, search: bool, progress: Progress) -> None:
        self._judge, self._bench = judge, judge.bench
        self._folder, self._numbers, self._search, self._progress = folder, numbers, search, progress

    def climb(self, family: Family, smallest: int | None) -> Iterator[Candidate]:
        """Try the family's variants. `smallest` are the bytes of the smallest acceptable graph so far.

        Nodes in float only add bytes, so none are kept in float where a smaller graph is acceptable already.
        """
        if family.skipped:
            yield Candidate(family.method, family.method, broken=family.skipped)
            return
        whole = [self._try(family, variant, variant.words, ()) for variant in family.variants]
        yield from whole
        judged = [candidate for candidate in whole if candidate.judgement is not None]
        if judged and not any(candidate.holds for candidate in judged):
            nearest = min(judged, key=lambda candidate: candidate.judgement.distance if candidate.judgement else 0.0)
            variant = next(variant for variant in family.variants if variant.words == nearest.name)
            if smallest is None or nearest.size < smallest:
                yield from self._keep_sensitive_nodes(family, variant)

    def _keep_sensitive_nodes(self, family: Family, variant: Variant) -> Iterator[Candidate]:
        """Try the variant with more and more nodes in float, until the contract holds."""
        keeps = self._rank_in_growing_sets(family, variant) if self._search else _end_nodes(family)
        for words, keep in keeps:
            candidate = self._try(family, variant, f"{variant.words}, {words} in float", keep)
            yield candidate
            if candidate.holds:
                return

    def _rank_in_growing_sets(self, family: Family, variant: Variant) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The nodes that do most damage when quantized alone: one, then twice as many each time, up to half of all."""
        ranked = self._rank_nodes(family, variant)
        number = 1
        while number <= max(len(ranked) // 2, 1) and number < len(ranked):
            keep = tuple(ranked[:number])
            yield (f"{keep[0]!r}" if number == 1 else f"{number} sensitive nodes"), keep
            number *= 2

    def _rank_nodes(self, family: Family, variant: Variant) -> list[str]:
        rows, path = self._bench.first_rows(SEARCH_ROWS), self._folder / "alone.onnx"
        damage: dict[str, float] = {}
        for number, node in enumerate(family.nodes, 1):
            self._progress(f"{variant.words}: measuring node {number} of {len(family.nodes)}, {node!r}")
            others = [other for other in family.nodes if other != node]
            answers = self._bench.answer_first(
                (variant.words, node), rows, path, partial(_write, variant=variant, keep=others)
            )
            damage[node] = self._judge.damage(rows, answers)
        return sorted(damage, key=lambda node: damage[node], reverse=True)

    def _try(self, family: Family, variant: Variant, name: str, keep: tuple[str, ...]) -> Candidate:
        key = variant.words, keep
        if not self._bench.is_measured(key):
            self._progress(f"trying {name}")
        write = partial(_write, variant=variant, keep=keep)
        measured = self._bench.measure(key, self._folder / f"{next(self._numbers)}.onnx", write)
        bare = Candidate(name, family.method, keep, variant.calibration, measured.path, measured.size)
        if measured.broken:
            return replace(bare, broken=measured.broken)
        judgement = self._judge.judge(measured)
        return replace(bare, judgement=judgement, latency=measured.latency, latency_32=measured.latency_32)


def _write(path: Path, variant: Variant, keep: Sequence[str]) -> None:
    variant.write(path, keep)


def _end_nodes(family: Family) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The first and the last node, whose errors are mostly the largest: they meet outliers, and make the answers."""
    if family.ends:
        first, last = family.ends
        yield "the first product", (first,)
        yield "the last product", (last,)
        if len(family.nodes) >= FEWEST_FOR_BOTH:
            yield "the first and the last product", (first, last)
