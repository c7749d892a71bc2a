"""The manifest: the JSON document that makes a version. Written last, never changed, pinned by digest.

It is written as canonical JSON. Its digest is that of the bytes as they are stored: whoever reads one never writes it
again to find its digest.
"""

from math import nan
from typing import Literal

import msgspec

from onnxlet.errors import IntegrityError
from onnxlet.values.canonical import canonical
from onnxlet.values.contract import Contract
from onnxlet.values.optimization import Optimization
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
