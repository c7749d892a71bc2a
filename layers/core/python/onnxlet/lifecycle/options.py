"""What callers say of a conversion, an optimization and a contract, in the types that are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from onnxlet.errors import InvalidInputError
from onnxlet.values.contract import Bounds, TaskKind
from onnxlet.values.manifest import OutputsAre, Tolerance

if TYPE_CHECKING:
    from onnxlet.values.signature import TensorSpec


class ConvertOptions(TypedDict, total=False):
    """Options of `convert`.

    expected         answers to `data` that were computed where the model was trained, which are the reference then: a
                     path, a DataFrame, or arrays by name
    labels           names or numbers of the classes, in the model's order; a list of them for each of several targets
    weights          the file with the weights of a PyTorch factory's module
    inputs           inputs as specs, or as texts: `image=FP32[-1,3,224,224]`, where -1 is any size
    outputs          names for a network's outputs, in its own order
    signature        the signature of a SavedModel
    outputs_are      what a network scores classes by, where its answers leave it open: "probabilities" or "logits" of
                     classes that exclude each other, "independent" probabilities or "independent-logits" of labels, or
                     "values"
    missing_value    the number that stands for a missing value to an XGBoost file, which does not say so; "none"
    task             how a network's other answers are judged: "regression", "embedding", "segmentation", "tensors"
    image            how pictures become a network's input: the image step, as a dict or the path of a JSON file
    columns          what a model's columns may be, by name: {"age": {"low": 0, "high": 120, "outside": "clip",
                     "unit": "years", "default": 50}, "sex": {"values": ["f", "m"], "missing": False}}, or the path of
                     a JSON file
    output_step      what is served of the answers: the output step, as a dict or the path of a JSON file; of several
                     targets a list of them
    top              how many of the likeliest classes are listed beside the label
    thresholds       by class, the probability from which it takes a row: {"malignant": 0.3}
    abstain          bands of scores that are left to a human: "0.4:0.6=borderline", or {"low": 0.4, "high": 0.6}
    text             what becomes of texts that are too long, `{"overflow": "refuse"}` say: fields of the tokenizer step
    processor        the tokenizer or image processor of a transformers model that is given in memory
    trust            run the code that a file carries
    golden_from      rows of the golden cases: made up, or real ones that then travel with the model
    background_from  rows that explanations compare with: made up, or real ones that then travel with the model
    training_commit  the commit of the code that trained the model, for the record
    tolerance        how far an answer may be from the model's own: a share of it, plus a tenth of that
    """

    expected: Any
    labels: Sequence[str | float] | Sequence[Sequence[str | float]]
    weights: str | PathLike[str]
    inputs: Sequence[TensorSpec | str]
    outputs: Sequence[str]
    signature: str | None
    outputs_are: OutputsAre | None
    missing_value: float | str | None
    task: TaskKind | None
    image: Mapping[str, Any] | str | PathLike[str] | None
    columns: Mapping[str, Mapping[str, Any]] | str | PathLike[str] | None
    output_step: Mapping[str, Any] | Sequence[Mapping[str, Any]] | str | PathLike[str] | None
    top: int | None
    thresholds: Mapping[str, float] | None
    abstain: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | None
    text: Mapping[str, Any] | str | PathLike[str] | None
    processor: Any
    trust: bool
    golden_from: Literal["synthetic", "data"]
    background_from: Literal["synthetic", "data"]
    training_commit: str | None
    tolerance: float | Tolerance | None


class OptimizeOptions(TypedDict, total=False):
    """Options of `optimize`.

    method     try this one alone: dynamic-int8, static-int8, weight-only, fp16-weights
    objective  choose the smallest that is not slower, the smallest ("size") or the fastest ("latency")
    cpu        the processor that integers are for
    search     measure node by node which to leave in float
    group      a column whose values, patients say, either choose or judge; or these values, one for each row
    seed       of the draw which rows choose and which judge
    """

    method: str | None
    objective: Literal["smallest-not-slower", "size", "latency"]
    cpu: Literal["x86-64", "arm64"]
    search: bool
    group: Any
    seed: int


class ShipOptions(ConvertOptions, OptimizeOptions, total=False):
    """Options of `convert` and of `optimize`."""


def as_path(given: Any) -> Any:
    """A path's text as a path; an object, a DataFrame say, as it is."""
    return Path(given) if isinstance(given, str | PathLike) else given


def as_policy(policy: Mapping[str, Any] | str | PathLike[str] | None) -> Mapping[str, Any] | None:
    """A capture policy as a document, or that of a JSON file. Raises InvalidInputError for a file with none."""
    if policy is None or isinstance(policy, Mapping):
        return policy
    import msgspec

    try:
        return msgspec.json.decode(Path(policy).read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{str(policy)!r} holds no capture policy in JSON: {error}") from error


def as_rows(judge: Any) -> Any:
    """Rows that only judge: a path's text as a path, or rows and their target."""
    return (as_path(judge[0]), judge[1]) if isinstance(judge, tuple) else as_path(judge)


def as_tolerance(share: float | Tolerance | None) -> Tolerance | None:
    """A share as a tolerance: that share of an answer, plus a tenth of it. Raises InvalidInputError for no share."""
    if share is None or isinstance(share, Tolerance):
        return share
    if not 0 < share <= 1:
        raise InvalidInputError(f"a tolerance is a share, more than 0 and at most 1, not {share}")
    return Tolerance(absolute=float(f"{share / 10:.6g}"), relative=share)


def as_bounds(bounds: Bounds | Mapping[str, float] | None) -> Bounds:
    """Bounds by name, the others as they are unless said otherwise. Raises InvalidInputError for others."""
    if bounds is None or isinstance(bounds, Bounds):
        return bounds or Bounds()
    for name, share in bounds.items():
        if name not in Bounds.__struct_fields__:
            raise InvalidInputError(f"{name!r} is not bounded: choose of {', '.join(Bounds.__struct_fields__)}")
        if not 0 <= share < inf:
            raise InvalidInputError(f"{name} must be 0 or more, not {share}")
    return Bounds(**bounds)


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Those of `convert`, as the toolchain takes them, and those of `optimize`. Raises InvalidInputError for others."""
    check_options(options, ShipOptions)
    converting = {name: value for name, value in options.items() if name in ConvertOptions.__annotations__}
    return read_convert_options(converting), {n: value for n, value in options.items() if n not in converting}


def check_options(options: Mapping[str, Any], known: type) -> None:
    """Raises InvalidInputError for options that `known`, one of the classes here, does not have."""
    names = sorted(known.__annotations__)
    unknown = sorted(options.keys() - set(names))
    if unknown:
        raise InvalidInputError(
            f"there is no option {', '.join(map(repr, unknown))}; there are {', '.join(map(repr, names))}"
        )


def read_convert_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of `convert` as the toolchain takes them. Raises InvalidInputError for others."""
    from onnxlet.toolchain.convert.options import parse_input

    check_options(options, ConvertOptions)
    read = dict(options)
    if "tolerance" in read:
        read["tolerance"] = as_tolerance(read["tolerance"])
    if read.get("inputs"):
        read["inputs"] = tuple(parse_input(each) if isinstance(each, str) else each for each in read["inputs"])
    if "expected" in read:
        read["expected"] = as_path(read["expected"])
    if read.get("weights") is not None:
        read["weights"] = Path(read["weights"])
    for name in ("image", "columns", "output_step", "text"):
        read |= {name: Path(read[name])} if isinstance(read.get(name), str | PathLike) else {}
    return read
