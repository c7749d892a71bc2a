"""The OpenAPI document: the control plane's own routes, and the data plane's, which no framework stands in front of.

Each of the data plane's protocols describes itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import msgspec

from onnxlet.controlplane.schemas import (
    AliasList,
    History,
    JobList,
    JobMade,
    JobResults,
    ModelList,
    ModelOverview,
    Problem,
    ProblemKind,
    ProblemKinds,
    VersionList,
)
from onnxlet.dataplane.protocols import PROTOCOLS
from onnxlet.jobs.jobs import Status
from onnxlet.values.aliases import Alias, HistoryEntry
from onnxlet.values.manifest import Manifest

PROBLEM = "application/problem+json"
"""The media type of problem documents."""

_SCHEMA_REF = "#/components/schemas/"
_READ = (
    *(Alias, AliasList, History, HistoryEntry, Manifest, ModelList, ModelOverview),
    *(Problem, ProblemKind, ProblemKinds, VersionList),
    *(JobList, JobMade, JobResults, Status),
)

Json = dict[str, Any]


def responses(document: type | None, *, status: int = 200, etag: bool = False) -> dict[int | str, Json]:
    """What a route answers: `document` with `status`, or a problem."""
    success: Json = {"description": (document.__doc__ or "").strip() if document else "Done."}
    if document is not None:
        success["content"] = _json(_ref(document.__name__))
    if etag:
        success["headers"] = {
            "ETag": {"description": "Of this state; send it as If-Match.", "schema": {"type": "string"}}
        }
    problem = {"description": "A problem (RFC 9457).", "content": {PROBLEM: {"schema": _ref("Problem")}}}
    return {status: success, "default": problem}


def complete(document: Json) -> Json:
    """Add to FastAPI's own `document` the schemas of what is read, the data plane's protocols, and that there may be a
    token to send.
    """
    _, read = msgspec.json.schema_components(_READ, ref_template=_SCHEMA_REF + "{name}")
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas |= read
    paths: Json = {}
    for entry in PROTOCOLS:
        part = import_module(f"{entry.package}.openapi")
        paths |= part.PATHS
        schemas |= part.SCHEMAS
    document["paths"] = paths | document["paths"]
    document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{}, {"token": []}]
    return document


def _ref(name: str) -> Json:
    return {"$ref": _SCHEMA_REF + name}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}
