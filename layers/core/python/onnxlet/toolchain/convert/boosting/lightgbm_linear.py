"""LightGBM's linear trees: a leaf adds up features of its own, times coefficients, in place of one number.

Where one of these features is missing the leaf gives its number after all (Tree::Predict in LightGBM's tree.h).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from onnxlet.toolchain.convert.boosting.lightgbm_trees import parse_numbers
from onnxlet.toolchain.convert.tabular.forest import Forest
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.values.tensors import Tensor


@dataclass(frozen=True)
class LinearLeaves:
    """The leaves of a forest's trees, one after the other, as parallel arrays.

    A leaf gives its `constants` and the sum of its `features` [leaves, most] times `coefficients`; a feature that is
    none has the number of columns for a position, and 0 for a coefficient. `numbers` is what it gives where one of
    its features is missing.
    """

    constants: Tensor
    numbers: Tensor
    features: Tensor
    coefficients: Tensor

    @classmethod
    def read(cls, blocks: list[dict[str, str]], width: int) -> Self | None:
        """The leaves of the trees in a model's text; None if none is linear. Raises ValueError for a damaged one."""
        if not any(_is_linear(block) for block in blocks):
            return None
        counts = [_read(block, "num_features", int(block["num_leaves"])).astype(np.int64) for block in blocks]
        count = np.concatenate(counts)
        listed = np.arange(max(1, count.max())) < count[:, None]
        features = np.full(listed.shape, width)
        coefficients = np.zeros(listed.shape)
        pairs = list(zip(blocks, counts, strict=True))
        features[listed] = np.concatenate([_read(block, "leaf_features", each.sum()) for block, each in pairs])
        coefficients[listed] = np.concatenate([_read(block, "leaf_coeff", each.sum()) for block, each in pairs])
        numbers = [parse_numbers(block, "leaf_value", int(block["num_leaves"])) for block in blocks]
        constants = [
            _read(block, "leaf_const", len(each)) if _is_linear(block) else each
            for block, each in zip(blocks, numbers, strict=True)
        ]
        return cls(np.concatenate(constants), np.concatenate(numbers), features, coefficients)

    def write(self, graph: GraphWriter, forest: Forest, features: str, plain: str) -> str:
        """Append the forest's trees with these leaves; returns the margins [N, outputs] in float64.

        `features` [N, …] are what the trees split by, `plain` [N, columns] what the leaves add up.
        """
        leaf = graph.to_int64(_numbered(forest).write(graph, features))
        trees, most = len(forest.trees), self.features.shape[1]
        # a last column of zeros, for what is no feature
        padded = graph.add("Pad", plain, graph.constant(np.array([0, 0, 0, 1])))
        positions = graph.add("Gather", graph.constant(self.features), leaf)
        flat = graph.add("Reshape", positions, graph.constant(np.array([-1, trees * most])))
        values = graph.add("GatherElements", padded, flat, axis=1)
        values = graph.add("Reshape", values, graph.constant(np.array([-1, trees, most])))
        products = graph.add("Mul", values, graph.add("Gather", graph.constant(self.coefficients), leaf))
        last = graph.constant(np.array([2]))
        sums = graph.add("ReduceSum", products, last, keepdims=0)
        missing = graph.add("ReduceMax", graph.to_int64(graph.add("IsNaN", values)), last, keepdims=0)
        given = graph.add(
            "Where",
            graph.add("Equal", missing, graph.constant(np.array([1]))),
            graph.add("Gather", graph.constant(self.numbers), leaf),
            graph.add("Add", sums, graph.add("Gather", graph.constant(self.constants), leaf)),
        )
        by_round = graph.add("Reshape", given, graph.constant(np.array([-1, trees // forest.outputs, forest.outputs])))
        margins = graph.add("ReduceSum", by_round, graph.constant(np.array([1])), keepdims=0)
        return graph.add("Mul", margins, graph.constant([forest.scale]))


def _is_linear(block: dict[str, str]) -> bool:
    return bool(int(block.get("is_linear", "0")))


def _read(block: dict[str, str], key: str, count: int) -> Tensor:
    """Numbers of a linear tree; of another, zeros."""
    return parse_numbers(block, key, count) if _is_linear(block) else np.zeros(count)


def _numbered(forest: Forest) -> Forest:
    """The forest with an output for each tree: the number that the leaf has among all."""
    trees = []
    first = 0
    for target, tree in enumerate(forest.trees):
        numbers = first + np.arange(len(tree.leaves), dtype=np.float64)
        trees.append(replace(tree, leaves=numbers[:, None], target=target))
        first += len(numbers)
    return Forest(trees, len(trees), forest.mode, np.zeros(len(trees)))
