"""Comparing answers: distances, labels, ties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from onnxlet.steps import Names
from onnxlet.toolchain.workbench.comparison import accept_tied_labels, compare, distances
from onnxlet.values.manifest import Tolerance

floats = arrays.arrays(np.float32, st.integers(1, 20), elements=st.floats(width=32))


def test_the_largest_distance_is_absolute_and_relative() -> None:
    expected = {"y": np.array([1.0, 10.0])}

    comparison = compare(expected, {"y": np.array([1.1, 10.5])}, Tolerance())

    assert comparison.largest_distance == pytest.approx(0.5)
    assert comparison.largest_relative_distance == pytest.approx(0.1)
    assert comparison.outside == 2
    assert not comparison.within_tolerance


def test_distances_within_the_tolerance_do_not_matter() -> None:
    comparison = compare({"y": np.array([100.0])}, {"y": np.array([100.09])}, Tolerance(absolute=0.0, relative=0.001))

    assert comparison.within_tolerance


def test_labels_agree_in_shares() -> None:
    expected = {"label": np.array(["a", "b", "a", "b"], dtype=object), "p": np.zeros((4, 2))}

    comparison = compare(expected, {**expected, "label": np.array(["a", "b", "a", "a"], dtype=object)}, Tolerance())

    assert comparison.label_agreement == 0.75
    assert comparison.rows == 4
    assert not comparison.within_tolerance
    assert "75.00%" in str(comparison)


def test_without_labels_there_is_no_agreement_to_tell() -> None:
    comparison = compare({"y": np.zeros(2)}, {"y": np.zeros(2)}, Tolerance())

    assert comparison.within_tolerance
    assert "label_agreement" not in comparison.metrics()


@given(floats)
def test_everything_is_near_itself(tensor: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
    assert (distances(tensor, tensor) == 0).all()


def test_infinities_and_nan_are_near_only_to_their_like() -> None:
    left = np.array([math.inf, math.inf, math.nan, math.nan, 1.0])
    right = np.array([math.inf, -math.inf, math.nan, 1.0, math.nan])

    assert distances(left, right).tolist() == [0.0, math.inf, 0.0, math.inf, math.inf]


def test_either_label_is_right_where_probabilities_are_tied() -> None:
    expected = {"label": np.array([0, 0]), "probabilities": np.array([[0.50001, 0.49999], [0.9, 0.1]])}
    got = {"label": np.array([1, 1]), "probabilities": expected["probabilities"]}

    untied = accept_tied_labels(expected, got, [Names()], margin=1e-3)

    assert untied["label"].tolist() == [0, 1]
