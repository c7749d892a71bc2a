"""The registry of one store: what there is, what becomes of it, and who did it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from onnxlet.registry.reading import history, listing, lookup
from onnxlet.registry.reading.listing import VersionSummary
from onnxlet.registry.reading.requirements import Requirements, read_requirements
from onnxlet.registry.writing import moving, promotion_gate, publishing, removal
from onnxlet.registry.writing.mover import RETRIES, Mover
from onnxlet.registry.writing.writer import Writer
from onnxlet.settings import SERVABLE_DAYS
from onnxlet.store import Store
from onnxlet.values.aliases import Alias, HistoryEntry
from onnxlet.values.keys import PRODUCTION
from onnxlet.values.manifest import Draft, Manifest
from onnxlet.values.refs import Ref
from onnxlet.values.timestamps import utc_now

NOBODY = "unknown"


class Registry:
    """Names to versions, over one store.

    `who` and the time of `clock`, which returns aware datetimes, are written into whatever this registry writes.

        registry = Registry(open_store("s3://models"), who="ana")
        manifest = registry.publish("diagnosis", draft, {"model.onnx": Path("model.onnx")})
        registry.promote("diagnosis", manifest.version, why="recall 0.98 on the held-out set")
    """

    def __init__(self, store: Store, *, who: str = "", clock: Callable[[], datetime] = utc_now) -> None:
        self.writer = Writer(store, who or NOBODY, clock)

    @property
    def store(self) -> Store:
        """The store that it lies in."""
        return self.writer.store

    def acting_as(self, who: str) -> Registry:
        """The same registry in another's name."""
        return Registry(self.store, who=who, clock=self.writer.clock)

    def models(self) -> list[str]:
        """The names of all models that have a published version, sorted."""
        return listing.models(self.store)

    def versions(self, model: str) -> list[VersionSummary]:
        """The published and the incomplete versions of a model, by number. Raises ModelNotFoundError."""
        return listing.versions(self.store, model)

    def manifest(self, model: str, version: int) -> Manifest:
        """A published version. Raises ModelNotFoundError, VersionNotFoundError."""
        return lookup.manifest(self.store, model, version)[0]

    def stored_manifest(self, model: str, version: int) -> bytes:
        """A published version's manifest as it was written. Raises ModelNotFoundError, VersionNotFoundError."""
        return lookup.stored_manifest(self.store, model, version)[1]

    def aliases(self, model: str) -> dict[str, Alias]:
        """All aliases of a model that route somewhere, by name."""
        return listing.aliases(self.store, model)

    def alias(self, model: str, alias: str = PRODUCTION) -> tuple[Alias, str]:
        """An alias and its ETag, to move it with `if_match`. Raises ModelNotFoundError, AliasNotFoundError."""
        return lookup.alias(self.store, model, alias)

    def resolve(self, ref: Ref) -> tuple[Manifest, str]:
        """The version that a ref means, whether it is servable or not, and the digest of its manifest.

        Raises ModelNotFoundError, VersionNotFoundError, AliasNotFoundError, DigestMismatchError.
        """
        return lookup.resolve(self.store, ref)

    def publish(
        self,
        model: str,
        draft: Draft,
        files: Mapping[str, Path],
        *,
        on_progress: Callable[[int, int], None] | None = None,
        on_claim: Callable[[int], None] | None = None,
    ) -> Manifest:
        """Make a draft and its files, by their paths in the version, the next version of `model`.

        `on_progress` is told the bytes that are uploaded and the bytes of all files; `on_claim` the version's number,
        once it is taken and before a file is uploaded.
        Raises InvalidNameError, InvalidInputError and TooLargeError before anything is written.
        """
        return publishing.publish(self.writer, model, draft, files, on_progress=on_progress, on_claim=on_claim)

    def promote(
        self,
        model: str,
        version: int,
        *,
        alias: str = PRODUCTION,
        why: str = "",
        gates: Mapping[str, str] | None = None,
        if_match: str | None = None,
        retries: int = RETRIES,
        force: bool = False,
        on_unchanged: Callable[[], object] | None = None,
    ) -> Alias:
        """Route an alias to a version. Where it does so already nothing is written, and `on_unchanged` is called.

        `if_match` is the ETag that the alias must have, or `mover.MUST_BE_NEW` for one that must route nowhere yet.
        Without it a move by somebody else meanwhile is taken into account and this one comes after it. `gates` are the
        checks that the caller has made, by name; the history keeps them. A version whose accuracy contract does not
        hold, or that has none where `requirements` ask for one, needs `force` and then a reason, and so does an alias
        whose history is broken; the history says so.
        Raises ModelNotFoundError, VersionNotFoundError, ContractFailedError, HistoryBrokenError,
        PreconditionFailedError; IntegrityError where an artifact is not what the manifest promises.
        """
        mover = Mover(self.writer, model, alias, if_match, retries)
        return moving.promote(mover, version, why, gates or {}, force=force, on_unchanged=on_unchanged)

    @property
    def requirements(self) -> Requirements:
        """What is asked of every version that is promoted."""
        return read_requirements(self.store)

    def require(self, requirements: Requirements) -> None:
        """Ask this of every version that is promoted from now on; what is routed to stays.

        Raises PreconditionFailedError if somebody else changes it at the same moment.
        """
        promotion_gate.write_requirements(self.writer, requirements)

    def rollback(
        self,
        model: str,
        *,
        alias: str = PRODUCTION,
        why: str = "",
        if_match: str | None = None,
        force: bool = False,
    ) -> Alias:
        """Route an alias to where it was before, passing over versions that are gone.

        One whose history is broken needs `force` and a reason; the history says so. Raises ModelNotFoundError,
        AliasNotFoundError, NothingToRollBackError, HistoryBrokenError, PreconditionFailedError.
        """
        return moving.rollback(Mover(self.writer, model, alias, if_match), why, force=force)

    def history(self, model: str, alias: str = PRODUCTION) -> list[HistoryEntry]:
        """Every move of an alias, oldest first. Raises ModelNotFoundError, AliasNotFoundError."""
        return history.entries(self.store, model, alias)

    def verify_history(self, model: str, alias: str = PRODUCTION) -> int:
        """Prove that no move of an alias was changed, added or left out; return how many there are.

        Nothing holds who, when, why and gates of the newest one until the next move chains it.
        Raises ModelNotFoundError, AliasNotFoundError, HistoryBrokenError naming the sequence where it breaks.
        """
        return history.verify(self.store, model, alias)

    def delete(self, model: str, version: int, *, force: bool = False, days: float = SERVABLE_DAYS) -> None:
        """Delete a version that no alias routes to, or did within `days`. With `force` aliases are taken off it first.

        Raises ModelNotFoundError, VersionNotFoundError, VersionInUseError.
        """
        removal.delete(self.writer, model, version, force=force, days=days)

    def gc(self, *, older_than: timedelta, dry_run: bool = False) -> list[str]:
        """Remove what deleted versions left, and publishes that nobody has touched for `older_than`.

        Returns the keys that were removed, or with `dry_run` would be.
        """
        return removal.gc(self.writer, older_than=older_than, dry_run=dry_run)
