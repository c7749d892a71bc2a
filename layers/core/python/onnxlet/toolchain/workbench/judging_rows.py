"""Judging rows: which rows of the data had no part in choosing a graph, so that its contract is judged on them.

`judging.npz` in an optimized directory holds their positions and the digest of the data. It is never published.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.values.optimization import Optimization
from onnxlet.values.tensors import Tensor

JUDGING = "judging.npz"


def write_judging_rows(directory: Path, data_digest: str, rows: Tensor) -> None:
    """Write the positions of the rows that judge."""
    with (directory / JUDGING).open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, data_digest=np.array(data_digest), rows=rows)


def read_judging_rows(directory: Path, done: Optimization | None, data_digest: str, name: str) -> Tensor | None:
    """The positions of the rows that judge, in the data of this digest and name; None for all: none of them chose.

    Raises InvalidInputError where all of them chose, and where it is not known which did.
    """
    split = None if done is None or done.method == "none" else done.split
    if split is None or split.data_digest != data_digest:
        return None
    if split.judge_digest is not None:
        raise InvalidInputError(
            f"all rows of {name!r} chose the graph: judge it on the rows that --judge named when it was optimized"
        )
    path = directory / JUDGING
    try:
        with np.load(path, allow_pickle=False) as file:
            if str(file["data_digest"]) == data_digest:
                return np.asarray(file["rows"])
            problem = "it belongs to other data"
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        problem = str(error)
    raise InvalidInputError(
        f"which rows chose the graph is not known, {str(path)!r} is missing or damaged ({problem}): convert and "
        "optimize the model again",
        path=str(path),
    )
