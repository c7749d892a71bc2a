"""The registry of one store, to look at: models, versions and their figures side by side, moves."""

from __future__ import annotations

from datetime import timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from onnxlet.lifecycle.comparison import VersionComparison, compare_versions, sort_versions
from onnxlet.lifecycle.progress import byte_bar
from onnxlet.lifecycle.results import Listing, Version
from onnxlet.lifecycle.summaries import (
    ModelSummary,
    describe_history,
    describe_models,
    describe_versions,
    summarize_models,
)
from onnxlet.lifecycle.workspace import open_workspace
from onnxlet.registry.fsck.versions import OLDER_THAN
from onnxlet.registry.reading.listing import VersionSummary
from onnxlet.values.aliases import HistoryEntry
from onnxlet.values.keys import PRODUCTION
from onnxlet.values.refs import Ref, parse_ref

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onnxlet.lifecycle.fsck import StoreCheck
    from onnxlet.lifecycle.tensorboard import WrittenLogs
    from onnxlet.monitor.alarms.book import AlarmBook, Entry
    from onnxlet.monitor.capture.erasing import Erasure
    from onnxlet.monitor.capture.labels import Labelled
    from onnxlet.monitor.report.document import Report


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

    @overload
    def list(self, model: None = None) -> Listing[ModelSummary]: ...
    @overload
    def list(self, model: str, *, sort: str | None = None) -> Listing[VersionSummary]: ...
    def list(
        self, model: str | None = None, *, sort: str | None = None
    ) -> Listing[ModelSummary] | Listing[VersionSummary]:
        """All models, or all versions of one with their metrics, with `sort` those best by this metric first.

        Raises ModelNotFoundError, InvalidInputError for a metric that no version has.
        """
        if model is None:
            return Listing(summarize_models(self._registry), describe_models)
        with self._workspace.naming_others():
            versions = self._registry.versions(model)
        return Listing(versions if sort is None else sort_versions(versions, sort), describe_versions)

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
        with self._workspace.naming_others():
            return compare_versions(self._registry, [ref if isinstance(ref, Ref) else parse_ref(ref) for ref in refs])

    def fsck(self, *, older_than: timedelta = OLDER_THAN, quick: bool = False) -> StoreCheck:
        """Hold the whole store to its promises, while it may be in use; nothing is changed.

        Publishes and scorings that were touched within `older_than` may be under way, and are left alone. `quick`
        compares sizes and reads no artifact.

            assert registry.fsck().clean
        """
        from onnxlet.lifecycle.fsck import check_store

        with byte_bar("checking") as advance:
            return check_store(self._registry.store, older_than=older_than, quick=quick, on_progress=advance)

    def watch(self, ref: str | Ref, *, since: str = "") -> Report:
        """How live rows differ from those that versions were made for, day by day from `since` (`2026-11-01`) on.

        Of a bare name all versions that were counted; `findings` are what matters. Raises as `show`.
        """
        from onnxlet.lifecycle.watching import watch_model

        return watch_model(self._workspace, ref if isinstance(ref, Ref) else parse_ref(ref), since=since)

    def label(self, labels: Any, *, model: str | None = None) -> Listing[Labelled]:
        """Join what turned out to be true with captured rows: a file, a DataFrame or documents with `request_id`,
        `label` and, for requests of several rows, `row`. `watch` then tells accuracy.

            registry.label([{"request_id": "visit-42", "label": "benign"}], model="diagnosis")

        Repeating it changes nothing; of two labels of a row the later counts. Raises ModelNotFoundError, and
        InvalidInputError where the capture policy keeps too little.
        """
        from onnxlet.lifecycle.labelling import label_rows

        return label_rows(self._workspace, labels, model)

    def erase(self, request_ids: Iterable[str], *, dry_run: bool = False) -> Erasure:
        """Remove captured rows and labels of these requests, in every version that a bucket keeps, and record that.

        A dry run only counts. What it returns is `complete` unless something refused to go. Raises InvalidInputError
        where ids are kept as hashes and ONNXLET_CAPTURE_KEY does not say where the key lies.
        """
        from onnxlet.lifecycle.erasing import erase_requests

        return erase_requests(self._workspace, request_ids, dry_run=dry_run)

    def tensorboard(self, *models: str, logdir: str | Path | None = None) -> WrittenLogs:
        """Write what is new of some models, or of all, as event files, to the `logdir` that TensorBoard then opens.

        Without a directory or `s3://bucket/prefix` they go to one of your own data folder. Raises ModelNotFoundError.
        """
        from onnxlet.lifecycle.tensorboard import default_logdir, write_logs

        return write_logs(self._workspace, models, str(logdir or default_logdir(self._workspace)))

    def acknowledge(self, model: str, column: str | None = None, *, why: str) -> AlarmBook:
        """Say that somebody knows of the open alarms about a column, of all if None.

        Raises ModelNotFoundError, InvalidInputError without a reason, or where no alarm waits for that.
        """
        from onnxlet.lifecycle.muting import acknowledge_alarms

        return acknowledge_alarms(self._workspace, model, column, why=why)

    def mute(self, model: str, column: str = "", *, why: str, until: str = "") -> AlarmBook:
        """Tell nobody of alarms about a column, or any of the model, until a day (`2026-12-31`) is over, or for ever.

        Raises ModelNotFoundError, InvalidInputError without a reason, for a past day, and for an unknown column.
        """
        from onnxlet.lifecycle.muting import mute_alarms

        return mute_alarms(self._workspace, model, column, why=why, until=until)

    def unmute(self, model: str, column: str = "", *, why: str = "") -> AlarmBook:
        """End a mute. Raises ModelNotFoundError, InvalidInputError where there is none."""
        from onnxlet.lifecycle.muting import unmute_alarms

        return unmute_alarms(self._workspace, model, column, why=why)

    def alarm_log(self, model: str) -> Listing[Entry]:
        """Everything that happened to a model's alarms, oldest first: what opened and closed, who said what and why.

        Raises ModelNotFoundError, IntegrityError where an entry is gone, or is not as it was written.
        """
        from onnxlet.lifecycle.muting import list_turns

        return list_turns(self._workspace, model)

    def history(self, model: str, alias: str = PRODUCTION) -> Listing[HistoryEntry]:
        """Every move of an alias, oldest first. Raises ModelNotFoundError, AliasNotFoundError."""
        with self._workspace.naming_others():
            return Listing(self._registry.history(model, alias), describe_history)
