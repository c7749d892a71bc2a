"""Verify: compare answers, measure them, and judge by an accuracy contract whether a model is what it was.

comparison       how far two graphs' answers are apart
metrics          how good answers are, for many resamples of the rows at once; bootstrap draws these
task, slices     what a model's answers are, and by which groups of rows they are looked at
findings         what is bounded; notes, what the rows cannot show; contract brings it all together: `judge`
reference        what was answered at conversion; evaluation_data, what is asked now
plots, charts    what a report shows; report, the page; verification, the use case
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onnxlet.toolchain.workbench.comparison import Comparison, compare, distances, untie
from onnxlet.toolchain.workbench.progress import Progress, silent
from onnxlet.values.contract import Bounds, Contract

__all__ = ["Comparison", "compare", "distances", "untie", "verify"]


def verify(
    directory: Path,
    *,
    data: Path,
    target: str | Sequence[str] | None = None,
    slices: Sequence[str] = (),
    bounds: Bounds | None = None,
    report: Path | None = None,
    on_progress: Progress | None = None,
) -> Contract:
    """Judge the converted model in `directory` by its own framework's answers to `data`, and write the contract there.

    `data` is the file that it was converted with; `target` names the truth in it, `slices` columns whose values are
    looked at one by one. The directory's draft gets the contract, whether it holds or not, and beside it lies
    `report.html`, of which `report` is a copy.
    Raises InvalidInputError for no converted model, and for data that does not fit it or is not what it was converted
    with.
    """
    from onnxlet.toolchain.verify.verification import Verification

    given = Verification(directory, data, target, tuple(slices), bounds or Bounds(), on_progress or silent)
    return given.write(report)
