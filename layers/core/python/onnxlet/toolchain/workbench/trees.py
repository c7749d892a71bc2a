"""Shares of the training weight, which nodes of trees carry through conversion and publishing.

TreeEnsemble has `nodes_hitrates` for splits, but none for leaves; and of trees in double precision ONNX asks for single
numbers there, and ONNX Runtime 1.32 for double ones. So its node says in its doc_string, which is kept, what part of
the weight of each split goes the way of true.
"""

from __future__ import annotations

import base64
import binascii

import numpy as np

from onnxlet.values.tensors import Tensor

_MARK = "shares of true: "


def write_shares(shares: Tensor) -> str:
    """A TreeEnsemble's doc_string for shares [splits]."""
    return _MARK + base64.b64encode(shares.astype("<f8").tobytes()).decode()


def read_shares(text: str, count: int) -> Tensor:
    """The shares [count] in a doc_string; nan where it has none, or not as many."""
    try:
        shares = np.frombuffer(base64.b64decode(text.removeprefix(_MARK), validate=True), "<f8")
    except (binascii.Error, ValueError):
        shares = np.empty(0)
    fits = text.startswith(_MARK) and len(shares) == count and ((shares >= 0) & (shares <= 1)).all()
    return shares.astype(np.float64) if fits else np.full(count, np.nan)
