"""A whole store held to all its promises, and what was found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from onnxlet.batch.examining import BATCH_KINDS, examine_batch
from onnxlet.batch.scoring import BOOK
from onnxlet.lifecycle.results import Shown
from onnxlet.registry.fsck.examine import examine_registry
from onnxlet.registry.fsck.findings import REGISTRY_KINDS, Finding
from onnxlet.registry.fsck.survey import Survey, survey
from onnxlet.registry.fsck.versions import OLDER_THAN, Scope
from onnxlet.values.keys import BATCH_OUT
from onnxlet.values.tables import Block, Facts, Table, format_size
from onnxlet.values.timestamps import utc_now

if TYPE_CHECKING:
    from datetime import timedelta

    from onnxlet.store import Store

KINDS = (*REGISTRY_KINDS, *BATCH_KINDS)
"""Every kind of finding; docs/fsck.md says of each what it means and how it is mended."""


class Checked(NamedTuple):
    """How much was looked at. `bytes` were read and hashed; `under_way` are publishes that are not finished yet."""

    models: int
    versions: int
    aliases: int
    moves: int
    batch_keys: int
    bytes: int
    under_way: int


class StoreCheck(Shown):
    """What was found in a store: `findings`, none if it is `clean`; and how much was `checked`."""

    def __init__(self, findings: Sequence[Finding], checked: Checked) -> None:
        self.findings = tuple(findings)
        self.checked = checked

    @property
    def clean(self) -> bool:
        """Whether every promise holds."""
        return not self.findings

    def __repr__(self) -> str:
        return "\n".join((*(block.text() for block in self._blocks() if block.text()), self.summary))

    @property
    def summary(self) -> str:
        """How much was looked at and what came of it, in a sentence."""
        of = self.checked
        verdict = "nothing is wrong" if self.clean else f"{len(self.findings)} finding{'s' * (len(self.findings) > 1)}"
        under_way = f"; {of.under_way} unfinished publishes may be under way" if of.under_way else ""
        return (
            f"{of.versions} versions of {of.models} models, {of.aliases} aliases with {of.moves} moves, "
            f"{of.batch_keys} keys of scoring, {format_size(of.bytes)} hashed: {verdict}{under_way}"
        )

    def _blocks(self) -> Sequence[Block]:
        mends = {finding.kind: finding.mend for finding in self.findings}
        return [describe_findings(self.findings), Facts(tuple(mends.items()))]


def describe_findings(findings: Sequence[Finding]) -> Table:
    """The findings, a row for each."""
    return Table(("finding", "key", "what"), [(each.kind, each.key, each.detail) for each in findings])


def check_store(
    store: Store,
    *,
    older_than: timedelta = OLDER_THAN,
    quick: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> StoreCheck:
    """Look at everything in a store. `quick` compares sizes and reads no artifact and no scored file.

    `on_progress` is told the bytes that are hashed and the bytes that there are. Raises StoreUnavailableError.
    """
    surveyed = survey(store)
    meter = _Meter(0 if quick else _count_bytes(surveyed), on_progress)
    oldest = (utc_now() - older_than).timestamp()
    scope = Scope(oldest, None if quick else meter.add)
    registry = examine_registry(store, surveyed, scope)
    findings = [*surveyed.orphans, *registry.findings, *examine_batch(store, surveyed.batch, scope)]
    published = [version for version in surveyed.versions if version.published]
    checked = Checked(
        models=len({version.model for version in published}),
        versions=len(published),
        aliases=len(surveyed.aliases),
        moves=registry.moves,
        batch_keys=len(surveyed.batch),
        bytes=meter.done,
        under_way=sum(version.incomplete and version.touched > oldest for version in surveyed.versions),
    )
    return StoreCheck(sorted(findings, key=lambda finding: finding.key), checked)


class _Meter:
    """Adds up what many threads read."""

    def __init__(self, total: int, on_progress: Callable[[int, int], None] | None) -> None:
        self.done = 0
        self._total = total
        self._on_progress = on_progress
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.done += count
            if self._on_progress is not None:
                # what is looked at twice is read twice
                self._on_progress(min(self.done, self._total), self._total)


def _count_bytes(surveyed: Survey) -> int:
    outputs = sum(
        entry.size for entry in surveyed.batch if entry.key.startswith(BATCH_OUT) and not entry.key.endswith(BOOK)
    )
    return outputs + sum(version.artifact_bytes for version in surveyed.versions if version.published)
