"""LightGBM's trees, read from the text of key=value lines that it writes of a model.

The format is what LightGBM's src/io/gbdt_model_text.cpp and src/io/tree.cpp write and read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.tabular.category_columns import THRESHOLD, CategoryColumns
from onnxlet.toolchain.convert.tabular.forest import Tree, shares_of
from onnxlet.values.tensors import Tensor

ZERO = float(np.float32(1e-35))
"""What is no farther from 0 than this is 0 (kZeroThreshold)."""
_BELOW_ZERO = float(np.nextafter(-ZERO, -1))
_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_MISSING_SHIFT, _MISSING_IS_ZERO, _MISSING_IS_NAN = 2, 1, 2
"""Bits of a split's decision_type."""


def parse(text: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """The header and one block per tree, as key=value. Raises ValueError for a text that was cut off."""
    body, end, _ = text.partition("\nend of trees")
    if not end:
        raise ValueError("it has no end of trees")
    header, *blocks = body.split("\nTree=")
    return _parse_lines(header), [_parse_lines(block) for block in blocks]


def _parse_lines(block: str) -> dict[str, str]:
    # names may hold what splitlines() would split by
    return dict(line.partition("=")[::2] for line in block.split("\n") if line)


def pandas_categories(text: str) -> dict[int, Sequence[Any]]:
    """What pandas' categories were, by the position of the feature. Raises ConversionError where it cannot be told."""
    line = re.search(r"^pandas_categorical:(\[.*\])$", text, re.MULTILINE)
    known = json.loads(line[1]) if line else []
    if not known:
        return {}
    listed = re.search(r"^\[categorical_feature: ([\d,]*)\]", text, re.MULTILINE)
    positions = sorted(map(int, listed[1].split(","))) if listed and listed[1] else []
    if len(positions) != len(known):
        raise ConversionError(
            "the LightGBM model has features of pandas' category type and others in categorical_feature: which values "
            "stand for which category cannot be told; train with all of them in one of these ways"
        )
    return dict(zip(positions, known, strict=True))


def parse_tree(block: dict[str, str], target: int, categories: CategoryColumns) -> Tree:
    """A tree of numbers; splits by category are those of columns of `categories`."""
    leaves = parse_numbers(block, "leaf_value", int(block["num_leaves"]))
    splits = len(leaves) - 1
    decisions = parse_numbers(block, "decision_type", splits).astype(np.int64)
    thresholds = parse_numbers(block, "threshold", splits)
    # values that are as good as 0 go the way of 0
    thresholds = np.where(np.abs(thresholds) <= ZERO, np.where(thresholds >= 0, ZERO, _BELOW_ZERO), thresholds)
    default_left = (decisions & _DEFAULT_LEFT) > 0
    # a feature that was never missing has its missing values read as 0
    missing = decisions >> _MISSING_SHIFT
    features = parse_numbers(block, "split_feature", splits).astype(np.int64)
    missing_left = np.where(missing == 0, thresholds >= 0, default_left)
    sets = _category_sets(block)
    for split in np.flatnonzero(decisions & _CATEGORICAL):
        left = sets[int(parse_numbers(block, "threshold", splits)[split])]
        # what is missing, negative or in no set goes right
        features[split] = categories.column(int(features[split]), left, missing_left=False, other_left=False)
        thresholds[split] = THRESHOLD
    children = [parse_numbers(block, f"{side}_child", splits).astype(np.int64) for side in ("left", "right")]
    return Tree(
        features=features,
        thresholds=thresholds,
        missing_left=missing_left,
        left=children[0],
        right=children[1],
        leaves=leaves[:, None],
        target=target,
        shares=_shares(block, *children),
    )


def _shares(block: dict[str, str], left: Tensor, right: Tensor) -> Tensor | None:
    """The parts of the training rows that go left; None for a model that does not count them."""
    if not {"leaf_count", "internal_count"} <= block.keys():
        return None
    counts = parse_numbers(block, "internal_count", len(left)), parse_numbers(block, "leaf_count", len(left) + 1)
    of_left, of_right = (
        np.where(children >= 0, counts[0][np.maximum(children, 0)], counts[1][~np.minimum(children, -1)])
        for children in (left, right)
    )
    return shares_of(of_left, of_right)


def _category_sets(block: dict[str, str]) -> list[list[int]]:
    """The categories that go left, set by set: bits of 32-bit words."""
    count = int(block["num_cat"])
    if not count:
        return []
    bounds = parse_numbers(block, "cat_boundaries", count + 1).astype(np.int64)
    words = parse_numbers(block, "cat_threshold", int(bounds[-1])).astype(np.int64)
    bits = [np.flatnonzero((words[start:end, None] >> np.arange(32)) & 1) for start, end in pairwise(bounds.tolist())]
    return [each.tolist() for each in bits]


def parse_numbers(block: dict[str, str], key: str, count: int) -> Tensor:
    """A list of `count` numbers. Raises ValueError for another count."""
    values = np.array(block.get(key, "").split(), dtype=np.float64)
    if len(values) != count:
        raise ValueError(f"{key} has {len(values)} values, not {count}")
    return values


def zero_is_missing(blocks: list[dict[str, str]], width: int) -> Tensor:
    """Which features have 0 for a missing value (zero_as_missing)."""
    flags = np.zeros(width, dtype=bool)
    for block in blocks:
        splits = int(block["num_leaves"]) - 1
        missing = parse_numbers(block, "decision_type", splits).astype(np.int64) >> _MISSING_SHIFT
        missing[parse_numbers(block, "decision_type", splits).astype(np.int64) & _CATEGORICAL > 0] = 0
        flags[parse_numbers(block, "split_feature", splits).astype(np.int64)[missing == _MISSING_IS_ZERO]] = True
    return flags
