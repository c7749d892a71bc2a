"""The control plane: the registry over HTTP, as a FastAPI application.

On Lambda an environment answers one request at a time, so store calls run right where they are: a thread would cost
15 ms on the first call. The local server shares its event loop with predictions, so there they run in a thread.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Header, Path, Query, Request, Response
from pydantic import AfterValidator, BeforeValidator
from starlette.types import Receive, Scope, Send

from onnxlet.controlplane import docs_page, jobs, openapi, problem
from onnxlet.controlplane import use_cases as control
from onnxlet.controlplane.etags import etag_matches, format_etag
from onnxlet.controlplane.openapi import responses
from onnxlet.controlplane.request_ids import identified
from onnxlet.controlplane.running import Run, SmallBodyRoute
from onnxlet.controlplane.schemas import (
    AliasList,
    History,
    ModelList,
    ModelOverview,
    Promotion,
    Rollback,
    VersionList,
    answer,
)
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings
from onnxlet.values.aliases import Alias, encode
from onnxlet.values.digests import digest
from onnxlet.values.keys import PRODUCTION
from onnxlet.values.manifest import Manifest
from onnxlet.values.refs import check_alias_name, check_model_name, check_version
from onnxlet.version import __version__

DESCRIPTION = """\
ONNX models in a store, behind names that move. Predictions speak TensorFlow Serving's REST API; the registry shows
versions, moves aliases and keeps their history. Errors of the registry are problem documents (RFC 9457).
"""

ModelName = Annotated[str, Path(description="The model's name."), AfterValidator(check_model_name)]
VersionNumber = Annotated[int, Path(description="The version's number."), BeforeValidator(check_version)]
AliasName = Annotated[str, AfterValidator(check_alias_name)]
IfMatch = Annotated[str | None, Header(description="The ETag of the alias as the caller knows it.")]
IfNoneMatch = Annotated[str | None, Header(description="ETags that the caller has already; `*` for any.")]


class ControlPlane(FastAPI):
    """FastAPI, whose OpenAPI document describes the data plane too, and whose answers carry request ids."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what the server has."""
        await super().__call__(scope, receive, identified(scope, send))

    def openapi(self) -> dict[str, Any]:
        """The document, made on first use."""
        if self.openapi_schema is None:
            self.openapi_schema = openapi.complete(super().openapi())
        return self.openapi_schema


def create_app(settings: Settings, registry: Registry) -> FastAPI:
    """The application over `registry`."""
    app = ControlPlane(
        title="onnxlet",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.settings = settings
    app.state.registry = registry
    problem.install(app)
    docs_page.install(app)
    app.include_router(_routes)
    app.include_router(jobs.routes)
    return app


_routes = APIRouter(prefix="/registry/models", tags=["registry"], route_class=SmallBodyRoute)


@_routes.get("", summary="All models", responses=responses(ModelList))
async def list_models(run: Run) -> Response:
    """The names of all models."""
    return answer(ModelList(await run(Registry.models)))


@_routes.get("/{model}", summary="A model", responses=responses(ModelOverview))
async def show_model(run: Run, model: ModelName) -> Response:
    """A model's versions and aliases."""
    return answer(await run(control.overview, model))


@_routes.get("/{model}/versions", summary="A model's versions", responses=responses(VersionList))
async def list_versions(run: Run, model: ModelName) -> Response:
    """A model's versions; those that were begun and not finished are `incomplete`."""
    return answer(await run(control.versions, model))


@_routes.get("/{model}/versions/{version}", summary="A version", responses=responses(Manifest, etag=True))
async def show_version(
    run: Run, model: ModelName, version: VersionNumber, if_none_match: IfNoneMatch = None
) -> Response:
    """A version's manifest as it was written. Its ETag is the digest that aliases pin."""
    data = await run(Registry.stored_manifest, model, version)
    return _conditional(data, digest(data), if_none_match)


@_routes.delete(
    "/{model}/versions/{version}", summary="Delete a version", status_code=204, responses=responses(None, status=204)
)
async def delete_version(
    run: Run,
    request: Request,
    model: ModelName,
    version: VersionNumber,
    force: Annotated[bool, Query(description="Even if it is servable: its aliases are taken off it.")] = False,
) -> Response:
    """Remove a version for good. One that an alias routes to, or did lately, stays unless it is forced."""
    days: float = request.app.state.settings.servable_days
    await run(Registry.delete, model, version, force=force, days=days)
    return Response(status_code=204)


@_routes.get("/{model}/aliases", summary="A model's aliases", responses=responses(AliasList))
async def list_aliases(run: Run, model: ModelName) -> Response:
    """A model's aliases by name."""
    return answer(await run(control.aliases, model))


@_routes.get("/{model}/aliases/{alias}", summary="An alias", responses=responses(Alias, etag=True))
async def show_alias(run: Run, model: ModelName, alias: AliasName, if_none_match: IfNoneMatch = None) -> Response:
    """What an alias routes to, what it routed to before, and its last move."""
    document, etag = await run(Registry.alias, model, alias)
    return _conditional(encode(document), etag, if_none_match)


@_routes.put(
    "/{model}/aliases/{alias}",
    summary="Promote a version",
    responses=responses(Alias, etag=True) | responses(Alias, status=201, etag=True),
)
async def put_alias(
    *,
    run: Run,
    model: ModelName,
    alias: AliasName,
    promotion: Promotion,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Response:
    """Route an alias to a version. `If-Match` names the state that is to be changed; a new alias needs none.

    Where it routes there already nothing is written: the answer has the sequence and the ETag that were there before.
    """
    moved = await run(control.promote, model, alias, promotion, if_match=if_match, if_none_match=if_none_match)
    return _moved(moved)


@_routes.post("/{model}:rollback", summary="Roll an alias back", responses=responses(Alias, etag=True))
async def roll_back(run: Run, model: ModelName, rollback: Rollback | None = None, if_match: IfMatch = None) -> Response:
    """Route an alias to where it was before its last promotion; doing so again goes further back."""
    return _moved(await run(control.roll_back, model, rollback or Rollback(), if_match=if_match))


@_routes.get("/{model}/history", summary="An alias's history", responses=responses(History))
async def show_history(
    run: Run,
    model: ModelName,
    alias: AliasName = PRODUCTION,
    verify: Annotated[bool, Query(description="Prove the hash chain too.")] = False,
) -> Response:
    """Every move of an alias, oldest first."""
    return answer(await run(control.history, model, alias, verify=verify))


def _conditional(data: bytes, etag: str, if_none_match: str | None) -> Response:
    headers = {"ETag": format_etag(etag), "Cache-Control": "no-cache"}
    if if_none_match is not None and etag_matches(if_none_match, etag, weakly=True):
        return Response(status_code=304, headers=headers)
    return Response(data, headers=headers, media_type="application/json")


def _moved(moved: control.Moved) -> Response:
    headers = {} if moved.etag is None else {"ETag": format_etag(moved.etag)}
    return answer(moved.alias, status=201 if moved.created else 200, headers=headers)
