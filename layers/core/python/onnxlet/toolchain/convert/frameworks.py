"""Frameworks: which module of this package reads a source.

A file is told by what it begins with rather than by its name, an object by the names of its class and of those that it
derives from; no framework is imported for that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert.options import SourceOptions
from onnxlet.toolchain.convert.trained_model import TrainedModel
from onnxlet.toolchain.workbench.progress import Progress

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
    classes: tuple[str, ...] = ()
    """Classes of the objects that its `open_object(model, *, progress)` takes, by full name."""
    restores: bool = False
    """Whether its files hold objects whole: its `load_object(path, *, trust, progress)` reads them."""
    options: tuple[str, ...] = ()
    """Fields of SourceOptions that it can use; both functions then take `options` as well."""
    nests: bool = False
    """Whether estimators of scikit-learn may hold its own."""
    holds: bool = False
    """Whether its objects may hold those that nest; `open_object` then takes `opener_of`, which reads them."""


FRAMEWORKS: tuple[Framework, ...] = (
    Framework(
        "mlflow.model",
        contains=("MLmodel",),
        source_pattern=r"(models|runs|mlflow-artifacts):/.+",
        options=("labels", "weights", "inputs", "outputs", "signature", "missing_value", "task", "text"),
    ),
    Framework("scikit_learn.estimator_files", (".joblib", ".pkl", ".pickle", ".skops"), restores=True),
    Framework("scikit_learn.model", classes=("sklearn.base.BaseEstimator",), holds=True),
    # JSON, and UBJSON with the length of the first key as an int64
    Framework(
        "boosting.xgboost",
        (".ubj", ".json"),
        rb'\{(L.{8}|\s*")(learner|version)\b',
        classes=("xgboost.sklearn.XGBModel", "xgboost.core.Booster"),
        nests=True,
        options=("missing_value",),
    ),
    Framework(
        "boosting.lightgbm",
        (".txt",),
        rb"tree\r?\nversion=",
        classes=("lightgbm.sklearn.LGBMModel", "lightgbm.basic.Booster"),
        nests=True,
        options=("labels",),
    ),
    Framework(
        "boosting.catboost", (".cbm",), rb'CBM1|\{\s*"features_info"', classes=("catboost.core.CatBoost",), nests=True
    ),
    Framework("libsvm.model", (".model",), rb"svm_type\s"),
    Framework(
        "torch.model",
        (".pt2", ".pt", ".pth"),
        source_pattern=r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*",
        classes=("torch.nn.modules.module.Module",),
        options=("labels", "weights", "inputs", "outputs", "task", "image"),
    ),
    Framework(
        "huggingface.model",
        contains=("config.json", "modules.json"),
        classes=(
            "transformers.modeling_utils.PreTrainedModel",
            "sentence_transformers.sentence_transformer.model.SentenceTransformer",
            "sentence_transformers.SentenceTransformer.SentenceTransformer",
            "transformers.pipelines.base.Pipeline",
        ),
        options=("labels", "task", "text", "processor"),
    ),
    Framework(
        "tensorflow.keras_file",
        (".keras",),
        classes=("keras.src.models.model.Model",),
        options=("labels", "outputs", "task", "image"),
    ),
    Framework(
        "tensorflow.saved_model",
        contains=("saved_model.pb",),
        options=("labels", "outputs", "signature", "task", "image"),
    ),
    Framework("onnx_file", (".onnx",), options=("labels", "task", "image")),
)


def open_model(source: Path, options: SourceOptions, *, trust: bool, progress: Progress) -> TrainedModel:
    """Open the model in `source` by the framework that it is of; `trust` lets its own code run.

    Raises InvalidInputError for a source that is not there and for options that its framework cannot use, and what the
    framework's module raises: ConversionError, TrustRequiredError, MissingExtraError.
    """
    framework = _framework_of(source)
    arguments = _arguments(framework, options, repr(source.name))
    if framework.restores:
        restored = _module(framework).load_object(source, trust=trust, progress=progress)
        return open_object(restored, options, progress=progress)
    model: TrainedModel = _module(framework).open_model(source, trust=trust, progress=progress, **arguments)
    return model


def open_object(model: Any, options: SourceOptions, *, progress: Progress) -> TrainedModel:
    """Take a model that the caller holds, by the framework that its class is of.

    Raises ConversionError for an object of no framework that is known, InvalidInputError for options that it cannot
    use, and what the framework's module raises.
    """
    framework = _framework_of_object(model)
    arguments = _arguments(framework, options, f"a {type(model).__name__}")
    if framework.holds:
        arguments["opener_of"] = partial(_opener_of, progress=progress)
    opened: TrainedModel = _module(framework).open_object(model, progress=progress, **arguments)
    return opened


def _opener_of(part: Any, *, progress: Progress) -> Callable[[], Any] | None:
    """What reads an object that scikit-learn's hold, if it is of another framework."""
    framework = _known_framework(part)
    if framework is None or not framework.nests:
        return None
    return partial(_module(framework).open_object, part, progress=progress)


def _module(framework: Framework) -> Any:
    return import_module(f"onnxlet.toolchain.convert.{framework.module}")


def _arguments(framework: Framework, options: SourceOptions, name: str) -> dict[str, Any]:
    """The options, for a framework that can use some. Raises InvalidInputError for those that it cannot use."""
    unsupported = sorted(options.given_fields() - {*framework.options, "labels", "outputs_are"})
    if unsupported:
        raise InvalidInputError(f"{', '.join(unsupported)} cannot be chosen for {name}: leave the option out")
    return {"options": options} if framework.options else {}


def _framework_of_object(model: Any) -> Framework:
    """What takes this object: the framework of the class nearest to its own."""
    framework = _known_framework(model)
    if framework is not None:
        return framework
    known = [name for framework in FRAMEWORKS for name in framework.classes]
    raise ConversionError(
        f"a {type(model).__module__}.{type(model).__qualname__} is no model that can be converted: give a fitted "
        f"estimator or network (known are those of {', '.join(dict.fromkeys(name.split('.')[0] for name in known))}), "
        "or a path"
    )


def _known_framework(model: Any) -> Framework | None:
    known = {name: framework for framework in FRAMEWORKS for name in framework.classes}
    names = (f"{each.__module__}.{each.__qualname__}" for each in type(model).__mro__)
    return next((known[name] for name in names if name in known), None)


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
