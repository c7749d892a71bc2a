"""The manifest: the JSON document that makes a version. Written last, never changed, pinned by digest.

Its bytes are canonical JSON: sorted keys, no white space, UTF-8, shortest floats, so that equal manifests have equal
digests whichever onnxlet wrote them. It is not quite RFC 8785, which writes some floats otherwise: 1 for 1.0, say.
"""

import hashlib
from math import nan
from typing import Any, Literal

import msgspec

from onnxlet.errors import IntegrityError
from onnxlet.values.signature import Signature

SCHEMA = 1


class Artifact(msgspec.Struct, frozen=True):
    """One file of a version: `path` below the version's prefix, `digest` as `sha256:<hex>`, `size` in bytes."""

    path: str
    digest: str
    size: int


class Column(msgspec.Struct, frozen=True):
    """One named column of tabular input. Without a default a row must have it.

    `missing`: the model can do with missing values, which are NaN to it, or an empty text.
    """

    name: str
    datatype: str
    default: bool | int | float | str | None = None
    missing: bool = False

    def filler(self) -> bool | int | float | str | None:
        """What stands for a missing value; None if there must be none."""
        if self.default is None and self.missing:
            return "" if self.datatype == "BYTES" else nan
        return self.default


class Tabular(msgspec.Struct, frozen=True):
    """Named columns, in the order the model wants them.

    `input` names the one graph input [N, columns] they fill; None: each column fills the graph input [N, 1] of its own
    name.
    """

    columns: tuple[Column, ...]
    input: str | None = None


class Classification(msgspec.Struct, frozen=True):
    """How a classifier's graph outputs become `label`, `probability` and `probabilities`.

    `label` names the graph's [N] output of class values, `probabilities` its [N, classes] output (None: it has none).
    `labels` are the names of the classes in the order of the probabilities' columns, `classes` the values that the
    graph's label output gives for them, in the same order. `target` names what is told where a model tells several
    things, and ends the names of what is served then: `label_stage`.
    """

    label: str
    probabilities: str | None
    labels: tuple[str, ...]
    classes: tuple[int | str, ...]
    target: str = ""


class Steps(msgspec.Struct, frozen=True):
    """What stands before and after the graph. A classifier of several targets has `classifications`, one for each."""

    tabular: Tabular | None = None
    classification: Classification | None = None
    classifications: tuple[Classification, ...] = ()

    @property
    def targets(self) -> tuple[Classification, ...]:
        """One classification for each target of a classifier; none of another model."""
        return self.classifications if self.classification is None else (self.classification,)


class Tolerance(msgspec.Struct, frozen=True):
    """|got - expected| <= absolute + relative * |expected|, element by element; labels and integers must be equal."""

    absolute: float = 1e-4
    relative: float = 1e-3


class Golden(msgspec.Struct, frozen=True):
    """The golden cases of a version: where they lie, what their inputs come from, how near answers must be.

    `tolerances` say so by architecture (`x86-64`, `arm64`); on others `tolerance` holds.
    """

    path: str
    source: Literal["synthetic", "data", "random"]
    cases: int
    tolerance: Tolerance = Tolerance()
    tolerances: dict[str, Tolerance] = {}


class Provenance(msgspec.Struct, frozen=True):
    """Where a version comes from. `versions` are the packages that made it: scikit-learn, skl2onnx, onnxruntime …"""

    framework: str
    opset: dict[str, int]
    versions: dict[str, str] = {}
    source_digest: str | None = None
    training_commit: str | None = None


