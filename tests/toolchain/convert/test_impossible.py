"""What no classifier answers stops: sums other than 1, and the fingerprint of a link that was applied twice."""

from __future__ import annotations

from math import e
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

import trained
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.impossible import check_sums, describe_doubled_link


@given(st.integers(2, 12), st.floats(0.1, 60), st.integers(0, 2**16))
def test_whatever_is_linked_twice_has_the_fingerprint(classes: int, scale: float, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, scale, (50, classes))
    assert "a softmax of" in describe_doubled_link(softmax(softmax(logits, axis=1), axis=1))
    assert "a sigmoid twice" in describe_doubled_link(expit(expit(logits[:, :1])))


@given(st.integers(2, 12), st.integers(0, 2**16))
def test_whoever_is_sure_once_has_not(classes: int, seed: int) -> None:
    logits = np.random.default_rng(seed).normal(0, 1, (50, classes))
    logits[0] = -9
    logits[0, 0] = 9
    assert not describe_doubled_link(softmax(logits, axis=1))
    assert not describe_doubled_link(expit(logits[:, :1]))
    assert e / (e + classes - 1) < softmax(logits, axis=1).max()


def test_half_sure_of_the_first_class_is_no_fingerprint_nor_is_always_the_same() -> None:
    assert not describe_doubled_link(np.linspace(0.4, 0.7, 30)[:, None])
    assert not describe_doubled_link(np.full((30, 1), 0.6274))


def test_expected_probabilities_that_do_not_sum_to_one_stop_where_the_model_s_own_do() -> None:
    apart, summed = {"probabilities": np.full((4, 3), 0.4)}, {"probabilities": np.full((4, 3), 1 / 3)}
    with pytest.raises(InvalidInputError, match=r"expected sum to 1.2 to 1.2, and probabilities of classes sum to 1"):
        check_sums(apart, summed)
    check_sums(apart, apart)
    check_sums(summed, summed)


def test_expected_columns_that_are_no_probabilities_stop(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    model = LogisticRegression().fit(features, target)
    data = trained.csv_of(tmp_path / "data.csv", features, None)
    odds = model.decision_function(features)
    lines = [
        [int(label), *pair]
        for label, pair in zip(model.predict(features), np.stack([-odds, odds], 1).tolist(), strict=True)
    ]
    expected = trained.write_csv(tmp_path / "expected.csv", ["label", "0", "1"], [[*line] for line in lines])

    with pytest.raises(InvalidInputError, match="that were expected sum to 0 to 0"):
        convert(model, tmp_path / "out", data=data, expected=expected)
