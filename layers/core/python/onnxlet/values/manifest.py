"""The manifest: the JSON document that makes a version. Written last, never changed, pinned by digest.

It is written as canonical JSON. Its digest is that of the bytes as they are stored: whoever reads one never writes it
again to find its digest.
"""

from typing import Any, Literal, TypeVar

import msgspec

from onnxlet.errors import IntegrityError
from onnxlet.values.canonical import canonical
from onnxlet.values.contract import Contract, TaskKind
from onnxlet.values.optimization import Optimization
from onnxlet.values.signature import Signature

SCHEMA = 2
"""What is written. Documents of the schemas before are read as if they had been written so."""


class Artifact(msgspec.Struct, frozen=True):
    """One file of a version: `path` below the version's prefix, `digest` as `sha256:<hex>`, `size` in bytes."""

    path: str
    digest: str
    size: int


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


ReferenceKind = Literal["object", "expected", "file"]
"""Whose answers a version is held to: those of the user's own model, restored whole or in memory (`object`); answers
that the user computed (`expected`); or those of a model that the framework read from a file which only describes it
(`file`)."""


class ReferenceOrigin(msgspec.Struct, frozen=True):
    """Whose answers a version is held to, with the framework that gave them and its version where they are known."""

    kind: ReferenceKind
    framework: str = ""
    version: str = ""


_REFERENCES = {
    "object": "the model's own answers",
    "expected": "answers that the user computed",
    "file": "answers of what the framework reads in the file",
}


def describe_reference(reference: ReferenceOrigin | None) -> str:
    """Whose answers a version is held to, for people: `object, the model's own answers (scikit-learn 1.9.1)`."""
    if reference is None:
        return "none, nothing but the graph is known"
    made = f" ({reference.framework} {reference.version})".replace(" )", ")") if reference.framework else ""
    return f"{reference.kind}, {_REFERENCES[reference.kind]}{made}"


OutputsAre = Literal["probabilities", "logits", "independent", "independent-logits", "values"]
"""What a network scores classes by: probabilities that sum to 1 (or the one of the second of two classes), logits of
such; each label's own probability, or its logit; or nothing of the kind."""


class OutputMeaning(msgspec.Struct, frozen=True, kw_only=True):
    """What a network's answers are, which its graph does not say.

    `are` is what class scores are, and who says so: the `answers` to all of the data, the `user`, or the `model`
    itself. `task` is how answers are judged; where they score classes at each position, `output` is their name,
    `class_axis` the dimension that counts classes, and `labels` are the names of these.
    """

    are: OutputsAre | None = None
    said_by: Literal["answers", "user", "model"] = "answers"
    task: TaskKind | None = None
    output: str = ""
    class_axis: int | None = None
    labels: tuple[str, ...] = ()


_SCORES = {
    "probabilities": "probabilities of classes that exclude each other",
    "logits": "logits of classes that exclude each other",
    "independent": "a probability for each label by itself",
    "independent-logits": "a logit for each label by itself",
    "values": "values, no scores of classes",
}
_SAYERS = {"answers": "by its answers to all of the data", "user": "as the user said", "model": "as the model says"}


def describe_outputs(meaning: OutputMeaning | None) -> str | None:
    """What a network's answers are, for people; None where they are but numbers."""
    if meaning is None or (meaning.are is None and meaning.task is None):
        return None
    scores = f"{meaning.are}: {_SCORES[meaning.are]}" if meaning.are is not None else ""
    at = f", at each position along dimension {meaning.class_axis}" if meaning.class_axis is not None else ""
    judged = f"judged as {meaning.task}" if meaning.task is not None else ""
    return ", ".join(filter(None, (scores + at, judged, _SAYERS[meaning.said_by])))


class Evaluation(msgspec.Struct, frozen=True):
    """Held-out metrics of one stage (`source`, `onnx`, `optimized`) on `rows` rows."""

    stage: str
    rows: int
    metrics: dict[str, float]


