"""Convert trained models to ONNX.

FRAMEWORKS      which module reads which source: by the first bytes of a file rather than by its name
conversion      one conversion: reads the model, proves the graph, writes a converted directory
export_search   the ways to write the graph, tried until one answers as the model does
golden_cases    rows whose answers travel with the version; synthetic_rows makes them without anybody's data
trained_model   what every framework's module gives: a model that predicts, and exports itself
options         what the caller says of a model beyond its file
tabular         what models of a table of features share; networks, what models of tensors share
scikit_learn, boosting, libsvm, torch, huggingface, tensorflow, onnx_file   the frameworks
graph_edits     renaming and dropping values of an ONNX graph
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert.options import SourceOptions
from onnxlet.toolchain.workbench.progress import Progress, silent
from onnxlet.values.manifest import Draft, Tolerance
from onnxlet.values.signature import TensorSpec

if TYPE_CHECKING:
    from onnxlet.toolchain.convert.trained_model import TrainedModel

MAGIC_BYTES = 128
"""How many bytes of a file are read to tell what it is."""


class Framework(NamedTuple):
    """A module of this package with `open_model(path, *, trust, progress) -> TrainedModel`, and what it reads."""

    module: str
    suffixes: tuple[str, ...] = ()
    magic: bytes | None = None
    """A pattern that such files begin with, and no others."""
    contains: tuple[str, ...] = ()
    """Files by one of which a directory is known."""
    source_pattern: str | None = None
    """A pattern of sources that are no files, such as `package.module:factory`."""
    options: tuple[str, ...] = ()
    """Fields of SourceOptions that it can use; its open_model then takes `options` as well."""


FRAMEWORKS: tuple[Framework, ...] = (
    Framework("scikit_learn.model", (".joblib", ".pkl", ".pickle", ".skops")),
    # JSON, and UBJSON with the length of the first key as an int64
    Framework("boosting.xgboost", (".ubj", ".json"), rb'\{(L.{8}|\s*")(learner|version)\b'),
    Framework("boosting.lightgbm", (".txt",), rb"tree\r?\nversion="),
    Framework("boosting.catboost", (".cbm",), rb'CBM1|\{\s*"features_info"'),
    Framework("libsvm.model", (".model",), rb"svm_type\s"),
    Framework(
        "torch.model",
        (".pt2", ".pt", ".pth"),
        source_pattern=r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*",
        options=("labels", "weights", "inputs", "outputs"),
    ),
    Framework("huggingface.model", contains=("config.json", "modules.json"), options=("labels",)),
    Framework("tensorflow.keras_file", (".keras",), options=("labels", "outputs")),
    Framework("tensorflow.saved_model", contains=("saved_model.pb",), options=("labels", "outputs", "signature")),
    Framework("onnx_file", (".onnx",), options=("labels",)),
)


def convert(
    source: Path,
    output: Path,
    *,
    data: Path | None = None,
    target: str | Sequence[str] | None = None,
    labels: Sequence[str] | Sequence[Sequence[str]] | None = None,
    weights: Path | None = None,
    inputs: Sequence[TensorSpec] = (),
    outputs: Sequence[str] = (),
    signature: str | None = None,
    trust: bool = False,
    golden_from: Literal["synthetic", "data"] = "synthetic",
    training_commit: str | None = None,
    tolerance: Tolerance | None = None,
    on_progress: Progress | None = None,
) -> Draft:
    """Convert the model in `source` into a directory at `output`, and prove that its answers stayed what they were.

    `data` is a CSV file with a header: its columns name the inputs, its rows are compared and, given the `target`
    column, measured; or a .npz file with an array for each input, and one for the target. `labels` name the classes, in
    the order of the model's own. Of a model with several targets, `target` names the column of each, in the model's
    order, and `labels` are a list of names for each. `weights`, `inputs` and `outputs` are for frameworks whose files
    leave them open, `signature` for those with several. Some files run code when they are read, hence `trust`.

    Raises ConversionError where the model cannot be converted or changed by more than `tolerance`, TrustRequiredError,
    MissingExtraError, InvalidInputError for data that does not fit the model, UnavailableError for a full disk.
    """
    from onnxlet.toolchain.convert.conversion import Conversion
    from onnxlet.toolchain.workbench.table import targets_of

    progress = on_progress or silent
    if golden_from == "data" and data is None:
        raise InvalidInputError("golden cases from the data need --data")
    if target and data is None:
        raise InvalidInputError("a target column needs --data")
    progress(f"reading {source.name}")
    label_names = _labels_by_target(labels)
    options = SourceOptions(
        label_names[0] if len(label_names) == 1 else (), weights, tuple(inputs), tuple(outputs), signature
    )
    conversion = Conversion(
        model=_open_model(source, options, trust=trust, progress=progress),
        source=source,
        origin=weights or source,
        labels=label_names,
        targets=targets_of(target),
        tolerance=tolerance or Tolerance(),
        training_commit=training_commit,
        progress=progress,
    )
    return conversion.write(output, data=data, golden_from=golden_from)


def _open_model(source: Path, options: SourceOptions, *, trust: bool, progress: Progress) -> TrainedModel:
    framework = _framework_of(source)
    unsupported = sorted(options.given_fields() - {*framework.options, "labels"})
    if unsupported:
        raise InvalidInputError(f"{', '.join(unsupported)} cannot be chosen for {source.name!r}: leave the option out")
    arguments = {"options": options} if framework.options else {}
    module = import_module(f"onnxlet.toolchain.convert.{framework.module}")
    model: TrainedModel = module.open_model(source, trust=trust, progress=progress, **arguments)
    return model


def _labels_by_target(labels: Sequence[str] | Sequence[Sequence[str]] | None) -> tuple[tuple[str, ...], ...]:
    """Names of classes, target by target."""
    texts = tuple(label for label in labels or () if isinstance(label, str))
    return (texts,) if texts else tuple(tuple(names) for names in labels or ())


def _framework_of(source: Path) -> Framework:
    """What reads this source. Raises InvalidInputError where there is none, ConversionError for a strange one."""
    if not source.exists():
        for framework in FRAMEWORKS:
            if framework.source_pattern is not None and re.fullmatch(framework.source_pattern, str(source)):
                return framework
        raise InvalidInputError(f"there is no file {str(source)!r}", path=str(source))
    if source.is_dir():
        for framework in FRAMEWORKS:
            if any((source / name).is_file() for name in framework.contains):
                return framework
    return _framework_by_magic(source) or _framework_by_suffix(source)


def _framework_by_magic(source: Path) -> Framework | None:
    if not source.is_file():
        return None
    with source.open("rb") as file:
        magic = file.read(MAGIC_BYTES)
    matching = (f for f in FRAMEWORKS if f.magic is not None and re.match(f.magic, magic, re.DOTALL))
    return next(matching, None)


def _framework_by_suffix(source: Path) -> Framework:
    for framework in FRAMEWORKS:
        if source.suffix in framework.suffixes:
            return framework
    suffixes = ", ".join(suffix for framework in FRAMEWORKS for suffix in framework.suffixes)
    held = ", ".join(name for framework in FRAMEWORKS for name in framework.contains)
    raise ConversionError(
        f"{source.name!r} is of no kind that can be converted: files end in {suffixes}, directories hold {held}"
    )
