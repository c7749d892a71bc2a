"""The output step that the caller declares: read from options, and completed by what the model knows of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from onnxlet.errors import InvalidInputError, RejectedModelError
from onnxlet.steps import Classification, Steps
from onnxlet.steps.output import Output, Value
from onnxlet.values.signature import Signature
from onnxlet.values.spelling import did_you_mean

Document = Mapping[str, Any]
NOT_KNOWN_BEFORE = {"kind", "classes", "passes"}
"""Fields that the model fills in."""


def read_declared_output(
    step: Path | Document | Sequence[Document] | None = None,
    *,
    top: int | None = None,
    thresholds: Mapping[str, float] | None = None,
    abstain: str | Document | Sequence[str | Document] | None = None,
) -> tuple[Document, ...]:
    """The documents of output steps, not complete yet. `step` is one, several, or a JSON file of them; the others are
    its fields said one by one: of a file with one document they come beside those that it has.

    Raises InvalidInputError for a file that holds none, and for fields that are said twice.
    """
    given = _read_file(step) if isinstance(step, Path) else step
    documents = [dict(given)] if isinstance(given, Mapping) else [dict(each) for each in given or ()]
    bands = [abstain] if isinstance(abstain, str | Mapping) else list(abstain or ())
    said = {
        "top": top,
        "thresholds": {str(name): value for name, value in (thresholds or {}).items()},
        "abstain": [parse_band(each) if isinstance(each, str) else dict(each) for each in bands],
    }
    fields = {name: value for name, value in said.items() if value}
    if not fields:
        return tuple(documents)
    if len(documents) > 1:
        raise InvalidInputError(f"there are {len(documents)} output steps: say {', '.join(fields)} in them")
    (document,) = documents or [{}]
    twice = fields.keys() & document.keys()
    if twice:
        raise InvalidInputError(f"the output step says {', '.join(sorted(twice))} already: say it once")
    return ({**document, **fields},)


def parse_threshold(text: str) -> tuple[str, float]:
    """`malignant=0.3`: a class and its threshold. Raises InvalidInputError for anything else."""
    name, _, number = text.rpartition("=")
    try:
        return name.strip() or _fail(text), float(number)
    except ValueError:
        raise InvalidInputError(f"{text!r} is no threshold: write CLASS=PROBABILITY, say malignant=0.3") from None


def parse_band(text: str) -> dict[str, Any]:
    """`0.4:0.6=borderline`, `malignant:0.4:0.6`: a band to abstain in. Raises InvalidInputError for anything else."""
    bounds, _, reason = text.partition("=")
    *names, low, high = bounds.rsplit(":", 2) if ":" in bounds else (bounds, "", "")
    try:
        band = {"low": float(low), "high": float(high), "reason": reason.strip(), "of": "".join(names).strip()}
    except ValueError:
        raise InvalidInputError(
            f"{text!r} is no band: write LOW:HIGH=REASON, say 0.4:0.6=borderline, or CLASS:LOW:HIGH=REASON"
        ) from None
    return {name: value for name, value in band.items() if value != ""}


def complete_output_steps(documents: Sequence[Document], steps: Steps, graph: Signature) -> tuple[Output, ...]:
    """The steps for a model with these steps of its own. Raises InvalidInputError for what it cannot do."""
    made: list[Output] = []
    for document in documents:
        try:
            made += [msgspec.convert(each, Output) for each in _completed(document, steps, graph)]
            Steps((*steps.each, *made)).outputs(graph)
        except (msgspec.ValidationError, RejectedModelError) as error:
            reason = error.detail if isinstance(error, RejectedModelError) else error
            raise InvalidInputError(f"the output step does not fit the model: {reason}") from error
    return tuple(made)


def _read_file(path: Path) -> Any:
    try:
        document = msgspec.json.decode(path.read_bytes())
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise InvalidInputError(f"{path.name!r} holds no output step: {error}", path=str(path)) from error
    listed = document if isinstance(document, list) else [document]
    if not all(isinstance(each, dict) for each in listed):
        raise InvalidInputError(f"{path.name!r} holds no output step: it is an object, or a list of them")
    return document


def _completed(document: Document, steps: Steps, graph: Signature) -> list[dict[str, Any]]:
    """The document with what the model knows; one for each target where it is about all of them."""
    known = {name: value for name, value in document.items() if name not in NOT_KNOWN_BEFORE}
    if "output" in document or not steps.targets:
        return [_of_numbers(known, steps, graph)]
    targets = {target.target: target for target in steps.targets}
    if "target" in document or len(targets) == 1:
        name = document.get("target", next(iter(targets)))
        if name not in targets:
            raise InvalidInputError(f"the model has no target {name!r}{did_you_mean(str(name), targets)}")
        return [_of_classes(known, targets[name])]
    return _of_every_target(known, targets)


def _of_every_target(known: dict[str, Any], targets: Mapping[str, Classification]) -> list[dict[str, Any]]:
    """Of labels one by one, thresholds name the labels, and are of their being so."""
    thresholds = dict(known.pop("thresholds", {}))
    unknown = [name for name in thresholds if name not in targets]
    if unknown:
        raise InvalidInputError(
            f"the model has several targets, {', '.join(map(repr, targets))}: say of which 'target' the output step is"
        )
    made = []
    for name, target in targets.items():
        values = _served_classes(target)
        own = {"thresholds": {str(values[1]): thresholds[name]}} if name in thresholds and len(values) > 1 else {}
        if {**known, **own}:
            made.append(_of_classes({**known, **own}, target))
    return made


def _of_classes(known: dict[str, Any], target: Classification) -> dict[str, Any]:
    if target.probabilities is None:
        raise InvalidInputError("the output step is about probabilities, and the model gives none")
    if isinstance(calibration := known.get("calibration"), dict) and "in_graph" in calibration:
        raise InvalidInputError("leave 'in_graph' out of the calibration: publishing says it")
    classes = _served_classes(target)
    names = [str(value) for value in classes]
    for name in known.get("thresholds") or ():
        if name not in names:
            raise InvalidInputError(
                f"there is no class {name!r} to have a threshold, only {', '.join(map(repr, names))}"
                f"{did_you_mean(str(name), names)}"
            )
    return {"kind": "output", **known, "target": target.target, "classes": list(classes)}


def _of_numbers(known: dict[str, Any], steps: Steps, graph: Signature) -> dict[str, Any]:
    """About the output that is named, or the only one; others are passed on where nothing else serves them."""
    of_classes = sorted({"calibration", "thresholds", "top"} & known.keys())
    if of_classes:
        raise InvalidInputError(
            f"{', '.join(of_classes)} is about classes, and "
            + (
                "the output step names an 'output'"
                if "output" in known
                else "the model tells none: name them by labels"
            )
        )
    names = [spec.name for spec in graph.outputs]
    name = known.get("output") or (names[0] if len(names) == 1 else "")
    if name not in names:
        raise InvalidInputError(
            f"say which 'output' the output step is about, one of {', '.join(map(repr, names))}"
            + (did_you_mean(str(name), names) if name else "")
        )
    serves_itself = bool(steps.targets) or bool(steps.methods)
    passes = [] if serves_itself else [other for other in names if other != name]
    return {"kind": "output", **known, "output": name, "passes": passes}


def _served_classes(target: Classification) -> tuple[Value, ...]:
    """What `label` says for each class."""
    return target.labels or target.classes


def _fail(text: str) -> str:
    raise ValueError(text)
