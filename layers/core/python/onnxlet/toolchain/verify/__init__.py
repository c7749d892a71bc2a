"""Verify: judge by an accuracy contract whether a graph answers as the model that it was made of.

verification    one verification: runs the graph, judges it, writes contract and report
contract        `judge`: two models' answers, the truth and the bounds, brought together
findings        what a contract bounds: distances, metrics, recalls, slices
decisions       what the steps that a user declared decide of the answers
oddities        what looks as if classes or outputs were misread
notes           what the rows cannot show
importance      what answers hang on, over rows and over the worst of them
bootstrap       confidence intervals of metrics
report          the HTML page; plots holds its figures, charts draws them
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.workbench.progress import Progress, silent
from onnxlet.values.contract import Bounds, Contract

if TYPE_CHECKING:
    from onnxlet.toolchain.workbench.data import Data, Judge, Target


def verify(
    directory: Path,
    *,
    data: Data | None = None,
    target: Target = None,
    judge: Judge | None = None,
    slices: Sequence[str] = (),
    bounds: Bounds | None = None,
    report: Path | None = None,
    model: str = "",
    explain_rows: int = 0,
    on_progress: Progress | None = None,
) -> Contract:
    """Judge the converted model in `directory` by its own framework's answers to `data`, and write the contract there.

    `data` is what it was converted with; `target` names the truth in it, or gives its values; `slices` columns whose
    values are looked at one by one. `judge` are rows that judge in place of the data, and were given to `convert` as
    such. Rows of the data that chose an optimized graph do not judge it. The directory's draft gets the contract,
    whether it holds or not, and beside it lies `report.html`, of which `report` is a copy; `model` is the name that it
    has there, the directory's if empty. It explains `explain_rows` of the rows that are answered worst one by one,
    whose values may be worked out of that.
    Raises InvalidInputError for no converted model, for a graph that has no reference, and for data that does not fit
    it or is not what it was converted with.
    """
    from onnxlet.toolchain.verify.verification import Verification
    from onnxlet.toolchain.workbench.data import open_judge

    if judge is not None:
        data, target = open_judge(judge, target)
    if data is None:
        raise InvalidInputError("nothing was given to judge by: give the data that the model was converted with")
    name, progress = model or directory.resolve().name, on_progress or silent
    verification = Verification(
        directory, data, target, tuple(slices), bounds or Bounds(), progress, name, explain_rows
    )
    return verification.write(report)