class Evaluation(msgspec.Struct, frozen=True):
    """Held-out metrics of one stage (`source`, `onnx`, `optimized`) on `rows` rows."""

    stage: str
    rows: int
    metrics: dict[str, float]


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
        said = ((f"{self.value:.{digits}g}", f"{self.bound:.{digits}g}") for digits in range(3, 7))
        value, bound = next((pair for pair in said if pair[0] != pair[1]), (f"{self.value:.3g}", f"{self.bound:.3g}"))
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
    nowhere in it, `graph_digest` that of the graph that was judged. `notes` say what could not be judged, and why.
    """

    holds: bool
    task: Literal["classification", "regression", "embedding", "tensors"]
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

    @property
    def breaches(self) -> str:
        """In what it does not hold, in words; empty if it does."""
        return "; ".join(str(finding) for finding in self.findings if not finding.ok)


class Calibration(msgspec.Struct, frozen=True):
    """The sample that ranges of activations were measured on: how, on how many rows, and their digest."""

    method: str
    rows: int
    digest: str


class Rung(msgspec.Struct, frozen=True):
    """One rung of the optimization's ladder: what it gave, and why it was chosen, passed over, refused or skipped.

    `latency` is in seconds for 1 and for 32 rows, on the machine that optimized; `distance` the largest one from the
    model's own answers, or the float graph's where those are not known, on the contract's scale; `metrics` are there
    where the truth was known.
    """

    name: str
    method: str
    outcome: Literal["chosen", "passed", "refused", "skipped"]
    reason: str
    bytes: int | None = None
    latency: float | None = None
    latency_32: float | None = None
    metrics: dict[str, float] = {}
    distance: float | None = None


class Optimization(msgspec.Struct, frozen=True):
    """What was done to make the graph smaller; `reason` says why, `rungs` what was tried.

    `method` is `none`, `dynamic-int8`, `static-int8`, `weight-only` or `fp16-weights`; `cpu` what its integers are
    meant for, `objective` by what it was chosen, `kept` names the nodes that stayed float.
    """

    method: str
    reason: str
    bytes_before: int
    bytes_after: int
    objective: str = ""
    cpu: str = ""
    calibration: Calibration | None = None
    kept: tuple[str, ...] = ()
    rungs: tuple[Rung, ...] = ()


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model before it is published; `draft.json` in a converted directory.

    `graph` is the signature of model.onnx itself, `signature` what clients see once the steps stand around it.
    `offline_optimized` says that the graph was optimized when it was published, so that loading need not do it again.
    `assets` are further files that travel with a version, a tokenizer say; `report` is one for people to read.
    """

    graph: Signature
    signature: Signature
    steps: Steps = Steps()
    labels: tuple[str, ...] = ()
    provenance: Provenance
    evaluations: tuple[Evaluation, ...] = ()
    optimization: Optimization | None = None
    contract: Contract | None = None
    golden: Golden | None = None
    on_golden_failure: Literal["previous", "refuse"] = "previous"
    offline_optimized: bool = False
    assets: tuple[str, ...] = ()
    report: str | None = None


class Manifest(Draft, frozen=True, kw_only=True):
    """A version: a draft that was given a name, a number and artifacts. `created` is RFC 3339 in UTC."""

    schema: int = SCHEMA
    model: str
    version: int
    created: str
    publisher: str
    artifacts: tuple[Artifact, ...]

    @property
    def size(self) -> int:
        """Bytes of all artifacts."""
        return sum(artifact.size for artifact in self.artifacts)


_decoder = msgspec.json.Decoder(Manifest)


def canonical(value: Any) -> bytes:  # noqa: ANN401 - any value that JSON can say
    """The canonical JSON bytes of `value`."""
    return msgspec.json.encode(value, order="sorted")


def digest(data: bytes | bytearray | memoryview) -> str:
    """`sha256:<hex>` of `data`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as canonical JSON."""
    return canonical(manifest)


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest. Raises IntegrityError if it is none, or of a schema newer than this package knows."""
    try:
        manifest = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"this is not a manifest: {error}") from error
    if manifest.schema != SCHEMA:
        raise IntegrityError(
            f"the manifest has schema {manifest.schema}, this onnxlet knows {SCHEMA}: upgrade onnxlet",
            schema=manifest.schema,
        )
    return manifest
