"""Estimators of boosting libraries within scikit-learn's: each is written as it is alone.

A converter is registered with skl2onnx for the class of each that an estimator holds. So pipelines, ensembles and
searches convert whole, with the class values, the missing value and the best round that only the estimator knows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.columns import learned_names
from onnxlet.toolchain.convert.scikit_learn.nodes import move_graph
from onnxlet.toolchain.convert.scikit_learn.older_trees import renew_trees
from onnxlet.toolchain.convert.scikit_learn.parts import all_parts
from onnxlet.toolchain.convert.tabular.category_values import text_features
from onnxlet.toolchain.convert.tabular.graph_writer import OPSET, GraphWriter
from onnxlet.toolchain.convert.tabular.link_functions import AnswerNames
from onnxlet.toolchain.convert.tabular.matrix_model import MatrixModel, NativeModel

OpenerOf = Callable[[Any], Callable[[], MatrixModel] | None]
"""What reads an estimator of a boosting library; None for any other."""
REFUSALS = ("CatBoostError", "LightGBMError")
"""Classes of errors for rows that a booster refuses, which derive from none of Python's."""
_ML = "ai.onnx.ml"
_OPTIONS = {"zipmap": [True, False, "columns"], "raw_scores": [True, False], "nocl": [True, False]}


def opening_once(opener_of: OpenerOf) -> OpenerOf:
    """The same, but each estimator is read once, however often it is asked for."""
    opened: dict[int, tuple[Any, MatrixModel]] = {}

    def read_once(part: Any) -> Callable[[], MatrixModel] | None:
        opener = opener_of(part)
        if opener is None:
            return None

        def read() -> MatrixModel:
            if id(part) not in opened:
                # the estimator is kept so that no other gets its id
                opened[id(part)] = part, opener()
            return opened[id(part)][1]

        return read

    return read_once


def spelling_of(estimator: Any, names: Sequence[str] | None, opener_of: OpenerOf) -> Callable[[str], str]:
    """How the booster from which an estimator has the `names` of its columns spelled them; as they are without one."""
    for part in all_parts(estimator) if names is not None else ():
        opener = opener_of(part)
        if opener is not None and learned_names(part) == names:
            return opener().native.spell
    return str


def register_boosters(estimator: Any, opener_of: OpenerOf, sparse: Collection[int]) -> None:
    """Give skl2onnx a converter for the class of each booster that the estimator holds.

    `sparse` are the ids of those that are given sparse matrices.
    """
    from skl2onnx import update_registered_converter

    for kind in {type(part) for part in all_parts(estimator) if opener_of(part) is not None}:
        alias = f"{kind.__module__}.{kind.__qualname__}"
        writer = _BoosterWriter(alias, opener_of, sparse)
        update_registered_converter(
            kind, alias, writer.declare_types, writer.write, parser=writer.declare, options=_OPTIONS
        )


def boosters_of_sparse_rows(estimator: Any, rows: Any, opener_of: OpenerOf) -> set[int]:
    """The ids of boosters in a pipeline's last step, if the steps before make sparse matrices of these rows."""
    from sklearn.pipeline import Pipeline

    if not isinstance(estimator, Pipeline) or len(estimator.steps) < 2:  # noqa: PLR2004 - one before the last
        return set()
    boosters = {id(part) for part in all_parts(estimator.steps[-1][1]) if opener_of(part) is not None}
    return boosters if boosters and hasattr(estimator[:-1].transform(rows), "tocsr") else set()


def raise_opset(model: Any) -> None:
    """Let the model import the operators that boosters are written with, where it has some, and no older ones.

    Raises ConversionError for trees beside them that have no newer form.
    """
    if any(node.op_type == "TreeEnsemble" for node in model.graph.node):
        renew_trees(model.graph)
        for entry in model.opset_import:
            if entry.domain == _ML:
                entry.version = OPSET[_ML]


