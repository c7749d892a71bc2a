"""XGBoost's linear booster (gblinear): weights in place of trees."""

from __future__ import annotations

from typing import Any

import numpy as np

from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.values.tensors import Tensor


def write_linear(graph: GraphWriter, features: str, booster: dict[str, Any], intercept: Tensor) -> str:
    """Append the sums to a graph with `features` [N, columns]; returns its margins [N, outputs] in float64.

    `booster` is what XGBoost writes of it: a row of weights for each feature, and one of biases. Missing values add
    nothing, and the first output's intercept is that of all, as XGBoost 3 has it.
    """
    weights = np.array(booster["model"]["weights"], dtype=np.float64).reshape(-1, len(intercept))
    values = graph.to_double(graph.to_float(features))
    present = graph.add("Where", graph.add("IsNaN", values), graph.constant([0.0]), values)
    return graph.add(
        "Add",
        graph.add("MatMul", present, graph.constant(weights[:-1])),
        graph.constant(weights[-1:] + float(intercept[0])),
    )
