"""A version in this process, that predicts as the model it was made of does.

Rows go through the door that requests go through, so that a server refuses what is refused here, and answers alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxlet.client.metadata import Metadata
from onnxlet.client.rows import Rows, read_rows
from onnxlet.client.splitting import PART_BYTES, PATIENCE, SAMPLE_ROWS
from onnxlet.dataplane.protocols.tensorflow_serving.body import read_body
from onnxlet.errors import InvalidInputError, RequestTooLargeError
from onnxlet.lifecycle.summaries import describe_version
from onnxlet.lifecycle.workspace import open_workspace
from onnxlet.steps import Classification
from onnxlet.values.refs import Ref, parse_ref
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import Tensor, Tensors, stack_padded

if TYPE_CHECKING:
    from onnxlet.lifecycle.explained import ExplainedRows
    from onnxlet.serving.predictor import Served
    from onnxlet.values.manifest import Manifest

INDEPENDENT = ("independent", "independent-logits")
"""What outputs are that tell labels one by one."""


def load(ref: str | Ref, *, store: str | Path | None = None) -> LoadedVersion:
    """The version that `diagnosis`, `diagnosis:7` or `diagnosis@candidate` means now, ready to predict.

    `store` is a URL or a path; ONNXLET_STORE, else a directory in your own data folder, if there is none.

        model = onnxlet.load("diagnosis")
        model.predict(patients)

    Raises ModelNotFoundError, VersionNotFoundError, AliasNotFoundError; IntegrityError, RejectedModelError if it
    cannot be served; StoreUnavailableError.
    """
    target = ref if isinstance(ref, Ref) else parse_ref(ref)
    workspace = open_workspace(store)
    with workspace.naming_others():
        return LoadedVersion(workspace.make_predictor().load(target))


class LoadedVersion:
    """One version, which never changes. May be used from several threads at once.

    `fallback`: the version that the alias routes to was refused, and this is the one before it.
    """

    def __init__(self, served: Served) -> None:
        self._model = served.model
        self._digest = served.digest
        self.fallback = served.fallback
        manifest = self.manifest
        self._metadata = Metadata(manifest.model, manifest.version, self._model.signatures)

    @property
    def manifest(self) -> Manifest:
        """All that is known of the version: where it comes from, how well it does, what it promises."""
        return self._model.manifest

    @property
    def signature(self) -> Signature:
        """What `predict` takes, columns by name where the model knows some, and the outputs that are served."""
        return self._model.signatures[self._model.steps.row_signature]

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's own name
        """What the model's own `predict` gives: [N] class values or numbers, [N, targets] of several targets; [N] the
        number of a cluster or component, or 1 and -1 of an outlier detector.

        `X` is a DataFrame or a dict of columns, by name; an array or a list of rows, in the model's own order; a list
        of records; a list of pictures, as bytes or files, for a model that reads such; a dict of a model's tensors.
        None, NaN and pandas' NA are missing values. A network of several outputs gives a dict of arrays, by name.

        Raises InvalidInputError for rows that the model does not take, ExecutionError if it fails on them.
        """
        targets = self._model.steps.targets
        if not targets and "predict" in self._model.steps.methods:
            return self._ask("predict", X)
        if not targets:
            # what steps add, that a row is for a human say, is no answer of the model
            own = {spec.name for spec in self.manifest.graph.outputs}
            outputs = self._run(X, [spec.name for spec in self.signature.outputs if spec.name in own])
            return outputs if len(outputs) > 1 else next(iter(outputs.values()))
        outputs = self._run(X, [target.names.label for target in targets])
        values = [_class_values(target, outputs[target.names.label], self._own_values(target)) for target in targets]
        return values[0] if len(values) == 1 else np.stack(values, axis=1)

    def predict_proba(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's own name
        """The probabilities of a classifier's classes, or of a mixture's components [N, classes], in the order of its
        labels. Of several targets a list of them; of labels by themselves, as some models and networks tell them, the
        probabilities that they are [N, labels].

        Raises InvalidInputError if the model gives none, and as `predict`.
        """
        if "predict_proba" in self._model.steps.methods:
            return self._ask("predict_proba", X)
        targets = self._model.steps.targets
        names = [target.names.probabilities for target in targets if target.probabilities is not None]
        if not names or len(names) < len(targets):
            raise self._lacking("probabilities")
        outputs = self._run(X, names)
        meaning = self.manifest.outputs
        if meaning is not None and meaning.are in INDEPENDENT:
            return np.stack([outputs[name][:, 1] for name in names], axis=1)
        return outputs[names[0]] if len(names) == 1 else [outputs[name] for name in names]

    def answers(self, X: Any) -> Tensors:  # noqa: N803 - same
        """All that is served for rows, by name: what a request over HTTP is answered. Raises as `predict`."""
        return self._run(X, None)

    def decision_function(self, X: Any) -> Tensor:  # noqa: N803 - scikit-learn's own name
        """What a classifier without probabilities, or an outlier detector, decides by: [N], or of more than two classes
        [N, classes], as the model's own `decision_function`. Raises InvalidInputError if it has none, and as `predict`.
        """
        return self._ask("decision_function", X)

    def score_samples(self, X: Any) -> Tensor:  # noqa: N803 - same
        """The log-likelihood [N] of rows under a mixture. Raises InvalidInputError for others, and as `predict`."""
        return self._ask("score_samples", X)

    def transform(self, X: Any) -> Tensor:  # noqa: N803 - same
        """The distances [N, clusters] from the centres of clusters. Raises InvalidInputError if there are none, and as
        `predict`.
        """
        return self._ask("transform", X)

    def explain(self, X: Any, **asked: Any) -> ExplainedRows:  # noqa: N803 - same
        """How much each column moves the answers to these rows away from the expected value.

            explained = onnxlet.load("diagnosis").explain(patients[:10], classes="malignant")
            explained.attributions     # [N, columns, classes]; they sum to predictions minus expected
            explained.to_frame()
            explained.draw("patient.svg")
            explained                  # in a notebook: a waterfall for each of the first rows

        `asked` are method ("auto"), output, classes (a label, a position or several; all of them), seed (0),
        max_evaluations (for each row) and max_ms (for all). See docs/explanations.md for what each method means.

        Raises NotExplainableError where the version or the method cannot do it, and as `predict`.
        """
        from onnxlet.explain.request import read_request
        from onnxlet.lifecycle.explained import ExplainedRows

        request = read_request(asked)
        rows = read_rows(X, self._metadata)
        if not rows.count:
            raise InvalidInputError("there are no rows to explain")
        inputs = self._inputs(rows, 0, rows.count)
        return ExplainedRows(self._model.explain(inputs, rows.signature, request), self.manifest, inputs)

    def __repr__(self) -> str:
        return f"<{self._ref}: {self.signature}>"

    def _repr_html_(self) -> str:
        """What is known of it, as `onnxlet show` says it."""
        return "".join(block.html() for block in describe_version(self.manifest, self._digest))

    @property
    def _ref(self) -> str:
        return f"{self.manifest.model}:{self.manifest.version}"

    def _own_values(self, target: Classification) -> Sequence[bool | int | str]:
        """The values of the classes to the model itself; where it only counts them, what the labels say they are."""
        numbers = [int(label) for label in target.labels if label.isdecimal() and label.isascii()]
        counted = target.classes == tuple(range(len(target.classes)))
        reference, network = self.manifest.reference, self.manifest.outputs is not None
        if not counted or not (network or (reference is not None and reference.kind == "file")):
            return target.classes
        if len(numbers) == len(target.labels):
            return numbers
        return target.classes if network else target.labels

    def _ask(self, method: str, X: Any) -> Tensor:  # noqa: N803
        """The output that gives what a method of the model gives."""
        output = self._model.steps.methods.get(method)
        if output is None:
            raise self._lacking(method)
        return self._run(X, [output])[output]

    def _lacking(self, what: str) -> InvalidInputError:
        served = ", ".join(repr(spec.name) for spec in self.signature.outputs)
        return InvalidInputError(f"{self._ref!r} gives no {what}, only {served}")

    def _run(self, X: Any, outputs: Sequence[str] | None) -> Tensors:  # noqa: N803
        rows = read_rows(X, self._metadata)
        if not rows.count:
            raise InvalidInputError("there are no rows to predict")
        bounds = _parts(rows, self._ref, self._model.steps.most_rows)
        parts = [part for start, stop in bounds for part in self._run_parts(rows, start, stop, outputs)]
        return (
            parts[0] if len(parts) == 1 else {name: stack_padded([each[name] for each in parts]) for name in parts[0]}
        )

    def _run_parts(self, rows: Rows, start: int, stop: int, outputs: Sequence[str] | None) -> Iterator[Tensors]:
        """The answers to some rows, in halves where these are too many at once."""
        try:
            yield self._run_part(rows, start, stop, outputs)
        except RequestTooLargeError:
            if stop - start == 1:
                raise
            middle = (start + stop) // 2
            yield from self._run_parts(rows, start, middle, outputs)
            yield from self._run_parts(rows, middle, stop, outputs)

    def _run_part(self, rows: Rows, start: int, stop: int, outputs: Sequence[str] | None) -> Tensors:
        answers = self._model.predict(self._inputs(rows, start, stop), rows.signature, outputs)
        uneven = [name for name, tensor in answers.items() if tensor.shape[:1] != (stop - start,)]
        if uneven and stop - start < rows.count:
            raise InvalidInputError(f"output {uneven[0]!r} does not have one entry per row: predict fewer rows at once")
        return answers

    def _inputs(self, rows: Rows, start: int, stop: int) -> Tensors:
        """Some rows as requests have them."""
        inputs = _take_floats(rows.part(start, stop).get("inputs"), self._model.signatures[rows.signature].inputs)
        return read_body(rows.body(start, stop), self._model).inputs if inputs is None else inputs


def _parts(rows: Rows, name: str, most: int | None) -> Iterator[tuple[int, int]]:
    """Where parts of some MB, or of `most` rows, begin and end: none runs for long, and a bar shows how far it is."""
    # where there is such a bound, nothing is gained in this process by several at once
    size = rows.count if rows.most is None else 1
    if size > SAMPLE_ROWS:
        size = max(1, PART_BYTES * SAMPLE_ROWS // len(rows.body(0, SAMPLE_ROWS)))
    size = size if most is None else min(size, most)
    if size >= rows.count:
        yield 0, rows.count
        return
    from tqdm.auto import tqdm

    with tqdm(total=rows.count, desc=name, unit=" rows", delay=PATIENCE, disable=None) as bar:  # None: not in logs
        for start in range(0, rows.count, size):
            stop = min(start + size, rows.count)
            yield start, stop
            bar.update(stop - start)


def _take_floats(inputs: Tensor | Tensors | None, specs: Sequence[TensorSpec]) -> Tensors | None:
    """Floating point numbers as they are: written down and read again they would be the same.

    None for all else, which the reading of requests judges: texts, integers, what is missing or has no place.
    """
    named = {specs[0].name: inputs} if isinstance(inputs, np.ndarray) else inputs
    if named is None or named.keys() != {spec.name for spec in specs}:
        return None
    taken = {}
    for spec in specs:
        tensor = named[spec.name]
        if tensor.dtype.kind != "f" or spec.type.kind != "f" or not _fits(tensor, spec):
            return None
        with np.errstate(over="ignore"):
            taken[spec.name] = tensor.astype(spec.type.numpy)
        if not np.isfinite(taken[spec.name]).all():
            return None
    return taken


def _fits(tensor: Tensor, spec: TensorSpec) -> bool:
    """Whether the shape is one that the input takes."""
    return tensor.ndim == len(spec.shape) and all(
        wanted in (-1, size) for wanted, size in zip(spec.shape, tensor.shape, strict=True)
    )


def _class_values(target: Classification, labels: Tensor, own: Sequence[bool | int | str]) -> Tensor:
    """The model's own values for its classes, which may have been given other names."""
    if not target.labels or target.labels == own:
        return labels
    values = dict(zip(target.labels, own, strict=True))
    kinds = {type(value) for value in own}
    dtype: type = object if str in kinds else bool if kinds == {bool} else np.int64
    return np.array([values[label] for label in labels.tolist()], dtype=dtype)
