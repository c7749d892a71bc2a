"""The accuracy contract of a version: the bounds that it was judged by, and what was found."""

from typing import Literal

import msgspec

TaskKind = Literal["classification", "regression", "embedding", "segmentation", "tensors"]
"""How answers are judged: by classes, numbers each by their own scale, directions, classes at each position, or any
numbers by the scale of all."""


class Bounds(msgspec.Struct, frozen=True):
    """How much worse than the model it was made of a version may answer: shares, one row aside where rows are counted.

    `metric_loss` of accuracy, area under the curve and root mean squared error, relative; `recall_loss` of each class's
    recall and of each slice's accuracy; `label_change` of the labels; `distance` and `mean_distance` between
    probabilities, between other outputs relative to their spread, between embeddings as 1 - cosine.
    """

    metric_loss: float = 0.005
    recall_loss: float = 0.02
    label_change: float = 0.01
    distance: float = 0.1
    mean_distance: float = 0.01


class Finding(msgspec.Struct, frozen=True):
    """One thing that a contract bounds. `about` says what it was found in, a class or a slice say."""

    name: str
    value: float
    bound: float
    ok: bool
    about: str = ""

    def __str__(self) -> str:
        about = f" of {self.about}" if self.about else ""
        pairs = ((f"{self.value:.{digits}g}", f"{self.bound:.{digits}g}") for digits in range(3, 7))
        value, bound = next((pair for pair in pairs if pair[0] != pair[1]), (f"{self.value:.3g}", f"{self.bound:.3g}"))
        return f"{self.name.replace('_', ' ')}{about} {value}, at most {bound}"


class Estimate(msgspec.Struct, frozen=True):
    """A metric, and the interval in which 95 % of bootstrap resamples of the rows have it; None: too few rows."""

    value: float
    low: float | None = None
    high: float | None = None


class Recall(msgspec.Struct, frozen=True):
    """How well one class is told from the others; None where there are no rows to tell by."""

    label: str
    rows: int
    sensitivity: float | None
    specificity: float | None


class Stage(msgspec.Struct, frozen=True):
    """One form of the model (`source`, `onnx`, `optimized`): its metrics, and how far it is from the first one."""

    stage: str
    metrics: dict[str, Estimate] = {}
    recalls: tuple[Recall, ...] = ()
    distances: dict[str, float] = {}


class Slice(msgspec.Struct, frozen=True):
    """The rows with one value of a column: the contract's metric on them, before and after."""

    column: str
    value: str
    rows: int
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.column} = {self.value}"


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """The accuracy contract of a version: whether it holds, by what bounds, and what was found on `rows` rows.

    `metric` is the task's own (`accuracy`, `rmse`, `cosine`), `data_digest` that of the evaluation file, whose rows are
    nowhere in it, `graph_digest` that of the graph that was judged. `notes` say what could not be judged, and why;
    `oddities` what is possible, and looks as if classes or outputs were misread.
    """

    holds: bool
    task: TaskKind
    metric: str | None
    rows: int
    bounds: Bounds
    findings: tuple[Finding, ...]
    stages: tuple[Stage, ...]
    slices: tuple[Slice, ...] = ()
    worst_slice: str | None = None
    data_digest: str | None = None
    graph_digest: str | None = None
    notes: tuple[str, ...] = ()
    oddities: tuple[str, ...] = ()

    @property
    def breaches(self) -> str:
        """In what it does not hold, in words; empty if it does."""
        return "; ".join(str(finding) for finding in self.findings if not finding.ok)