class _BoosterWriter:
    """What skl2onnx calls for boosters of one class: to declare them, to tell their types, and to write them."""

    def __init__(self, alias: str, opener_of: OpenerOf, sparse: Collection[int]) -> None:
        self._alias = alias
        self._opener_of = opener_of
        self._sparse = sparse

    def declare(self, scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:  # noqa: ARG002
        """Declare an operator with the outputs of a classifier, or of a regressor."""
        operator = scope.declare_local_operator(self._alias, model)
        operator.inputs = inputs
        classifies = self._native(model).classes is not None
        for name in ("label", "probabilities") if classifies else ("prediction",):
            operator.outputs.append(scope.declare_local_variable(name, _float_type(inputs)([None, None])))
        return operator.outputs

    def declare_types(self, operator: Any) -> None:
        """Label [N] and probabilities [N, classes], or predictions [N, outputs]."""
        from skl2onnx.common.data_types import Int64TensorType, StringTensorType

        native, kind = self._native(operator.raw_operator), _float_type(operator.inputs)
        if native.classes is None:
            operator.outputs[0].type = kind([None, native.outputs])
            return
        texts = any(isinstance(value, str) for value in native.classes)
        operator.outputs[0].type = (StringTensorType if texts else Int64TensorType)([None])
        operator.outputs[1].type = kind([None, len(native.classes)])

    def write(self, scope: Any, operator: Any, container: Any) -> None:
        """Write the booster, behind what makes missing values of zeros if it takes them for such."""
        native = self._native(operator.raw_operator)
        if text_features(native.categories):
            raise ConversionError(
                f"the {type(operator.raw_operator).__name__} reads texts as categories, which has no ONNX form within "
                "another estimator: convert it by itself (of a search, its best_estimator_), or encode them before"
            )
        graph = GraphWriter(scope.get_unique_variable_name("booster") + "_")
        features = _features(graph, operator, native)
        if id(operator.raw_operator) in self._sparse and native.sparse_zeros_are_missing:
            missing = graph.add("Equal", features, graph.constant(np.zeros(1, dtype=np.float32)))
            features = graph.add("Where", missing, graph.constant(np.array([np.nan], dtype=np.float32)), features)
        answers = native.write(graph, features, native.width)
        wants_scores = container.get_options(operator.raw_operator, {"raw_scores": False})["raw_scores"]
        if wants_scores and answers.write_scores and hasattr(operator.raw_operator, "decision_function"):
            answers = replace(answers, probabilities=answers.write_scores())
        _declare_outputs(graph, answers, operator, native)
        move_graph(graph.graph(), container)

    def _native(self, estimator: Any) -> NativeModel:
        open_booster = self._opener_of(estimator)
        assert open_booster is not None  # noqa: S101 - its class was registered for that
        return open_booster().native


def _float_type(inputs: Any) -> Any:
    """Doubles for doubles, else floats."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    return DoubleTensorType if isinstance(inputs[0].type, DoubleTensorType) else FloatTensorType


def _features(graph: GraphWriter, operator: Any, native: NativeModel) -> str:
    """The matrix of its inputs, in a precision that it compares in."""
    from skl2onnx.common.data_types import DoubleTensorType

    double = "FP64" in native.datatypes and isinstance(operator.inputs[0].type, DoubleTensorType)
    columns = [(graph.to_double if double else graph.to_float)(each.full_name) for each in operator.inputs]
    return columns[0] if len(columns) == 1 else graph.add("Concat", *columns, axis=1)


def _declare_outputs(graph: GraphWriter, answers: AnswerNames, operator: Any, native: NativeModel) -> None:
    from skl2onnx.common.data_types import DoubleTensorType

    names = [variable.full_name for variable in operator.outputs]
    datatype = "FP64" if isinstance(operator.outputs[-1].type, DoubleTensorType) else "FP32"
    if answers.prediction is not None:
        column = graph.add("Reshape", answers.prediction, graph.constant(np.array([-1, native.outputs])))
        graph.output(column, names[0], datatype, (-1, native.outputs))
        return
    if answers.label is None or answers.probabilities is None:
        raise ConversionError(
            f"the {type(operator.raw_operator).__name__} answers with labels alone, which has no ONNX form within "
            "another estimator: choose an objective that gives probabilities"
        )
    classes = native.classes or ()
    texts = any(isinstance(value, str) for value in classes)
    graph.output(answers.label, names[0], "BYTES" if texts else "INT64", (-1,))
    graph.output(answers.probabilities, names[1], datatype, (-1, len(classes)))
