"""Shares of the training weight within a node's doc_string."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.toolchain.workbench.trees import read_shares, write_shares


@given(st.lists(st.floats(0, 1)))
def test_shares_that_are_written_are_read(shares: list[float]) -> None:
    assert read_shares(write_shares(np.array(shares)), len(shares)).tolist() == shares


@pytest.mark.parametrize(
    "text", ["", "made by hand", "shares of true: AAAA", "shares of true: ??", write_shares(np.array([2.0]))]
)
def test_a_text_without_shares_has_none(text: str) -> None:
    assert np.isnan(read_shares(text, 1)).all()
