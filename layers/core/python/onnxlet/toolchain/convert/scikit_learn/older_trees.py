"""Older trees: skl2onnx's TreeEnsembleClassifier and TreeEnsembleRegressor, written anew as TreeEnsemble.

Boosters are written as such, of an operator set that has the older ones no more, and a graph has one of each set.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.tabular import link_functions
from onnxlet.toolchain.convert.tabular.forest import LEQ, Forest, Tree
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.values.tensors import Tensor

OLDER = ("TreeEnsembleClassifier", "TreeEnsembleRegressor")
_LEAF, _SPLIT = b"LEAF", b"BRANCH_LEQ"
_TWO = 2


def renew_trees(graph: Any) -> None:
    """Write the graph's older trees anew. Raises ConversionError for some that answer in another way than these."""
    nodes = []
    doubles = _beside_doubles(graph)
    for at, node in enumerate(graph.node):
        if node.op_type not in OLDER:
            nodes.append(node)
            continue
        writer = GraphWriter(f"renewed_{at}_")
        _OlderTrees(node, "FP64" if node.output[-1] in doubles else "FP32").write(writer)
        renewed = writer.graph()
        nodes.extend(renewed.node)
        graph.initializer.extend(renewed.initializer)
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _beside_doubles(graph: Any) -> set[str]:
    """The values that some node takes beside weights of double precision."""
    weights = {weight.name for weight in graph.initializer if weight.data_type == TensorProto.DOUBLE}
    return {name for node in graph.node if not weights.isdisjoint(node.input) for name in node.input}


class _OlderTrees:
    """A node of older trees, whose scores are wanted as `datatype`; they gave single precision at any rate."""

    def __init__(self, node: Any, datatype: str) -> None:
        self._node = node
        self._datatype = datatype
        self._attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        self._classifies = node.op_type == "TreeEnsembleClassifier"
        texts = [text.decode() for text in self._attributes.get("classlabels_strings", ())]
        self._classes: list[Any] = texts or list(self._attributes.get("classlabels_int64s", ()))
        scored = set(self._attributes.get("class_ids", ()))
        self._of_two = len(self._classes) == _TWO and len(scored) == 1
        outputs = len(self._classes) if self._classifies else int(self._attributes.get("n_targets", 1))
        self._outputs = 1 if self._of_two else outputs

    def write(self, graph: GraphWriter) -> None:
        """Append the trees to a graph, with outputs of the same names."""
        if self._attributes.get("aggregate_function", b"SUM") != b"SUM":
            raise self._refusal()
        margins = self._forest().write(graph, self._node.input[0])
        link = self._attributes.get("post_transform", b"NONE").decode()
        if not self._classifies:
            if link != "NONE":
                raise self._refusal()
            graph.output(margins, self._node.output[0], self._datatype, (-1, self._outputs))
            return
        label, scores = (
            self._of_two_classes(graph, margins, link) if self._of_two else self._of_many(graph, margins, link)
        )
        texts = isinstance(self._classes[0], str)
        graph.output(label, self._node.output[0], "BYTES" if texts else "INT64", (-1,))
        graph.output(scores, self._node.output[1], self._datatype, (-1, len(self._classes)))

    def _of_two_classes(self, graph: GraphWriter, margins: str, link: str) -> tuple[str, str]:
        """Label and scores by the score of the second class."""
        if link == "LOGISTIC":
            answers = link_functions.binary(graph, margins, self._classes)
            return str(answers.label), str(answers.probabilities)
        if link != "NONE":
            raise self._refusal()
        positive = graph.add("Greater", margins, graph.constant([0.5]))
        other = graph.add("Sub", graph.constant([1.0]), margins)
        scores = graph.add("Concat", other, margins, axis=1)
        return link_functions.label_where(graph, positive, self._classes), scores

    def _of_many(self, graph: GraphWriter, margins: str, link: str) -> tuple[str, str]:
        """Label and scores by the score of each class."""
        if link not in ("NONE", "SOFTMAX"):
            raise self._refusal()
        best = graph.add("ArgMax", margins, axis=1, keepdims=0)
        scores = graph.add("Softmax", margins, axis=1) if link == "SOFTMAX" else margins
        return link_functions.class_values(graph, best, self._classes), scores

    def _forest(self) -> Forest:
        """The trees, with features in the precision of their thresholds: scikit-learn's compare single numbers."""
        modes = np.array(self._attributes["nodes_modes"])
        if not np.isin(modes, (_LEAF, _SPLIT)).all():
            raise self._refusal()
        kind = "class" if self._classifies else "target"
        base = self._numbers("base_values", np.zeros(self._outputs, dtype=np.float32))
        precision = self._numbers("nodes_values").dtype
        weights = self._numbers(f"{kind}_weights").astype(np.float64)
        outputs = np.zeros(len(weights), dtype=np.int64) if self._of_two else np.array(self._attributes[f"{kind}_ids"])
        owners = np.array(self._attributes[f"{kind}_treeids"])
        places = np.array(self._attributes[f"{kind}_nodeids"])
        numbers = np.array(self._attributes["nodes_treeids"])
        trees = []
        for number in np.unique(numbers).tolist():
            own = owners == number
            trees.append(
                self._tree(numbers == number, modes, partial(_leaf_values, places[own], outputs[own], weights[own]))
            )
        return Forest(trees, self._outputs, LEQ, base.astype(precision))

    def _tree(self, own: Tensor, modes: Tensor, values_of: Any) -> Tree:
        """The tree of the nodes `own`; `values_of` gives the values of its leaves."""
        read = {
            name: np.array(self._attributes[f"nodes_{name}"])[own]
            for name in ("nodeids", "featureids", "truenodeids", "falsenodeids")
        }
        leaf = modes[own] == _LEAF
        place = np.zeros(int(read["nodeids"].max()) + 1, dtype=np.int64)
        place[read["nodeids"]] = np.where(leaf, ~(np.cumsum(leaf) - 1), np.cumsum(~leaf) - 1)
        tracks = self._attributes.get("nodes_missing_value_tracks_true")
        missing = np.zeros(len(own), dtype=bool) if not tracks else np.array(tracks, dtype=bool)
        return Tree(
            features=read["featureids"][~leaf],
            thresholds=self._numbers("nodes_values")[own][~leaf].astype(np.float64),
            missing_left=missing[own][~leaf],
            left=place[read["truenodeids"][~leaf]],
            right=place[read["falsenodeids"][~leaf]],
            leaves=values_of(read["nodeids"][leaf], self._outputs),
        )

    def _numbers(self, name: str, default: Tensor | None = None) -> Tensor:
        """Numbers in single precision, or those of a tensor in its own."""
        tensor = self._attributes.get(f"{name}_as_tensor")
        if tensor is not None:
            return np.asarray(numpy_helper.to_array(tensor))
        values = np.array(self._attributes.get(name, ()), dtype=np.float32)
        return values if len(values) or default is None else default

    def _refusal(self) -> ConversionError:
        return ConversionError(
            f"a {self._node.op_type} that does more than add its trees up has no ONNX form beside a booster: convert "
            "them one by one"
        )


def _leaf_values(places: Tensor, outputs: Tensor, weights: Tensor, leaves: Tensor, width: int) -> Tensor:
    """The values [leaves, width] of the nodes `leaves`, of which `places`, `outputs` and `weights` are parallel."""
    row = np.zeros(int(leaves.max()) + 1, dtype=np.int64)
    row[leaves] = np.arange(len(leaves))
    values = np.zeros((len(leaves), width))
    np.add.at(values, (row[places], outputs), weights)
    return values
