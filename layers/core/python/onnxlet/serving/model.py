"""Models: one loaded version with the steps that its manifest declares around the graph."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from onnxlet.errors import DeadlineExceededError, InvalidInputError, RejectedModelError
from onnxlet.serving.engine import Engine
from onnxlet.steps import Column, Postprocessor, Steps, decode_steps
from onnxlet.steps.base import Read, no_artifacts
from onnxlet.steps.pipeline import Plans
from onnxlet.values.manifest import Manifest
from onnxlet.values.signature import SERVING_DEFAULT, Signature, TensorSpec
from onnxlet.values.tensors import Tensors

if TYPE_CHECKING:
    from onnxlet.explain.answer import Explanation, Planned
    from onnxlet.explain.request import ExplanationRequest
    from onnxlet.explain.subjects import VersionExplanations
    from onnxlet.monitor.capture.policy import CapturePolicy
    from onnxlet.monitor.capture.withholding import Withhold
    from onnxlet.serving.cancellation import Cancellation


def no_artifact(path: str) -> str:
    """Raises RejectedModelError: the model stands by itself."""
    raise RejectedModelError(f"the manifest speaks of the artifact {path!r}, which is nowhere to be fetched from")


class Columns:
    """The named columns of a signature: what stands for one that a row leaves out, and for one that it has as null."""

    __slots__ = ("all", "defaults", "fillers")

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self.all = columns
        self.defaults = {column.name: column.default for column in columns if column.default is not None}
        self.fillers = {column.name: filler for column in columns if (filler := column.filler()) is not None}


class _Plan(msgspec.Struct, frozen=True):
    graph_outputs: list[str]
    finish: Callable[[Tensors], Tensors] | None
    """Makes what is served of the graph's outputs; None where that is just what they are."""


