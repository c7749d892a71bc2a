"""HistGradientBoosting with categories, with a log link or of double columns, which skl2onnx 1.20 does not write.

Categories are looked up among those that its encoder learned. A row whose category is unknown or missing goes where
scikit-learn sends missing values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import numpy_helper

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.nodes import move_graph
from onnxlet.toolchain.convert.tabular import link_functions
from onnxlet.toolchain.convert.tabular.category_columns import THRESHOLD, CategoryColumns
from onnxlet.toolchain.convert.tabular.class_values import class_values
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.values.tensors import Tensor


def needs_own_converter(operator: Any) -> bool:
    """Whether some tree splits by categories, predictions are exponentials, or some input is double."""
    from skl2onnx.common.data_types import DoubleTensorType

    boosted = operator.raw_operator
    doubled = any(isinstance(variable.type, DoubleTensorType) for variable in operator.inputs)
    return doubled or boosted.is_categorical_ is not None or _link_of(boosted) == "LogLink"


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the trees behind the columns of their categories. Raises ConversionError for categories that are texts."""
    from sklearn.base import is_classifier

    boosted = operator.raw_operator
    graph = GraphWriter(scope.get_unique_variable_name("histogram_boosting") + "_")
    features = _features(graph, operator)
    order, values = _encoded_features(boosted)
    columns = CategoryColumns(len(order), values)
    trees = [(tree, target) for each in boosted._predictors for target, tree in enumerate(each)]  # noqa: SLF001 - there is no public way
    attributes = _tree_attributes(trees, order, columns)
    baseline = boosted._baseline_prediction.ravel()  # noqa: SLF001 - same
    # within the trees' own sum, which is rounded to single precision once and as a whole
    attributes["base_values_as_tensor"] = numpy_helper.from_array(baseline.astype(np.float64), "base_values_as_tensor")
    single = graph.add(
        "TreeEnsembleRegressor",
        columns.append(graph, features, features),
        domain="ai.onnx.ml",
        n_targets=len(baseline),
        **attributes,
    )
    margins = graph.to_double(single)
    outputs, datatype = [variable.full_name for variable in operator.outputs], _datatype(operator)
    if is_classifier(boosted):
        classes = tuple(class_values(boosted.classes_).tolist())
        write = link_functions.binary if len(baseline) == 1 else link_functions.multiclass
        answers = write(graph, margins, classes)
        texts = any(isinstance(value, str) for value in classes)
        graph.output(str(answers.label), outputs[0], "BYTES" if texts else "INT64", (-1,))
        graph.output(str(answers.probabilities), outputs[1], datatype, (-1, len(classes)))
    else:
        prediction = graph.add("Exp", margins) if _link_of(boosted) == "LogLink" else margins
        graph.output(prediction, outputs[0], datatype, (-1, 1))
    move_graph(graph.graph(), container)


def _link_of(boosted: Any) -> str:
    return type(boosted._loss.link).__name__  # noqa: SLF001 - there is no public way


def _features(graph: GraphWriter, operator: Any) -> str:
    parts = [graph.to_double(variable.full_name) for variable in operator.inputs]
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def _encoded_features(boosted: Any) -> tuple[Tensor, dict[int, list[float]]]:
    """Which feature each number in the trees means, for categories come first there; and the categories' values.

    Raises ConversionError for texts.
    """
    categorical = boosted.is_categorical_
    if categorical is None:
        return np.arange(boosted.n_features_in_), {}
    positions = np.flatnonzero(categorical)
    encoder = boosted._preprocessor.named_transformers_["encoder"]  # noqa: SLF001 - there is no public way
    if any(isinstance(value, str) for known in encoder.categories_ for value in known):
        raise ConversionError(
            f"the {type(boosted).__name__} reads texts as categories, which has no ONNX form here: put an "
            "OrdinalEncoder before it, and name its columns in categorical_features"
        )
    values = {
        int(at): [float(value) for value in known if value is not None and not np.isnan(value)]
        for at, known in zip(positions, encoder.categories_, strict=True)
    }
    return np.concatenate([positions, np.flatnonzero(~categorical)]), values


def _tree_attributes(trees: list[tuple[Any, int]], order: Tensor, columns: CategoryColumns) -> dict[str, Any]:
    """The attributes of a TreeEnsembleRegressor, whose values are double tensors."""
    parts = [_nodes_of(number, tree, order, columns) for number, (tree, _) in enumerate(trees)]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    leaves, thresholds, weights = joined.pop("leaves"), joined.pop("thresholds"), joined.pop("weights")
    counts = joined.pop("counts")
    targets = np.array([target for _, target in trees])[joined["nodes_treeids"]]
    return {
        **{name: values.astype(np.int64).tolist() for name, values in joined.items()},
        "nodes_modes": np.where(leaves, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_hitrates_as_tensor": numpy_helper.from_array(counts, "nodes_hitrates_as_tensor"),
        "nodes_values_as_tensor": numpy_helper.from_array(thresholds, "nodes_values_as_tensor"),
        "target_treeids": joined["nodes_treeids"][leaves].tolist(),
        "target_nodeids": joined["nodes_nodeids"][leaves].tolist(),
        "target_ids": targets[leaves].tolist(),
        "target_weights_as_tensor": numpy_helper.from_array(weights[leaves], "target_weights_as_tensor"),
        "aggregate_function": "SUM",
        "post_transform": "NONE",
    }


def _nodes_of(number: int, tree: Any, order: Tensor, columns: CategoryColumns) -> dict[str, Tensor]:
    nodes = tree.nodes
    leaves = nodes["is_leaf"].astype(bool)
    features = np.where(leaves, 0, order[np.where(leaves, 0, nodes["feature_idx"])]).astype(np.int64)
    thresholds = np.where(leaves, 0.0, nodes["num_threshold"])
    for node in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaves):
        feature, missing_left = int(features[node]), bool(nodes["missing_go_to_left"][node])
        words = tree.raw_left_cat_bitsets[nodes["bitset_idx"][node]].astype(np.int64)
        codes = np.flatnonzero((words[:, None] >> np.arange(32)) & 1)
        left = codes[codes < columns.known(feature)].tolist()
        features[node] = columns.column(feature, left, missing_left=missing_left, other_left=missing_left)
        thresholds[node] = THRESHOLD
    return {
        "nodes_treeids": np.full(len(nodes), number),
        "nodes_nodeids": np.arange(len(nodes)),
        "nodes_featureids": features,
        "nodes_truenodeids": np.where(leaves, 0, nodes["left"]),
        "nodes_falsenodeids": np.where(leaves, 0, nodes["right"]),
        "nodes_missing_value_tracks_true": ~leaves & nodes["missing_go_to_left"].astype(bool),
        "thresholds": thresholds,
        "weights": nodes["value"],
        "counts": nodes["count"].astype(np.float64),
        "leaves": leaves,
    }


def _datatype(operator: Any) -> str:
    from skl2onnx.common.data_types import DoubleTensorType

    return "FP64" if isinstance(operator.outputs[-1].type, DoubleTensorType) else "FP32"
