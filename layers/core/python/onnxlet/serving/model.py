"""Models: one loaded version with the steps that its manifest declares around the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from onnxlet.errors import InvalidInputError, RejectedModelError
from onnxlet.serving.engine import Engine
from onnxlet.steps import Classifier, Classifiers, ColumnReader, classifier_of, columns_signature, names_of
from onnxlet.values.manifest import Manifest
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensors

SERVING_DEFAULT = "serving_default"
COLUMNS = "columns"


class _Plan(msgspec.Struct, frozen=True):
    names: Sequence[str]
    graph_outputs: list[str]
    classifier: Classifier | Classifiers | None
    complete: bool
    """Whether what is computed is just what is named, in this order."""


class Model:
    """A version in memory. It never changes, and may be used from several threads at once.

    `signatures` are its ways in: `serving_default` takes the graph's tensors; with a tabular step `columns` takes one
    [N] tensor per column. Where every column is a graph input of its own, the columns are `serving_default` as well.
    `defaults` are what stands for a column that a row leaves out, `fillers` for one that it has as null.
    """

    __slots__ = (
        "_all",
        "_classifier",
        "_engine",
        "_readers",
        "defaults",
        "fillers",
        "manifest",
        "nbytes",
        "signatures",
    )

    def __init__(self, manifest: Manifest, engine: Engine) -> None:
        _check(engine.signature, manifest)
        self.manifest = manifest
        self.nbytes = engine.nbytes
        self._engine = engine
        self.signatures: dict[str, Signature] = {SERVING_DEFAULT: manifest.signature}
        self._readers: dict[str, Callable[[Tensors], Tensors] | None] = {SERVING_DEFAULT: None}
        steps = manifest.steps
        read = steps.tabular.columns if steps.tabular is not None else ()
        self.defaults = {column.name: column.default for column in read if column.default is not None}
        self.fillers = {column.name: filler for column in read if (filler := column.filler()) is not None}
        if steps.tabular is not None:
            columns = Signature(inputs=columns_signature(steps.tabular), outputs=manifest.signature.outputs)
            reader = ColumnReader(steps.tabular, manifest.graph).apply
            for name in (COLUMNS, SERVING_DEFAULT) if steps.tabular.input is None else (COLUMNS,):
                self.signatures[name] = columns
                self._readers[name] = reader
        self._classifier = classifier_of(steps)
        self._all = self._plan([spec.name for spec in manifest.signature.outputs])

    def predict(
        self, inputs: Tensors, signature_name: str = SERVING_DEFAULT, outputs: Sequence[str] | None = None
    ) -> Tensors:
        """The served outputs, or those named, for inputs of one of the signatures.

        Raises InvalidInputError for another signature, output or tensor than the model has, ExecutionError if the model
        fails on these inputs, DeadlineExceededError if it runs too long.
        """
        try:
            reader = self._readers[signature_name]
        except KeyError:
            raise InvalidInputError(
                f"the model has no signature {signature_name!r}, only {', '.join(map(repr, self.signatures))}"
            ) from None
        plan = self._all if outputs is None else self._plan(outputs)
        answers = self._engine.run(inputs if reader is None else reader(inputs), plan.graph_outputs)
        if plan.classifier is not None:
            made = plan.classifier.apply(answers)
            answers = made if plan.complete else answers | made
        return answers if plan.complete else {name: answers[name] for name in plan.names}

    def _plan(self, outputs: Sequence[str]) -> _Plan:
        served = [spec.name for spec in self.manifest.signature.outputs]
        unknown = [name for name in outputs if name not in served]
        if unknown:
            raise InvalidInputError(
                f"the model has no output {', '.join(map(repr, unknown))}, only {', '.join(map(repr, served))}"
            )
        classifier = self._classifier
        if classifier is None or not any(name in classifier.provides for name in outputs):
            return _Plan(outputs, list(outputs), None, complete=True)
        plain = [name for name in outputs if name not in classifier.provides and name not in classifier.needs]
        complete = tuple(outputs) == classifier.provides
        return _Plan(outputs, plain + classifier.needs, classifier, complete)


def _check(engine: Signature, manifest: Manifest) -> None:
    """Hold the manifest to the graph that was loaded, and its steps and signature to each other."""
    graph = manifest.graph
    if _differ(engine.inputs, graph.inputs) or _differ(engine.outputs, graph.outputs):
        raise RejectedModelError(
            f"the graph of {manifest.model}:{manifest.version} has another signature than its manifest says: "
            f"{_said(engine)} instead of {_said(graph)}"
        )
    inputs = {spec.name for spec in graph.inputs}
    outputs = {spec.name for spec in graph.outputs}
    tabular = manifest.steps.tabular
    wanted: set[str] = set()
    if tabular is not None:
        wanted = {column.name for column in tabular.columns} if tabular.input is None else {tabular.input}
    made, outputs_read = set(outputs), set()
    for step in manifest.steps.targets:
        names = names_of(step.target)
        made |= {names.label, names.probability, names.probabilities}
        outputs_read |= {step.label, step.probabilities or step.label}
        if step.labels and len(step.labels) != len(step.classes):
            raise RejectedModelError("the manifest does not name as many labels as it lists classes")
    lost = (wanted - inputs) | (outputs_read - outputs) | ({spec.name for spec in manifest.signature.outputs} - made)
    if lost:
        raise RejectedModelError(f"the manifest speaks of {', '.join(map(repr, sorted(lost)))}, which the graph lacks")


def _differ(loaded: Sequence[TensorSpec], declared: Sequence[TensorSpec]) -> bool:
    return len(loaded) != len(declared) or any(map(_differs, loaded, declared))


def _differs(loaded: TensorSpec, declared: TensorSpec) -> bool:
    """Names and datatypes must be equal; of shapes another ONNX Runtime may know more or less, but nothing else."""
    if (loaded.name, loaded.datatype) != (declared.name, declared.datatype):
        return True
    if not loaded.shape or not declared.shape:  # unknown, or a scalar: the runtime does not tell them apart
        return False
    return len(loaded.shape) != len(declared.shape) or any(
        a != b and VARIABLE not in (a, b) for a, b in zip(loaded.shape, declared.shape, strict=True)
    )


def _said(signature: Signature) -> str:
    return " -> ".join(
        "(" + ", ".join(f"{spec.name}: {spec.datatype}{list(spec.shape)}" for spec in specs) + ")"
        for specs in (signature.inputs, signature.outputs)
    )
