"""What becomes of versions: published, promoted, rolled back."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidInputError
from onnxlet.lifecycle.attempt import Attempt
from onnxlet.lifecycle.options import as_policy
from onnxlet.lifecycle.progress import showing_stages
from onnxlet.lifecycle.results import ConvertedModel, Move, Version
from onnxlet.lifecycle.workspace import open_workspace
from onnxlet.values.keys import PRODUCTION
from onnxlet.values.refs import Ref, check_model_name, parse_ref

if TYPE_CHECKING:
    from onnxlet.registry.registry import Registry
    from onnxlet.toolchain.workbench.progress import Progress
    from onnxlet.values.manifest import Manifest


def publish(
    model: ConvertedModel | str | PathLike[str],
    name: str,
    *,
    force: bool = False,
    policy: Mapping[str, Any] | str | PathLike[str] | None = None,
    store: str | Path | None = None,
) -> Version:
    """Publish a converted model, or a bare .onnx file, as the next version of `name`. Nothing serves it yet.

    The version's `notes` say what to mind of it. A bare file that runs on none of the inputs that are tried needs
    `force`. `policy` is what is kept of the rows that it will answer, a dict or the path of a JSON file;
    without one nothing is.
    Raises RejectedModelError for a file that cannot be served, InvalidInputError, InvalidNameError,
    StoreUnavailableError; an error after the version exists says so.
    """
    if not isinstance(model, str | PathLike):
        raise InvalidInputError(
            f"publish takes a converted model or a path, not a {type(model).__name__}: "
            "onnxlet.ship(model, name, data=…) converts and publishes one"
        )
    document = as_policy(policy)
    registry = open_workspace(store).open_registry()
    attempt = Attempt(registry, check_model_name(name))
    with attempt.explaining(), showing_stages("publishing") as begin:
        manifest = publish_path(attempt, Path(model), begin, force=force, policy=document)
    return Version(*registry.resolve(Ref(name, version=manifest.version)))


def publish_path(
    attempt: Attempt, path: Path, begin: Progress, *, force: bool = False, policy: Mapping[str, Any] | None = None
) -> Manifest:
    """Check, optimize and try a converted directory or an .onnx file, and publish what comes of it."""
    from onnxlet.toolchain.prepare import prepare

    with tempfile.TemporaryDirectory(prefix="onnxlet-") as workdir:
        draft, files = prepare(path, Path(workdir), force=force, policy=policy, on_progress=begin)
        begin("publishing")
        return attempt.publish(draft, files)


def promote(
    version: Version | Ref | str,
    *,
    alias: str = PRODUCTION,
    why: str = "",
    force: bool = False,
    store: str | Path | None = None,
) -> Move:
    """Let an alias route to a version, `diagnosis:7`; servers follow within their alias TTL.

    Where it does so already nothing is written, and the move is not `changed`.
    A version whose accuracy contract does not hold is refused, as is one without a contract if the registry requires
    one, and an alias whose history is broken, unless `force` says so and `why` the reason. Raises ContractFailedError,
    HistoryBrokenError, ModelNotFoundError, VersionNotFoundError, IntegrityError for a version whose artifacts are
    damaged, PreconditionFailedError if somebody else moves the alias at the same moment.
    """
    ref = version if isinstance(version, Ref) else parse_ref(str(version))
    if ref.version is None:
        raise InvalidInputError(f"{str(ref)!r} names no version: say which, {ref.model}:1 for example")
    workspace = open_workspace(store)
    with workspace.naming_others():
        return promote_version(workspace.open_registry(), ref.model, ref.version, alias=alias, why=why, force=force)


def promote_version(registry: Registry, model: str, version: int, *, alias: str, why: str, force: bool) -> Move:
    """Promote, and say whether anything changed. Raises as the registry does."""
    unchanged: list[bool] = []
    promoted = registry.promote(
        model, version, alias=alias, why=why, force=force, on_unchanged=lambda: unchanged.append(True)
    )
    return Move(promoted, changed=not unchanged)


def rollback(
    model: str, *, alias: str = PRODUCTION, why: str = "", force: bool = False, store: str | Path | None = None
) -> Move:
    """Let an alias route to what it routed to before. Repeated, it walks further back.

    An alias whose history is broken is refused unless `force` says so and `why` the reason. Raises ModelNotFoundError,
    AliasNotFoundError, NothingToRollBackError, HistoryBrokenError, PreconditionFailedError.
    """
    workspace = open_workspace(store)
    with workspace.naming_others():
        registry = workspace.open_registry()
        return Move(registry.rollback(check_model_name(model), alias=alias, why=why, force=force))
