"""An MLflow model directory as a TrainedModel: the model in it, read as its framework's own file is."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.steps import Tabular
from onnxlet.toolchain.convert import frameworks
from onnxlet.toolchain.convert.mlflow.mlmodel import FLAVOURS, MLmodel, read_mlmodel
from onnxlet.toolchain.convert.options import SourceOptions
from onnxlet.toolchain.convert.probing import KnowsColumns
from onnxlet.toolchain.convert.trained_model import (
    Export,
    LeavesOut,
    ModelRows,
    TakesTensors,
    TellsOutputs,
    TrainedModel,
)
from onnxlet.toolchain.workbench.data import open_data
from onnxlet.toolchain.workbench.extras import require
from onnxlet.toolchain.workbench.probing_rows import Knowledge
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.table import Table, lacking_columns, quoted
from onnxlet.values.manifest import OutputMeaning
from onnxlet.values.tensors import Tensors


def open_model(path: Path, *, trust: bool, progress: Progress, options: SourceOptions) -> TrainedModel:
    """The model in a directory. Raises ConversionError for flavours that are not converted, MissingExtraError."""
    if not path.is_dir():
        raise InvalidInputError(
            f"{str(path)!r} lies on a tracking server: fetch it with mlflow artifacts download --artifact-uri URI "
            "--dst-path DIRECTORY, and give the directory"
        )
    description = read_mlmodel(path)
    file = description.model_file()
    if description.needs_cloudpickle():
        require("mlflow", "cloudpickle")
    components = description.component_folders()
    with _own_modules(description.code_folder() if trust else None), _with_components(file, components) as source:
        model = frameworks.open_model(source, options, trust=trust, progress=progress)
    return model if isinstance(model, TakesTensors) else SignedModel(model, description, progress)


@contextmanager
def _own_modules(folder: Path | None) -> Iterator[None]:
    """Let pickles import the modules that came with the model."""
    if folder is None:
        yield
        return
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextmanager
def _with_components(file: Path, components: Sequence[Path]) -> Iterator[Path]:
    """The file of a model; of a pipeline of transformers a folder with its model and all that it has beside it."""
    if file.name != FLAVOURS["transformers"].file:
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="onnxlet-") as folder:
        joined = Path(folder, file.parents[1].name)
        for part in (file.parent, *components):
            shutil.copytree(part, joined, dirs_exist_ok=True)
        yield joined


class SignedModel:
    """A model of columns, which are named by the signature where the model does not know their names."""

    def __init__(self, model: TrainedModel, description: MLmodel, progress: Progress) -> None:
        self._model, self._description, self._progress = model, description, progress
        self.framework, self.reference, self.classes = model.framework, model.reference, model.classes
        self.versions = {**model.versions, **({"mlflow": description.version} if description.version else {})}
        signed = description.column_names()
        self._nameless = model.names is None
        self._signed = signed if self._nameless or _spelled(signed) == _spelled(model.names) else None
        self.names = self._signed or model.names
        if signed is not None and self._signed is None:
            progress(
                f"the signature names {quoted(signed)}, the model itself {quoted(model.names or ())}: its own are taken"
            )

    def read_rows(self, table: Table | None, targets: Sequence[str], *, seed: int) -> ModelRows:
        """The rows of the table; without it random ones, or those of the input example where the model needs some.

        Raises InvalidInputError if the data lacks a column.
        """
        if table is not None:
            signed = self._with_booleans(self._signed_columns(table, targets))
            return self._model.read_rows(signed, targets, seed=seed)
        try:
            rows = self._model.read_rows(None, targets, seed=seed)
        except (InvalidInputError, ConversionError):
            return self._read_example(seed)
        if self._signed is None:
            return rows
        if len(self._signed) != len(rows.columns):
            raise InvalidInputError(
                f"the signature names {len(self._signed)} columns, the model has {len(rows.columns)} features: save it "
                "with the signature of what it was fitted on"
            )
        drawn = dict(zip(self._signed, rows.columns.values(), strict=True))
        booleans = {name: drawn[name] > 0 for name in self._description.boolean_columns() & drawn.keys()}
        named, _ = open_data(drawn | booleans, None)
        return replace(self._model.read_rows(_as_table(named), (), seed=seed), source="random")

    def export(self, rows: ModelRows, labels: Sequence[tuple[str, ...]]) -> Iterator[Export]:
        """The variants of the graph, best first; texts that the signature lets rows leave out are empty then."""
        for export in self._model.export(rows, labels):
            yield replace(export, tabular=self._with_optional(export.tabular))

    def predict(self, rows: ModelRows) -> Tensors:
        """The model's own answers."""
        return self._model.predict(rows)

    def known_columns(self, rows: ModelRows) -> Knowledge:
        """What the model knows of the columns, if it tells."""
        return self._model.known_columns(rows) if isinstance(self._model, KnowsColumns) else Knowledge()

    def leave_out(self) -> tuple[str, ...]:
        """Leave out what need not be served."""
        return self._model.leave_out() if isinstance(self._model, LeavesOut) else ()

    @property
    def outputs(self) -> OutputMeaning | None:
        """What its answers are, if it says so."""
        return self._model.outputs if isinstance(self._model, TellsOutputs) else None

    def _signed_columns(self, table: Table, targets: Sequence[str]) -> Table:
        """The columns of the signature, in its order, and the targets."""
        if self._signed is None or not self._nameless:
            return table
        missing = [name for name in self._signed if name not in table.columns]
        if missing:
            raise lacking_columns(table, missing, self._signed, whose="the signature")
        names = [*self._signed, *(name for name in targets if name in table.columns and name not in self._signed)]
        held = list(table.columns)
        positions = [held.index(name) for name in self._signed]
        own = table.own
        if own is not None:
            own = own.iloc[:, positions] if hasattr(own, "iloc") else own[:, positions]
        return replace(table, columns={name: table.columns[name] for name in names}, own=own)

    def _with_booleans(self, table: Table) -> Table:
        """The table, in which columns that are signed as truth values, and hold but 0 and 1, are such."""
        words = {"0": "False", "1": "True", "0.0": "False", "1.0": "True"}
        signed = {name: table.columns[name] for name in self._description.boolean_columns() & table.columns.keys()}
        told = {name: [words[cell] for cell in cells] for name, cells in signed.items() if words.keys() >= set(cells)}
        return replace(table, columns={**table.columns, **told}) if told else table

    def _with_optional(self, tabular: Tabular | None) -> Tabular | None:
        optional = self._description.optional_columns()
        if tabular is None or not optional:
            return tabular
        columns = []
        for column in tabular.columns:
            may_lack = column.name in optional and column.missing and column.datatype == "BYTES"
            columns.append(msgspec.structs.replace(column, default="") if may_lack else column)
            if column.name in optional and not may_lack:
                how = "send null for it" if column.missing else "the model needs it"
                self._progress(f"the signature lets rows leave {column.name!r} out: {how}")
        return msgspec.structs.replace(tabular, columns=tuple(columns))

    def _read_example(self, seed: int) -> ModelRows:
        example = self._description.input_example()
        if example is None:
            return self._model.read_rows(None, (), seed=seed)
        self._progress(f"without --data the {len(example)} rows of the input example are compared")
        table, _ = open_data(example, None, self.names or ())
        return self._model.read_rows(_as_table(table), (), seed=seed)


def _spelled(names: Sequence[str] | None) -> list[str] | None:
    """Names as LightGBM spells them, with underscores for white space."""
    return None if names is None else ["_".join(name.split(" ")) for name in names]


def _as_table(data: object) -> Table:
    if not isinstance(data, Table):
        raise InvalidInputError("the input example holds no table of columns")
    return data
