"""Labels: what turned out to be true of rows that were answered, brought from files or from memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxlet.errors import InvalidInputError
from onnxlet.lifecycle.results import Listing
from onnxlet.monitor.capture.labels import (
    GivenLabel,
    Labelled,
    OnProgress,
    bring_labels,
    check_joinable,
    give_labels,
    joinable_models,
    read_label_file,
)
from onnxlet.values.refs import check_model_name
from onnxlet.values.tables import Table
from onnxlet.values.timestamps import utc_now

if TYPE_CHECKING:
    from onnxlet.lifecycle.workspace import Workspace


def label_rows(
    workspace: Workspace, labels: Any, model: str | None = None, on_progress: OnProgress | None = None
) -> Listing[Labelled]:
    """Bring labels to a model, or to all models that captured the requests they name.

    Raises InvalidInputError for labels that are none, and where policies keep too little to join them.
    """
    given = _read(labels)
    store = workspace.open_store()
    if model is not None:
        with workspace.naming_others():
            versions = workspace.open_registry().versions(check_model_name(model))
        check_joinable(store, model, max(each.number for each in versions))
        models = [model]
    else:
        models = joinable_models(store)
        if not models:
            raise InvalidInputError(
                "no model of this store captured rows that labels can be joined with: a capture policy must "
                'keep "request_id", "version" and an output'
            )
    return Listing(bring_labels(store, models, given, utc_now(), on_progress), describe_labelled)


def describe_labelled(labelled: Sequence[Labelled]) -> Table:
    """What became of the labels, a row for each model."""
    head = ("model", "new", "changed", "known", "conflicting", "unknown", "ambiguous", "foreign")
    return Table(
        head,
        [
            (
                each.model or "of no model",
                each.new,
                each.changed,
                each.known,
                each.conflicting or None,
                each.unknown or None,
                each.ambiguous or None,
                each.foreign or None,
            )
            for each in labelled
        ],
    )


def _read(labels: Any) -> list[GivenLabel]:
    if isinstance(labels, str | PathLike):
        return read_label_file(Path(labels))
    if hasattr(labels, "to_dict") and hasattr(labels, "columns"):  # a DataFrame
        return give_labels(labels.to_dict("records"))
    if isinstance(labels, Iterable) and not isinstance(labels, Mapping):
        return give_labels(labels)
    raise InvalidInputError("labels are a path, a DataFrame, or documents with request_id and label")