class Model:
    """A version in memory. It never changes, and may be used from several threads at once.

    `signatures` are its ways in: `serving_default`, and those that its steps open, `columns` say. `columns` are the
    named columns that some of them take, by signature. `encoded` are names of inputs that are bytes, text or not;
    `tells` those of served outputs whose rows are counted. `matrix` is the input of `serving_default` if that is one
    alone, of rows of as many 32 bit floats: the commonest. `policy` is what is kept of rows, and `withhold` takes out
    of a prediction what must enter no buffer; None where there is no such thing.
    """

    __slots__ = (
        "_all",
        "_engine",
        "_explanations",
        "_explanations_lock",
        "_finite_preprocessors",
        "_own_bytes",
        "_passing",
        "_postprocessors",
        "_preprocessors",
        "columns",
        "encoded",
        "fetch",
        "manifest",
        "matrix",
        "nbytes",
        "policy",
        "run_deadline",
        "signatures",
        "steps",
        "tells",
        "threads",
        "withhold",
    )

    def __init__(
        self, manifest: Manifest, engine: Engine, read: Read = no_artifacts, fetch: Callable[[str], str] = no_artifact
    ) -> None:
        """`read` gives the steps the version's artifacts, `fetch` tells where one lies that only explanations need.

        Raises RejectedModelError for what does not fit together.
        """
        graph = manifest.graph
        if not engine.signature.agrees(graph):
            raise RejectedModelError(
                f"the graph of {manifest.model}:{manifest.version} has another signature than its manifest says: "
                f"{engine.signature} instead of {graph}"
            )
        steps = decode_steps(manifest.steps, read)
        steps.check(graph, manifest.signature)
        self.manifest = manifest
        self.policy: CapturePolicy | None = None
        self.withhold: Withhold | None = None
        if manifest.policy is not None:
            self._obey_policy(steps)
        self.steps = steps
        held = set(steps.artifacts)
        self.nbytes = self._own_bytes = engine.nbytes + sum(
            each.size for each in manifest.artifacts if each.path in held
        )
        self.run_deadline = engine.run_deadline
        self.threads = engine.threads
        self._engine = engine
        self._postprocessors = steps.postprocessors()
        self._passing = frozenset(spec.name for spec in steps.added)
        plans: Plans = {}
        self._preprocessors = {
            name: steps.preprocessor(name, graph, plans=plans, passing=True) for name in steps.signature_names
        }
        self._finite_preprocessors = {
            name: steps.preprocessor(name, graph, finite=True, plans=plans, passing=True)
            for name in steps.signature_names
        }
        self.signatures: dict[str, Signature] = {
            name: manifest.signature
            if preprocessor is None
            else Signature(steps.inputs(name, graph), manifest.signature.outputs)
            for name, preprocessor in self._preprocessors.items()
        }
        self.columns = {
            name: Columns(columns) for name in self.signatures if (columns := steps.columns_of(name)) is not None
        }
        self.matrix = _only_matrix(self.signatures[SERVING_DEFAULT])
        self.encoded = steps.encoded
        self.fetch = fetch
        self._explanations: VersionExplanations | None = None
        self._explanations_lock = threading.Lock()
        self.tells = steps.tells
        self._all = self._plan([spec.name for spec in manifest.signature.outputs])

    def predict(  # noqa: PLR0917 - a keyword costs a call of one row half a microsecond
        self,
        inputs: Tensors,
        signature_name: str = SERVING_DEFAULT,
        outputs: Sequence[str] | None = None,
        finite: bool = False,
        due: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> Tensors:
        """The served outputs, or those named, for inputs of one of the signatures.

        `finite`: the caller knows that no input is NaN or infinite.
        `due` and `cancellation` are the engine's: when the run is stopped, and what ends it sooner.
        Raises InvalidInputError for another signature, output or tensor than the model has, ExecutionError if the model
        fails on these inputs, DeadlineExceededError if it runs too long.
        """
        try:
            preprocessor = (self._finite_preprocessors if finite else self._preprocessors)[signature_name]
        except KeyError:
            raise InvalidInputError(
                f"the model has no signature {signature_name!r}, only {', '.join(map(repr, self.signatures))}"
            ) from None
        plan = self._all if outputs is None else self._plan(outputs)
        prepared = inputs if preprocessor is None else preprocessor(inputs)
        if self._passing:
            prepared, passed = _parted(prepared, self._passing)
            answers = self._engine.run(prepared, plan.graph_outputs, due, cancellation) | passed
        else:
            answers = self._engine.run(prepared, plan.graph_outputs, due, cancellation)
        return answers if plan.finish is None else plan.finish(answers)

    def explain(
        self,
        inputs: Tensors,
        signature_name: str = SERVING_DEFAULT,
        request: ExplanationRequest | None = None,
        *,
        due: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> Explanation:
        """What moves the answers to these rows away from the expected value, as `request` asks; None: as it comes.

        Raises NotExplainableError where that cannot be told, else as `predict` does.
        """
        from onnxlet.explain.request import ExplanationRequest

        explanations = self._open_explanations()
        explained = explanations.explain(
            inputs, signature_name, request or ExplanationRequest(), due=due, cancellation=cancellation
        )
        self.nbytes = self._own_bytes + explanations.nbytes
        return explained

    def plan_explanations(self, request: ExplanationRequest) -> Planned:
        """What `explain` will give of rows of columns: by which method, of what, at which cost. Raises as it does."""
        explanations = self._open_explanations()
        planned = explanations.plan(request)
        self.nbytes = self._own_bytes + explanations.nbytes
        return planned

    def _open_explanations(self) -> VersionExplanations:
        from onnxlet.explain.subjects import explanations_of

        with self._explanations_lock:
            if self._explanations is None:
                self._explanations = explanations_of(self)
            return self._explanations

    def open_graph(self, path: str) -> Callable[[Tensors], Tensors]:
        """What runs a graph that is an artifact of explanations, with those of the inputs that it takes.

        Raises RejectedModelError for one that the version lacks, or that cannot be run, and as fetching it does.
        """
        from onnxlet.serving.engine import load_engine

        engine = load_engine(self.fetch(path), threads=1, optimized=True, run_deadline=self.run_deadline)
        wanted = [spec.name for spec in engine.signature.inputs]
        return lambda inputs: engine.run({name: inputs[name] for name in wanted})

    def _obey_policy(self, steps: Steps) -> None:
        from onnxlet.monitor.capture.withholding import read_version_policy, withholder

        self.policy = read_version_policy(self.manifest)
        self.withhold = withholder(self.policy, steps)

    def prepare(self, rows: Tensors) -> Tensors:
        """The graph's inputs for what is sent to the row signature. Raises InvalidInputError for other tensors."""
        preprocessor = self._preprocessors[self.steps.row_signature]
        return rows if preprocessor is None else _parted(preprocessor(rows), self._passing)[0]

    def finish(self, outputs: Tensors) -> Tensors:
        """What is served of all that the graph gives. Raises ExecutionError for what the steps cannot read."""
        plan = self._plan([spec.name for spec in self.manifest.signature.outputs if spec.name not in self._passing])
        return outputs if plan.finish is None else plan.finish(outputs)

    def overdue(self) -> DeadlineExceededError:
        """The error for an answer that took longer than `run_deadline`, in seconds, from reading to writing."""
        return DeadlineExceededError(f"the answer took longer than {self.run_deadline:g} s: send fewer rows per call")

    def _plan(self, outputs: Sequence[str]) -> _Plan:
        served = [spec.name for spec in self.manifest.signature.outputs]
        unknown = [name for name in outputs if name not in served]
        if unknown:
            raise InvalidInputError(
                f"the model has no output {', '.join(map(repr, unknown))}, only {', '.join(map(repr, served))}"
            )
        wanted = dict.fromkeys(name for name in outputs if name not in self._passing)
        passes = len(wanted) < len(outputs)
        used: list[Postprocessor] = []
        for postprocessor in reversed(self._postprocessors):
            if not wanted.keys().isdisjoint(postprocessor.provides):
                wanted = {name: None for name in wanted if name not in postprocessor.provides}
                wanted |= dict.fromkeys(postprocessor.needs)
                used.insert(0, postprocessor)
        asked = list(wanted) or [spec.name for spec in self.manifest.graph.outputs[:1]]
        return _Plan(asked, _finish(used, tuple(outputs), passes=passes))


def _only_matrix(signature: Signature) -> TensorSpec | None:
    if len(signature.inputs) > 1:
        return None
    spec = signature.inputs[0]
    return spec if spec.datatype == "FP32" and len(spec.shape) == 2 and spec.shape[1] > 0 else None  # noqa: PLR2004


def _parted(tensors: Tensors, passing: Collection[str]) -> tuple[Tensors, Tensors]:
    """The graph's inputs, and what passes by the graph."""
    return (
        {name: tensor for name, tensor in tensors.items() if name not in passing},
        {name: tensor for name, tensor in tensors.items() if name in passing},
    )


def _finish(
    postprocessors: Sequence[Postprocessor], outputs: tuple[str, ...], *, passes: bool
) -> Callable[[Tensors], Tensors] | None:
    """What makes the outputs, in this order, of the graph's and of what `passes` by it."""
    if not postprocessors and not passes:
        return None
    if len(postprocessors) == 1 and postprocessors[0].provides == outputs:
        return postprocessors[0].apply

    def finish(answers: Tensors) -> Tensors:
        for postprocessor in postprocessors:
            answers = answers | postprocessor.apply(answers)
        return {name: answers[name] for name in outputs}

    return finish
