"""Versions side by side, and in the order of a metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from onnxlet.errors import InvalidInputError
from onnxlet.lifecycle.results import make_frame
from onnxlet.lifecycle.summaries import format_verdict
from onnxlet.values.metrics import badness, served_metrics
from onnxlet.values.refs import Ref
from onnxlet.values.tables import Table, format_size

if TYPE_CHECKING:
    import pandas as pd

    from onnxlet.registry.reading.listing import VersionSummary
    from onnxlet.registry.registry import Registry
    from onnxlet.values.manifest import Manifest


def compare_versions(registry: Registry, refs: Sequence[Ref]) -> VersionComparison:
    """The versions that the refs mean; of one bare name all published versions.

    Raises ModelNotFoundError, VersionNotFoundError, AliasNotFoundError.
    """
    if len(refs) == 1 and refs[0] == Ref(refs[0].model):
        published = (each for each in registry.versions(refs[0].model) if each.state == "published")
        refs = [Ref(refs[0].model, version=each.number) for each in published]
    return VersionComparison([registry.resolve(ref)[0] for ref in refs])


def sort_versions(versions: Sequence[VersionSummary], by: str) -> list[VersionSummary]:
    """The versions, those best by a metric first. Raises InvalidInputError for a metric that none of them has."""
    known = dict.fromkeys(name for version in versions for name in version.metrics)
    if by not in known:
        has = f"only {', '.join(map(repr, known))}" if known else "nor any other: verify them with rows and --target"
        raise InvalidInputError(f"no version has the metric {by!r}, {has}", metric=by)
    return sorted(versions, key=lambda version: badness(version.metrics, by))


class VersionComparison(Mapping[str, Mapping[str, float]]):
    """The metrics of versions: `comparison["diagnosis:7"]["accuracy"]`. Shown with a column for each version."""

    def __init__(self, manifests: Sequence[Manifest]) -> None:
        self._manifests = {f"{each.model}:{each.version}": each for each in manifests}
        self._metrics = {name: served_metrics(manifest) for name, manifest in self._manifests.items()}

    def __getitem__(self, name: str) -> Mapping[str, float]:
        return self._metrics[name]

    def __iter__(self) -> Iterator[str]:
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

    @property
    def document(self) -> dict[str, object]:
        """The comparison as JSON has it."""
        versions = {
            name: {
                "metrics": self._metrics[name],
                "contract": {"holds": each.contract.holds, "rows": each.contract.rows} if each.contract else None,
                "golden_cases": each.golden.cases if each.golden else 0,
                "framework": each.provenance.framework,
                "optimization": each.optimization.method if each.optimization else None,
                "size": each.size,
                "created": each.created,
            }
            for name, each in self._manifests.items()
        }
        return {"versions": versions, "note": self.note or None}

    def __repr__(self) -> str:
        return "\n".join(filter(None, (self.table.text(), self.note)))

    def _repr_html_(self) -> str:
        return self.table.html() + (f"<p>{escape(self.note)}</p>" if self.note else "")

    def to_frame(self) -> pd.DataFrame:
        """A pandas DataFrame of numbers, with a row for each version. Raises MissingExtraError without pandas."""
        names = self._metric_names()
        rows = [(version, *(metrics.get(name) for name in names)) for version, metrics in self._metrics.items()]
        return make_frame(Table(("version", *names), rows)).set_index("version")

    @property
    def table(self) -> Table:
        """A column for each version; a row for each metric, and for what else tells versions apart."""
        manifests = self._manifests.values()
        figures = [
            (name, *(f"{metrics[name]:.4g}" if name in metrics else "" for metrics in self._metrics.values()))
            for name in self._metric_names()
        ]
        others = [
            ("contract", *(format_verdict(each.contract) if each.contract else "none" for each in manifests)),
            ("golden cases", *(str(each.golden.cases) if each.golden else "none" for each in manifests)),
            ("framework", *(each.provenance.framework for each in manifests)),
            ("optimization", *(each.optimization.method if each.optimization else "" for each in manifests)),
            ("size", *(format_size(each.size) for each in manifests)),
            ("created", *(each.created[:19] + "Z" for each in manifests)),
        ]
        return Table(("", *self._manifests), [*figures, *others])

    def _metric_names(self) -> Sequence[str]:
        return tuple(dict.fromkeys(name for metrics in self._metrics.values() for name in metrics))
