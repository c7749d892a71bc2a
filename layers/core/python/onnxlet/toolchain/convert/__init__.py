"""Convert trained models to ONNX: one file per framework, one use case over them.

`FRAMEWORKS` says which module of this package reads which file of yours, by what the file begins with rather than by
what it is called. What comes out is a converted directory, which `optimize` makes smaller and `publish` takes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert.options import Wishes
from onnxlet.toolchain.workbench.progress import Progress, silent
from onnxlet.values.manifest import Draft, Tolerance
from onnxlet.values.signature import TensorSpec

if TYPE_CHECKING:
    from onnxlet.toolchain.convert.trained_model import TrainedModel

OPENING = 128
"""So many bytes of a file tell what it is."""


class Framework(NamedTuple):
    """A module of this package, with `open_model(path, *, trust, say) -> TrainedModel`, and what it reads."""

    module: str
    suffixes: tuple[str, ...] = ()
    opening: bytes | None = None
    """A pattern that such files, and no others, begin with."""
    holds: tuple[str, ...] = ()
    """A directory with a file of one of these names is one."""
    named: str | None = None
    """A pattern of sources that are no files."""
    wishes: tuple[str, ...] = ()
    """Fields of Wishes that its open_model, then with `wishes` as a further argument, can heed."""


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
        named=r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*",
        wishes=("labels", "weights", "inputs", "outputs"),
    ),
    Framework("huggingface.model", holds=("config.json", "modules.json"), wishes=("labels",)),
    Framework("tensorflow.keras_file", (".keras",), wishes=("labels", "outputs")),
    Framework("tensorflow.saved_model", holds=("saved_model.pb",), wishes=("labels", "outputs", "signature")),
    Framework("onnx_file", (".onnx",), wishes=("labels",)),
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

    say = on_progress or silent
    if golden_from == "data" and data is None:
        raise InvalidInputError("golden cases from the data need --data")
    if target and data is None:
        raise InvalidInputError("a target column needs --data")
    say(f"reading {source.name}")
    named = _labels_of(labels)
    wishes = Wishes(named[0] if len(named) == 1 else (), weights, tuple(inputs), tuple(outputs), signature)
    conversion = Conversion(
        model=_open(source, wishes, trust=trust, say=say),
        source=source,
        origin=weights or source,
        labels=named,
        targets=targets_of(target),
        tolerance=tolerance or Tolerance(),
        training_commit=training_commit,
        say=say,
    )
    return conversion.write(output, data=data, golden_from=golden_from)


def _open(source: Path, wishes: Wishes, *, trust: bool, say: Progress) -> TrainedModel:
    framework = _framework_of(source)
    deaf = sorted(wishes.made() - {*framework.wishes, "labels"})
    if deaf:
        raise InvalidInputError(f"{', '.join(deaf)} cannot be chosen for {source.name!r}: leave the option out")
    heard = {"wishes": wishes} if framework.wishes else {}
    module = import_module(f"onnxlet.toolchain.convert.{framework.module}")
    model: TrainedModel = module.open_model(source, trust=trust, say=say, **heard)
    return model


def _labels_of(labels: Sequence[str] | Sequence[Sequence[str]] | None) -> tuple[tuple[str, ...], ...]:
    """Names of classes, target by target."""
    texts = tuple(label for label in labels or () if isinstance(label, str))
    return (texts,) if texts else tuple(tuple(names) for names in labels or ())


def _framework_of(source: Path) -> Framework:
    """What reads this source. Raises InvalidInputError where there is none, ConversionError for a strange one."""
    if not source.exists():
        for framework in FRAMEWORKS:
            if framework.named is not None and re.fullmatch(framework.named, str(source)):
                return framework
        raise InvalidInputError(f"there is no file {str(source)!r}", path=str(source))
    if source.is_dir():
        for framework in FRAMEWORKS:
            if any((source / name).is_file() for name in framework.holds):
                return framework
    return _by_opening(source) or _by_suffix(source)


def _by_opening(source: Path) -> Framework | None:
    if not source.is_file():
        return None
    with source.open("rb") as file:
        opening = file.read(OPENING)
    found = (f for f in FRAMEWORKS if f.opening is not None and re.match(f.opening, opening, re.DOTALL))
    return next(found, None)


def _by_suffix(source: Path) -> Framework:
    for framework in FRAMEWORKS:
        if source.suffix in framework.suffixes:
            return framework
    suffixes = ", ".join(suffix for framework in FRAMEWORKS for suffix in framework.suffixes)
    held = ", ".join(name for framework in FRAMEWORKS for name in framework.holds)
    raise ConversionError(
        f"{source.name!r} is of no kind that can be converted: files end in {suffixes}, directories hold {held}"
    )
