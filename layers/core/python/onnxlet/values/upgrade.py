"""Manifests and drafts of earlier schemas, as this onnxlet would have written them.

Only what is held in memory changes: stored bytes stay as they are, and so do their digests.
"""

from typing import Any

Document = dict[str, Any]


def upgrade(document: Document, schema: int) -> Document:
    """The document, which has this schema, in the newest one. It is changed in place."""
    for step in _STEPS[schema - 1 :]:
        step(document)
    return document


def _list_steps(document: Document) -> None:
    """Schema 1 named the steps that it knew, each in a place of its own; schema 2 lists steps of any kind."""
    steps = document.get("steps") or {}
    tabular = [steps["tabular"]] if steps.get("tabular") else []
    classifications = [steps["classification"]] if steps.get("classification") else steps.get("classifications", [])
    document["steps"] = [
        *({"kind": "tabular", **step} for step in tabular),
        *({"kind": "classification", **step} for step in classifications),
    ]
    document["schema"] = 2


_STEPS = (_list_steps,)
"""From each schema to the next."""
