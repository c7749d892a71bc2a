"""Tasks that are run side by side, with a bar; what they find depends on their seeds alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from onnxlet.values.tensors import Tensor

Row = dict[str, float | int | str]
"""One line of what was measured, as it is kept."""
Task = TypeVar("Task")
Found = TypeVar("Found")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Tasks:
    """Runs tasks in `jobs` processes; `share` of the replicates that the page has, for a quick look."""

    def __init__(self, jobs: int = 1, share: float = 1.0, *, quiet: bool = False) -> None:
        self._jobs = jobs
        self._share = share
        self._quiet = quiet

    def scaled(self, replicates: int) -> int:
        """How many of so many replicates to make."""
        return max(2, round(replicates * self._share))

    def run(self, work: Callable[[Task], Found], tasks: Sequence[Task], name: str) -> list[Found]:
        """What each task finds, in their order."""
        bar = tqdm(total=len(tasks), desc=name, disable=self._quiet)
        found = []
        with bar:
            if self._jobs == 1:
                for task in tasks:
                    found.append(work(task))
                    bar.update()
                return found
            os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
            with ProcessPoolExecutor(self._jobs, mp_context=get_context("spawn")) as pool:
                for each in pool.map(work, tasks, chunksize=max(1, min(20, len(tasks) // 200))):
                    found.append(each)
                    bar.update()
        return found


def spread(values: Tensor) -> dict[str, float]:
    """The median and the 95th percentile; 0 without any."""
    if not len(values):
        return {"median": 0.0, "p95": 0.0}
    return {"median": float(np.median(values)), "p95": float(np.quantile(values, 0.95))}


def interval(hits: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share (JASA 22, 1927)."""
    z = 1.959963984540054
    middle = (hits + z * z / 2) / (count + z * z)
    half = z / (count + z * z) * (hits * (count - hits) / count + z * z / 4) ** 0.5
    return middle - half, middle + half
