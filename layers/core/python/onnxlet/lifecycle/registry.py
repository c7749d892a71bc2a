"""The registry of one store, to look at: models, versions and their figures side by side, moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlet.lifecycle.progress import byte_bar
from onnxlet.lifecycle.results import Listing, Version, make_frame
from onnxlet.lifecycle.summaries import (
    ModelSummary,
    describe_history,
    describe_models,
    describe_versions,
    format_verdict,
    summarize_models,
)
from onnxlet.lifecycle.tables import Table, format_size
from onnxlet.lifecycle.workspace import open_workspace
from onnxlet.registry.fsck.versions import OLDER_THAN
from onnxlet.registry.reading.listing import VersionSummary
from onnxlet.values.aliases import HistoryEntry
from onnxlet.values.refs import PRODUCTION, Ref, parse_ref

if TYPE_CHECKING:
    import pandas as pd

    from onnxlet.lifecycle.fsck import StoreCheck
    from onnxlet.values.manifest import Manifest


class Registry:
    """The versions of a store: a URL or a path; ONNXLET_STORE, else a directory in your own data folder, if None.

        registry = onnxlet.Registry("s3://models")
        registry.compare("diagnosis:6", "diagnosis:7")

    Every method raises StoreUnavailableError if the store does not answer.
    """

    def __init__(self, store: str | Path | None = None) -> None:
        self._workspace = open_workspace(store)
        self._registry = self._workspace.open_registry()

    def __repr__(self) -> str:
        return f"<onnxlet registry in {self._workspace.url}>"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self._workspace.url)}</p>{self.list()._repr_html_()}"

    def list(self, model: str | None = None) -> Listing[ModelSummary] | Listing[VersionSummary]:
        """All models, or all versions of one. Raises ModelNotFoundError."""
        if model is None:
            return Listing(summarize_models(self._registry), describe_models)
        with self._workspace.naming_others():
            return Listing(self._registry.versions(model), describe_versions)

    def show(self, ref: str | Ref) -> Version:
        """The version that `diagnosis`, `diagnosis:7` or `diagnosis@candidate` means now.

        Raises ModelNotFoundError, VersionNotFoundError, AliasNotFoundError.
        """
        with self._workspace.naming_others():
            return Version(*self._registry.resolve(ref if isinstance(ref, Ref) else parse_ref(ref)))

    def compare(self, *refs: str | Ref) -> VersionComparison:
        """Versions side by side, by their metrics on held-out rows; of one bare name all published versions.

        Raises as `show`.
        """
        if len(refs) == 1 and (only := refs[0] if isinstance(refs[0], Ref) else parse_ref(refs[0])) == Ref(only.model):
            with self._workspace.naming_others():
                versions = self._registry.versions(only.model)
            published = (each for each in versions if each.state == "published")
            refs = tuple(Ref(only.model, version=each.number) for each in published)
        return VersionComparison([self.show(ref).manifest for ref in refs])

    def fsck(self, *, older_than: timedelta = OLDER_THAN, quick: bool = False) -> StoreCheck:
        """Hold the whole store to its promises, while it may be in use; nothing is changed.

        Publishes and scorings that were touched within `older_than` may be under way, and are left alone. `quick`
        compares sizes and reads no artifact.

            assert registry.fsck().clean
        """
        from onnxlet.lifecycle.fsck import check_store

        with byte_bar("checking") as advance:
            return check_store(self._registry.store, older_than=older_than, quick=quick, on_progress=advance)

    def history(self, model: str, alias: str = PRODUCTION) -> Listing[HistoryEntry]:
        """Every move of an alias, oldest first. Raises ModelNotFoundError, AliasNotFoundError."""
        with self._workspace.naming_others():
            return Listing(self._registry.history(model, alias), describe_history)


class VersionComparison(Mapping[str, Mapping[str, float]]):
    """The metrics of versions: `comparison["diagnosis:7"]["accuracy"]`. Shown with a column for each version."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self._manifests = {f"{each.model}:{each.version}": each for each in manifests}
        self._metrics = {name: served_metrics(manifest) for name, manifest in self._manifests.items()}

    def __getitem__(self, name: str) -> Mapping[str, float]:
        return self._metrics[name]

    def __iter__(self) -> Any:
        return iter(self._metrics)

    def __len__(self) -> int:
        return len(self._metrics)

    @property
    def note(self) -> str:
        """What to mind when comparing; empty if the versions were judged on the same rows."""
        judged = {each.contract.data_digest if each.contract else None for each in self._manifests.values()}
        if len(judged) == 1 and None not in judged:
            return ""
        return "not all were judged on the same rows: a difference may be that of the rows"

    def __repr__(self) -> str:
        return "\n".join(filter(None, (self._table().text(), self.note)))

    def _repr_html_(self) -> str:
        return self._table().html() + (f"<p>{escape(self.note)}</p>" if self.note else "")

    def to_frame(self) -> pd.DataFrame:
        """A pandas DataFrame of numbers, with a row for each version. Raises MissingExtraError without pandas."""
        names = self._metric_names()
        rows = [(version, *(metrics.get(name) for name in names)) for version, metrics in self._metrics.items()]
        return make_frame(Table(("version", *names), rows)).set_index("version")

    def _metric_names(self) -> Sequence[str]:
        return tuple(dict.fromkeys(name for metrics in self._metrics.values() for name in metrics))

    def _table(self) -> Table:
        manifests = self._manifests.values()
        figures = [
            (name, *(f"{metrics[name]:.4g}" if name in metrics else "" for metrics in self._metrics.values()))
            for name in self._metric_names()
        ]
        others = [
            ("contract", *(format_verdict(each.contract) if each.contract else "none" for each in manifests)),
            ("framework", *(each.provenance.framework for each in manifests)),
            ("optimization", *(each.optimization.method if each.optimization else "" for each in manifests)),
            ("size", *(format_size(each.size) for each in manifests)),
            ("created", *(each.created[:19] + "Z" for each in manifests)),
        ]
        return Table(("", *self._manifests), [*figures, *others])


def served_metrics(manifest: Manifest) -> dict[str, float]:
    """The metrics of the graph that is served: those that its contract was judged by, else those last measured."""
    if manifest.contract is not None and manifest.contract.stages[-1].metrics:
        return {name: estimate.value for name, estimate in manifest.contract.stages[-1].metrics.items()}
    measured = manifest.evaluations[-1].metrics if manifest.evaluations else {}
    return {name: value for name, value in measured.items() if not _is_distance(name)}


def _is_distance(name: str) -> bool:
    """Whether it says how far answers moved, which is not how good they are."""
    return "distance" in name or name == "label_agreement"
