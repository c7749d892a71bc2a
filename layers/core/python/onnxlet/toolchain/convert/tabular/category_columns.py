"""Category columns: splits by sets of categories, written as splits by numbers.

Beside the features stand columns of 0 and 1, one for each set that some tree splits by: 0 where the row goes left. They
are looked up by the category, so that trees of any kind compare them with one half.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from onnxlet.toolchain.convert.tabular.category_values import Categories, numeric_categories
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.values.tensors import Tensor

THRESHOLD = 0.5


class _Side(NamedTuple):
    """Which codes of a feature go left: those of `left` among the first `known`."""

    left: frozenset[int]
    missing_left: bool
    other_left: bool
    known: int

    def column(self, codes: int) -> Tensor:
        """0 where a code goes left, else 1: for so many codes, for an unknown one, and for a missing value."""
        column = np.full(codes + 2, 1.0 - self.other_left)
        column[: self.known] = 1
        column[sorted(self.left)] = 0
        column[-1] = 1 - self.missing_left
        return column


class CategoryColumns:
    """The columns of one model, which grow while its trees are read.

    `categories` are what the codes 0, 1, 2 … of a feature stand for; numbers are looked up among them, texts were. Of
    other features codes are what is sent.
    `truncates`: whether a fraction above -1 is taken for 0.
    """

    def __init__(self, width: int, categories: Categories = MappingProxyType({}), *, truncates: bool = False) -> None:
        self._width = width
        self._categories = categories
        self._values = numeric_categories(categories)
        self._truncates = truncates
        self._columns: dict[tuple[int, _Side], int] = {}

    def __bool__(self) -> bool:
        return bool(self._columns)

    def column(
        self, feature: int, left: Collection[int], *, missing_left: bool, other_left: bool, count: int = 0
    ) -> int:
        """The number of the column for a split of `feature`, whose codes `left` go left.

        So do missing values, and codes of which nothing is known, if it says so; known are `count` codes at least.
        """
        known = max(count, self.known(feature), max(left, default=-1) + 1)
        side = _Side(frozenset(left), missing_left, other_left, known)
        return self._width + self._columns.setdefault((feature, side), len(self._columns))

    def known(self, feature: int) -> int:
        """How many categories of a feature have a value; 0 where codes are what is sent."""
        return len(self._categories.get(feature, ()))

    def append(self, graph: GraphWriter, features: str, plain: str) -> str:
        """Append the columns to `features` [N, width] of doubles; `plain` are these as they were sent."""
        if not self._columns:
            return features
        parts: list[str] = []
        order: list[int] = []
        for feature, sides in self._sides_by_feature().items():
            parts.append(self._look_up(graph, plain, feature, list(sides)))
            order.extend(sides.values())
        looked_up = graph.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
        positions = graph.constant(np.argsort(np.array(order, dtype=np.int64)))
        return graph.add("Concat", features, graph.add("Gather", looked_up, positions, axis=1), axis=1)

    def fill_samples(self, rows: Tensor, random: np.random.Generator) -> None:
        """Draw categories into `rows` [count, width], known and unknown ones; missing values stay."""
        for feature, sides in self._sides_by_feature().items():
            count = self._count(feature, list(sides))
            codes = random.integers(0, count + 2, len(rows))
            values = np.array([*self._values.get(feature, range(count)), -1, count + 1], dtype=np.float64)
            rows[:, feature] = np.where(np.isnan(rows[:, feature]), np.nan, values[np.minimum(codes, len(values) - 1)])

    def _sides_by_feature(self) -> dict[int, dict[_Side, int]]:
        grouped: dict[int, dict[_Side, int]] = {}
        for (feature, side), column in self._columns.items():
            grouped.setdefault(feature, {})[side] = column
        return grouped

    def _count(self, feature: int, sides: Sequence[_Side]) -> int:
        """How many codes there are."""
        return max(self.known(feature), *(side.known for side in sides))

    def _look_up(self, graph: GraphWriter, features: str, feature: int, sides: Sequence[_Side]) -> str:
        """The columns [N, sides] of one feature."""
        count = self._count(feature, sides)
        table = np.stack([side.column(count) for side in sides], axis=1)
        value = graph.add("Gather", features, graph.constant(np.array([feature])), axis=1)
        code = self._code(graph, value, count, feature)
        index = graph.add("Where", graph.add("IsNaN", value), graph.constant(np.array([count + 1])), code)
        flat = graph.add("Reshape", index, graph.constant(np.array([-1])))
        return graph.add("Gather", graph.constant(table), flat, axis=0)

    def _code(self, graph: GraphWriter, value: str, count: int, feature: int) -> str:
        """The code [N, 1] of each value; `count` for one that is none."""
        other = graph.constant(np.array([count]))
        if feature in self._values:
            known = np.array(self._values[feature], dtype=np.float64)[None]
            same = graph.to_int64(graph.add("Equal", value, graph.constant(known)))
            position = graph.add("ArgMax", same, axis=1, keepdims=1)
            found = graph.add("ReduceMax", same, graph.constant(np.array([1])), keepdims=1)
            return graph.add("Where", graph.add("Equal", found, graph.constant(np.array([1]))), position, other)
        above = ("Greater", -1.0) if self._truncates else ("GreaterOrEqual", 0.0)
        known_code = graph.add(
            "And",
            graph.add(above[0], value, graph.constant([above[1]])),
            graph.add("Less", value, graph.constant([float(count)])),
        )
        return graph.add(
            "Where", known_code, graph.to_int64(graph.add("Where", known_code, value, graph.constant([0.0]))), other
        )
