"""Convert trained models to ONNX: one file per framework, one use case over them.

`FRAMEWORKS` says which file of this package reads which file of yours. What comes out is a converted directory, which
`optimize` makes smaller and `publish` takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.manifest import Draft, Tolerance

if TYPE_CHECKING:
    from onnxlet.convert.source import TrainedModel

Progress = Callable[[str], None]
"""Told in a sentence what begins."""

FRAMEWORKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    # module of this package, with open_model(path, *, trust, say) -> TrainedModel; what its files end in
    ("scikit_learn", (".joblib", ".pkl", ".pickle", ".skops")),
)


def convert(
    source: Path,
    output: Path,
    *,
    data: Path | None = None,
    target: str | None = None,
    labels: Sequence[str] | None = None,
    trust: bool = False,
    golden_from: Literal["synthetic", "data"] = "synthetic",
    training_commit: str | None = None,
    tolerance: Tolerance | None = None,
    on_progress: Progress | None = None,
) -> Draft:
    """Convert the model in `source` into a directory at `output`, and prove that its answers stayed what they were.

    `data` is a CSV file with a header: its columns name the inputs, its rows are compared and, given the `target`
    column, measured. `labels` name the classes, in the order of the model's own. Unpickling runs code, hence `trust`.

    Raises ConversionError where the model cannot be converted or changed by more than `tolerance`, TrustRequiredError,
    MissingExtraError, InvalidInputError for data that does not fit the model.
    """
    from onnxlet.convert.conversion import Conversion

    say = on_progress or _silent
    if golden_from == "data" and data is None:
        raise InvalidInputError("golden cases from the data need --data")
    if target is not None and data is None:
        raise InvalidInputError("a target column needs --data")
    say(f"reading {source.name}")
    conversion = Conversion(
        model=_open(source, trust=trust, say=say),
        source=source,
        labels=tuple(labels or ()),
        tolerance=tolerance or Tolerance(),
        training_commit=training_commit,
        say=say,
    )
    return conversion.write(output, data=data, target=target, golden_from=golden_from)


def _open(source: Path, *, trust: bool, say: Progress) -> TrainedModel:
    for name, suffixes in FRAMEWORKS:
        if source.suffix in suffixes:
            model: TrainedModel = import_module(f"onnxlet.convert.{name}").open_model(source, trust=trust, say=say)
            return model
    known = ", ".join(suffix for _, suffixes in FRAMEWORKS for suffix in suffixes)
    raise ConversionError(
        f"{source.name!r} is of no kind that can be converted: files end in {known}; an .onnx file needs no "
        "conversion, publish it"
    )


def _silent(_: str) -> None:
    """Nobody listens."""
