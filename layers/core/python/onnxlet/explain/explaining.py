"""Rows in, an explained answer out: which method it is, and what of its answer is told."""

from __future__ import annotations

import threading

import numpy as np

from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.answer import Explanation, Planned
from onnxlet.explain.background import Background
from onnxlet.explain.document import read_document
from onnxlet.explain.evaluation import Evaluation
from onnxlet.explain.interface import Attributions, Cancellation, Explainer, Planning, Subject, Target
from onnxlet.explain.outputs import explained_output
from onnxlet.explain.players import Players
from onnxlet.explain.request import AUTO, Budget, ExplanationRequest
from onnxlet.explain.table import METHODS, plan_method
from onnxlet.values.tensors import Tensors

MOST_NUMBERS = 2**22
"""Attributions of one answer, of rows x players x classes: 32 MB."""


class Explanations:
    """The explanations of one version: its players, its background, and methods that are planned when first used."""

    def __init__(self, subject: Subject) -> None:
        """Raises NotExplainableError for a version whose inputs have no columns to explain."""
        self._subject = subject
        document = read_document(subject.manifest.explanations)
        self._tables = document.tables
        self._players = Players(subject, document.players)
        self._background = Background(subject, document.background)
        self._planned: dict[str, Explainer] = {}
        self._planning = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that planned methods keep."""
        # a list, as another thread may plan one meanwhile
        return sum(explainer.nbytes for explainer in list(self._planned.values()))

    def explain(
        self,
        inputs: Tensors,
        signature: str,
        request: ExplanationRequest,
        *,
        due: float | None = None,
        cancellation: Cancellation = None,
    ) -> Explanation:
        """Explain rows that were sent to a signature. `due` is when a run is stopped, by the monotonic clock, and
        `cancellation` what ends it sooner.

        Raises NotExplainableError, InvalidInputError, and what predicting raises.
        """
        if request.overlay:
            raise InvalidInputError("explain: 'overlay' is of pictures, and these are none: leave it out")
        rows = self._players.rows(inputs, signature)
        count = len(next(iter(rows.values())))
        target = self._target(request)
        if count * len(self._players) * len(target.columns) > MOST_NUMBERS:
            raise InvalidInputError(
                f"{count} rows x {len(self._players)} players x {len(target.columns)} classes are more "
                f"attributions than the {MOST_NUMBERS:,} of one answer: explain fewer rows or classes at once"
            )
        evaluation = Evaluation(self._subject, self._players, target, due, cancellation)
        chosen = np.arange(count)
        if request.above is not None:
            chosen = np.flatnonzero((evaluation.answers(rows) > request.above).any(axis=1))
            rows = {column: tensor[chosen] for column, tensor in rows.items()}
        name, explainer = self._choose(request.method, target, Budget(request, len(chosen)))
        # what the first request plans for all is not of its time
        budget = Budget(request, len(chosen))
        evaluation.until = budget.until
        found = explainer.explain(rows, target, budget, evaluation)
        return self._told(name, found, target, evaluation.count, tuple(chosen.tolist()))

    def plan(self, request: ExplanationRequest) -> Planned:
        """What rows will be explained by, and as what. Raises as `explain`, and for what differs from row to row."""
        if request.overlay:
            raise InvalidInputError("explain: 'overlay' is of pictures, and these are none: leave it out")
        target, budget = self._target(request), Budget(request, 0)
        name, explainer = self._choose(request.method, target, budget)
        evaluation = Evaluation(self._subject, self._players, target)
        found = explainer.explain(self._players.no_rows(), target, budget, evaluation)
        if found.players is not None:
            raise NotExplainableError(
                f"the method {name!r} has other parts for each row: ask about one row at a time, or for 'auto'"
            )
        return Planned(self._told(name, found, target, evaluation.count, ()), explainer.cost(budget))

    def _target(self, request: ExplanationRequest) -> Target:
        output = explained_output(self._subject, request.output)
        return Target(output, request.columns_of(output.columns), request.scale)

    def _choose(self, method: str, target: Target, budget: Budget) -> tuple[str, Explainer]:
        """The method that is asked for, or the first that can do it. Raises NotExplainableError."""
        if method != AUTO:
            return method, self._named(method, target, budget)
        for name, entry in METHODS.items():
            if not entry.chosen or (entry.needs and entry.needs not in self._tables):
                continue
            if entry.background and not self._background.exists:
                continue
            try:
                explainer = self._plan(name)
            except NotExplainableError:
                continue
            if not _refusal(name, explainer, target, budget):
                return name, explainer
        self._background.rows()  # which is what is lacking
        raise NotExplainableError("no method can explain this output")

    def _named(self, method: str, target: Target, budget: Budget) -> Explainer:
        entry = METHODS.get(method)
        if entry is None:
            raise InvalidInputError(
                f"explain: there is no method {method[:80]!r}, only {', '.join(map(repr, (AUTO, *METHODS)))}"
            )
        if entry.needs and entry.needs not in self._tables:
            raise NotExplainableError(
                f"the version has nothing for the method {method!r}, which is made when a model of its kind is "
                "converted and published: convert it anew, or ask for 'auto'"
            )
        if entry.background:
            self._background.rows()
        explainer = self._plan(method)
        reason = _refusal(method, explainer, target, budget)
        if reason:
            raise NotExplainableError(f"the method {method!r} cannot explain this: {reason}")
        return explainer

    def _plan(self, name: str) -> Explainer:
        with self._planning:
            if name not in self._planned:
                table = self._tables.get(METHODS[name].needs, {})
                self._planned[name] = plan_method(name, Planning(self._subject, self._players, self._background, table))
            return self._planned[name]

    def _told(
        self, method: str, found: Attributions, target: Target, evaluations: int, rows: tuple[int, ...]
    ) -> Explanation:
        gaps = found.predictions - found.expected - found.values.sum(axis=1)
        return Explanation(
            method=method,
            output=found.output,
            unit=found.unit,
            rows=rows,
            players=self._players.names if found.players is None else found.players,
            classes=tuple(target.output.columns[column] for column in target.columns),
            attributions=found.values,
            expected=found.expected,
            predictions=found.predictions,
            sum_error=float(np.abs(gaps).max(initial=0.0)),
            background=self._background.used if found.background else None,
            seed=found.seed,
            interval=found.interval,
            residual=found.residual,
            pairs=found.pairs,
            unreliable=found.unreliable,
            evaluations=evaluations,
        )


def _refusal(name: str, explainer: Explainer, target: Target, budget: Budget) -> str:
    if target.scale is not None and target.scale not in METHODS[name].scales:
        return f"it explains what is served: leave 'scale' out, which is {target.scale!r}"
    return explainer.refusal(target, budget)
