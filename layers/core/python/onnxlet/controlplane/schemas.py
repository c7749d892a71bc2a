"""What goes over the control plane's wire: pydantic validates what is written, Structs say what is read.

What is read is encoded, and described in the OpenAPI document, straight from the Structs that the registry holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from fastapi import Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from onnxlet.jobs.jobs import Status
from onnxlet.values.aliases import Alias, HistoryEntry
from onnxlet.values.canonical import canonical
from onnxlet.values.keys import PRODUCTION
from onnxlet.values.refs import MAX_VERSION, check_alias_name

Why = Annotated[str, Field(max_length=2000, description="Why, in a sentence; it is kept in the alias's history.")]


class Promotion(BaseModel):
    """The version that an alias shall route to."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"example": {"version": 7, "why": "recall 0.98 on the held-out set"}},
    )

    version: Annotated[int, Field(ge=1, le=MAX_VERSION, description="A published version of the model.")]
    why: Why = ""
    force: Annotated[
        bool,
        Field(
            description="Even if its accuracy contract does not hold or is missing, or the alias's history is broken; "
            "`why` must say why."
        ),
    ] = False


class Rollback(BaseModel):
    """The alias that shall go back to the routes it had before."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"example": {"alias": PRODUCTION, "why": "drift in texture_mean"}},
    )

    alias: Annotated[str, AfterValidator(check_alias_name)] = PRODUCTION
    why: Why = ""
    force: Annotated[bool, Field(description="Even if the alias's history is broken; `why` must say why.")] = False


class JobMade(msgspec.Struct, frozen=True):
    """A job, and the URL that its file is to be PUT to within an hour, if it is one to upload."""

    id: str
    upload: str
    status: Status


class JobList(msgspec.Struct, frozen=True):
    """How the newest jobs stand, the newest first."""

    jobs: list[Status]


class JobResults(msgspec.Struct, frozen=True):
    """URLs of a job's files by their keys, for an hour."""

    id: str
    files: dict[str, str]


class ModelList(msgspec.Struct, frozen=True):
    """The names of all models."""

    models: list[str]


class Version(msgspec.Struct, frozen=True):
    """A version in a list: when it was made, its size in bytes, whether it is finished, and what routes to it now."""

    version: int
    created: str
    size: int
    state: Literal["published", "incomplete"]
    aliases: tuple[str, ...]


class VersionList(msgspec.Struct, frozen=True):
    """A model's versions, finished or not."""

    model: str
    versions: list[Version]


class AliasList(msgspec.Struct, frozen=True):
    """A model's aliases by name."""

    model: str
    aliases: dict[str, Alias]


class ModelOverview(msgspec.Struct, frozen=True):
    """A model: its versions and its aliases."""

    model: str
    versions: list[Version]
    aliases: dict[str, Alias]


class History(msgspec.Struct, frozen=True):
    """Every move of an alias, oldest first. `verified` counts the entries whose hash chain was just proven."""

    model: str
    alias: str
    entries: list[HistoryEntry]
    verified: int | None = None


class Problem(msgspec.Struct, frozen=True):
    """An error, as RFC 9457 has it; `/problems` lists the types. `error` repeats `detail`."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    error: str


class ProblemKind(msgspec.Struct, frozen=True):
    """What one `type` of problem means."""

    type: str
    title: str
    status: int
    meaning: str


class ProblemKinds(msgspec.Struct, frozen=True):
    """What every `type` of problem means."""

    problems: list[ProblemKind]


def answer(document: msgspec.Struct, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`document` as a response."""
    return Response(canonical(document), status, headers, media_type="application/json")