class Probing(msgspec.Struct, frozen=True):
    """How a graph was compared with its model on `rows` rows made of what the model itself knows: thresholds,
    categories, words, missing values, numbers of other sizes.

    `tied` are those whose labels differ and hang on less than the tolerance, `beyond` those answered otherwise far
    outside of what the model was fitted for, `refused` those that the graph does not answer.
    """

    rows: int = 0
    tied: int = 0
    beyond: int = 0
    refused: int = 0


def describe_probing(probing: Probing | None) -> str:
    """How a graph did on probing rows, for people: `4012 rows, 3 of them tied`; empty if there were none."""
    if probing is None:
        return ""
    counts = {
        "tied": probing.tied,
        "answered otherwise far beyond what the model was fitted for": probing.beyond,
        "refused": probing.refused,
    }
    others = "".join(f", {count} {what}" for what, count in counts.items() if count)
    return f"{probing.rows} rows made of what the model knows, answers agree{others}"


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model before it is published; `draft.json` in a converted directory.

    `graph` is the signature of model.onnx itself, `signature` what clients see once the steps stand around it. `steps`
    are documents with a `kind`, in order, which `onnxlet.steps` decodes: who only keeps versions need not know them.
    `offline_optimized` says that the graph was optimized when it was published, so that loading need not do it again.
    `assets` are further files that travel with a version, a tokenizer say; `report` is one for people to read. A graph
    that came without the model that it was made of has no `reference`. `outputs` tell what a network's answers are,
    `explanations` are a document that `onnxlet.explain` decodes, `policy` is one of `onnxlet.monitor.capture`: what is
    kept of the rows that the version answers. `notes` are what to mind of the version.
    """

    schema: int = SCHEMA
    graph: Signature
    signature: Signature
    steps: tuple[dict[str, Any], ...] = ()
    labels: tuple[str, ...] = ()
    provenance: Provenance
    reference: ReferenceOrigin | None = None
    outputs: OutputMeaning | None = None
    evaluations: tuple[Evaluation, ...] = ()
    probing: Probing | None = None
    optimization: Optimization | None = None
    contract: Contract | None = None
    golden: Golden | None = None
    on_golden_failure: Literal["previous", "refuse"] = "previous"
    offline_optimized: bool = False
    assets: tuple[str, ...] = ()
    explanations: dict[str, Any] | None = None
    policy: dict[str, Any] | None = None
    report: str | None = None
    notes: tuple[str, ...] = ()


class Manifest(Draft, frozen=True, kw_only=True):
    """A version: a draft that was given a name, a number and artifacts. `created` is RFC 3339 in UTC."""

    model: str
    version: int
    created: str
    publisher: str
    artifacts: tuple[Artifact, ...]

    @property
    def size(self) -> int:
        """Bytes of all artifacts."""
        return sum(artifact.size for artifact in self.artifacts)


class _Schema(msgspec.Struct, frozen=True):
    schema: int = 1


Document = TypeVar("Document", Draft, Manifest)

_schemas = msgspec.json.Decoder(_Schema)
_manifests = msgspec.json.Decoder(Manifest)


def encode_manifest(manifest: Manifest) -> bytes:
    """The manifest as canonical JSON."""
    return canonical(manifest)


def decode_manifest(data: bytes) -> Manifest:
    """Read a manifest. Raises IntegrityError if it is none, or of a schema newer than this package knows."""
    return _decode(data, _manifests, "manifest")


def decode_draft(data: bytes) -> Draft:
    """Read a draft. Raises IntegrityError if it is none, or of a schema newer than this package knows."""
    return _decode(data, msgspec.json.Decoder(Draft), "draft")


def _decode(data: bytes, decoder: msgspec.json.Decoder[Document], noun: str) -> Document:
    try:
        schema = _schemas.decode(data).schema
        if schema not in range(1, SCHEMA + 1):
            raise IntegrityError(
                f"the {noun} has schema {schema}, this onnxlet knows {SCHEMA}: upgrade onnxlet", schema=schema
            )
        if schema < SCHEMA:
            from onnxlet.values.upgrade import upgrade

            data = canonical(upgrade(msgspec.json.decode(data), schema))
        return decoder.decode(data)
    # what an upgrade finds in the place of an object raises the last three
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, AttributeError, TypeError, KeyError) as error:
        raise IntegrityError(f"this is not a {noun}: {error}") from error
