"""Where everything lies in a store: the one place that spells keys."""

from __future__ import annotations

PRODUCTION = "production"
"""The alias that a bare model name means."""
MODELS = "models/"
ALIASES = "aliases/"
HISTORY = "history/"
REGISTRY_SETTINGS = "settings/registry.json"
"""What holds for all models of a store."""
BATCH_IN = "batch/in/"
BATCH_OUT = "batch/out/"
BATCH_CLAIMS = "batch/claims/"
"""Who scores which source, pinned by its first delivery."""
BATCH_WORK = "batch/work/"
"""What the state machine notes and makes on its way to a large file's outputs; it goes after a while."""
BATCH_JOBS = "batch/jobs/"
"""What was asked for over the API."""

MANIFEST = "manifest.json"
CLAIM = "claim.json"
TOMBSTONE = "deleted.json"
DOCUMENTS = frozenset({MANIFEST, CLAIM, TOMBSTONE})
"""Paths in a version that no artifact may have."""

GRAPH = "model.onnx"
GRAPH_DATA = GRAPH + ".data"
"""The weights of a large graph, as ONNX external data."""
GOLDEN = "golden.json"
"""The golden cases, unless a draft names another path."""
EXPLAIN = "explain."
"""Artifacts whose names begin so are for explanations."""
BACKGROUND = EXPLAIN + "background.json"
"""The rows that explanations compare with."""
BASELINE = "baseline.json"
"""What the rows look like that a version was made for, in counts."""
FETCHED_LATER = (EXPLAIN, BASELINE)
"""Beginnings of names of artifacts that a prediction can do without: nobody fetches them before they are needed."""
SKETCHES = "sketches/"
LIVE_SKETCHES = SKETCHES + "live/"
"""What live rows looked like, in counts; they go after a while."""
REPORTS = SKETCHES + "reports/"
"""What became of models in production, day by day."""
ALARMS = SKETCHES + "alarms/"
"""What was found wrong with models, and who said what of it."""


CAPTURE = "capture/"
"""Captured rows, as far as policies release them; they go after a while."""
ANY_VERSION = "any"
"""Stands in keys where a policy drops the version."""


def capture_prefix(model: str, version: int | None) -> str:
    """All captured rows of a version."""
    return f"{CAPTURE}{model}/{ANY_VERSION if version is None else version}/"


def capture_key(model: str, version: int | None, day: str, environment: str, sequence: int) -> str:
    """Where an environment writes its object number `sequence`, with rows of a day (`2026-11-29`)."""
    return f"{capture_prefix(model, version)}{day}/{environment}-{sequence:06d}.jsonl.gz"


LABELS = "labels/"
"""What turned out to be true of captured rows."""


def labels_prefix(model: str) -> str:
    """All labels of a model."""
    return f"{LABELS}{model}/"


def label_key(model: str, stamp: str, nonce: str) -> str:
    """Labels that were brought at one time; keys sort as times do."""
    return f"{labels_prefix(model)}{stamp}-{nonce}.jsonl.gz"


ERASURES = "erasures/"
"""What was erased of captured rows and labels, and when; no ids."""


def erasure_key(stamp: str, nonce: str) -> str:
    """One erasure; keys sort as times do."""
    return f"{ERASURES}{stamp}-{nonce}.json"


def sketches_prefix(model: str, version: int) -> str:
    """All live sketches of a version."""
    return f"{LIVE_SKETCHES}{model}/{version}/"


def drawn_baseline_key(model: str, version: int) -> str:
    """The baseline that a published version was given later."""
    return f"{SKETCHES}baselines/{model}/{version}.json"


def report_prefix(model: str) -> str:
    """All reports of a model, by the newest day that each is about."""
    return f"{REPORTS}{model}/"


def report_key(model: str, day: str, suffix: str = "json") -> str:
    """The report until a day (`2026-11-29`): `json` for programs, `html` for people."""
    return f"{report_prefix(model)}{day}.{suffix}"


def alarm_book_key(model: str) -> str:
    """The alarms of a model as they are."""
    return f"{ALARMS}{model}/alarms.json"


def alarm_log_prefix(model: str) -> str:
    """All past entries of a model's alarms."""
    return f"{ALARMS}{model}/log/"


def alarm_entry_key(model: str, sequence: int) -> str:
    """One entry; zero-padded so that keys sort as numbers do."""
    return f"{alarm_log_prefix(model)}{sequence:010d}.json"


def model_prefix(model: str) -> str:
    """All versions of a model."""
    return f"{MODELS}{model}/"


def version_prefix(model: str, version: int) -> str:
    """Everything that a version owns."""
    return f"{MODELS}{model}/{version}/"


def manifest_key(model: str, version: int) -> str:
    """The document that makes a version; written last."""
    return version_prefix(model, version) + MANIFEST


def claim_key(model: str, version: int) -> str:
    """The document that takes a version's number; written first."""
    return version_prefix(model, version) + CLAIM


def tombstone_key(model: str, version: int) -> str:
    """The document that says that a version, or the attempt at one, is gone for good."""
    return version_prefix(model, version) + TOMBSTONE


def alias_prefix(model: str) -> str:
    """All aliases of a model."""
    return f"{ALIASES}{model}/"


def alias_key(model: str, alias: str) -> str:
    """One alias document."""
    return f"{ALIASES}{model}/{alias}.json"


def history_prefix(model: str, alias: str) -> str:
    """All past entries of an alias."""
    return f"{HISTORY}{model}/{alias}/"


def history_key(model: str, alias: str, sequence: int) -> str:
    """One entry; zero-padded so that keys sort as numbers do."""
    return f"{HISTORY}{model}/{alias}/{sequence:010d}.json"


WORK_AREAS = (BATCH_WORK, BATCH_JOBS, SKETCHES, CAPTURE, LABELS, ERASURES)
"""What is written while models are in use, and promises nothing about what is served."""
