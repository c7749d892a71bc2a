"""Linear texts: where weights of texts are but multiplied by coefficients, the graph gathers these for them.

What reads a matrix of weights is followed to each product `X @ W`, past columns that are chosen, scaled or put beside
others. There the product of each text is made by itself, of the columns that it has something in, and takes the place
of its columns: of `[A T] @ W`, where T has texts, `[A S] @ [W_A; I]` remains, be it by whatever operator.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet.toolchain.convert import graph_edits
from onnxlet.values.tensors import Tensor

PASSING = ("Identity", "Cast", "Concat", "ArrayFeatureExtractor", "Gather", "Scaler")
"""Operators that may stand between: what they give are columns of what they get, at most scaled."""
PRODUCTS = ("MatMul", "Gemm", "LinearClassifier", "LinearRegressor")

ELEMENTWISE = ("Identity", "Cast", "Concat", "Scaler", "Imputer", "Normalizer", "Binarizer")
"""Operators that give as many columns as they get."""


@dataclass(frozen=True)
class Columns:
    """Some columns of a value, by their positions there, and what each is multiplied by."""

    value: str
    positions: Tensor
    scales: Tensor


@dataclass(frozen=True)
class Product:
    """A node that multiplies: what it multiplies, side by side, and the coefficients [columns, outputs]."""

    node: onnx.NodeProto
    factors: tuple[Columns, ...]
    coefficients: Tensor

    def coefficients_by_value(self, widths: dict[str, int]) -> dict[str, Tensor]:
        """The coefficients [columns, outputs] of all columns of each value."""
        own: dict[str, Tensor] = {}
        start = 0
        for each in self.factors:
            stop = start + len(each.positions)
            whole = own.setdefault(each.value, np.zeros((widths[each.value], self.coefficients.shape[1])))
            np.add.at(whole, each.positions, self.coefficients[start:stop] * each.scales[:, None])
            start = stop
        return own


class Gathered(NamedTuple):
    """The input of the columns that weights are of, and how many numbers the graph gathers for each."""

    columns: str
    outputs: int


def gather_coefficients(model: onnx.ModelProto, matrices: Sequence[str]) -> dict[str, Gathered]:
    """Let inputs of `matrices` [N, features] that are only multiplied be weights [N, richest] with their columns.

    The columns are a further input each, which is told by the name of the weights; both are padded by 0.
    """
    graph = model.graph
    reading = _Reading(model, matrices)
    products = {name: found for name in matrices if (found := reading.products_of(name)) is not None}
    columns = {}
    for name in products:
        columns[name] = graph_edits.free_name(graph, f"{name.rsplit('_weights', 1)[0]}_columns")
        graph.input.append(helper.make_tensor_value_info(columns[name], TensorProto.INT64, [None, None]))
        (weights,) = (value for value in graph.input if value.name == name)
        weights.CopyFrom(helper.make_tensor_value_info(name, weights.type.tensor_type.elem_type, [None, None]))
    writer = _Writing(graph, reading, columns)
    replaced = {each.node.output[0]: each for found in products.values() for each in found}
    nodes = [new for node in graph.node for new in writer.nodes_of(node, replaced)]
    del graph.node[:]
    graph.node.extend(nodes)
    # what stood between is read no more
    graph_edits.keep_outputs(graph, [value.name for value in graph.output])
    outputs = {name: sum(each.coefficients.shape[1] for each in found) for name, found in products.items()}
    return {name: Gathered(columns[name], outputs[name]) for name in products}


class _Reading:
    """A graph, read for what becomes of its inputs."""

    def __init__(self, model: onnx.ModelProto, matrices: Sequence[str]) -> None:
        graph = model.graph
        self._producers = {output: node for node in graph.node for output in node.output}
        self._constants = {weight.name: weight for weight in graph.initializer}
        self._consumers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in dict.fromkeys(node.input):
                self._consumers.setdefault(name, []).append(node)
        self._given = {value.name for value in graph.output}
        self.elements = {value.name: value.type.tensor_type.elem_type for value in graph.input}
        self.widths = _known_widths(model)
        self._passed = self._follow(matrices)[0]

    def products_of(self, matrix: str) -> list[Product] | None:
        """The products that a matrix gets into; None if more is done with it, or not all is known of them."""
        passed, nodes = self._follow([matrix])
        if passed & self._given or any(node.op_type not in PRODUCTS or node.input[0] not in passed for node in nodes):
            return None
        products = [self._product(node) for node in nodes]
        known = [each for each in products if each is not None]
        # what would be gathered for a text must be less than the matrix
        outputs = sum(each.coefficients.shape[1] for each in known)
        return known if len(known) == len(nodes) and 0 < outputs <= self.widths[matrix] else None

    def _follow(self, matrices: Sequence[str]) -> tuple[set[str], list[onnx.NodeProto]]:
        """The values that columns of the matrices get into as they are, and the nodes that do more with these."""
        passed, nodes, waiting = set(matrices), dict[str, onnx.NodeProto](), list(matrices)
        while waiting:
            for node in self._consumers.get(waiting.pop(), ()):
                if not _passes(node):
                    nodes[node.output[0]] = node
                elif node.output[0] not in passed:
                    passed.add(node.output[0])
                    waiting.append(node.output[0])
        return passed, list(nodes.values())

    def _product(self, node: onnx.NodeProto) -> Product | None:
        factors = self._columns(node.input[0])
        if factors is None:
            return None
        width = sum(len(each.positions) for each in factors)
        coefficients = self._coefficients(node, width)
        return None if coefficients is None or len(coefficients) != width else Product(node, factors, coefficients)

    def _columns(self, value: str) -> tuple[Columns, ...] | None:
        """Whose columns a value's are; its own, unless matrices of texts get into it. None if that is not known."""
        node = self._producers.get(value)
        if node is None or value not in self._passed:
            width = self.widths.get(value)
            return None if width is None else (Columns(value, np.arange(width), np.ones(width)),)
        parts = [self._columns(name) for name in (node.input if node.op_type == "Concat" else node.input[:1])]
        known = tuple(each for part in parts if part is not None for each in part)
        if any(part is None for part in parts):
            return None
        if node.op_type in ("ArrayFeatureExtractor", "Gather"):
            return self._chosen(node, known)
        return _scaled(node, known) if node.op_type == "Scaler" else known

    def _chosen(self, node: onnx.NodeProto, given: Sequence[Columns]) -> tuple[Columns, ...] | None:
        """The columns at the positions that the node says, one by one."""
        if node.input[1] not in self._constants:
            return None
        chosen = numpy_helper.to_array(self._constants[node.input[1]]).ravel()
        source = np.concatenate([np.full(len(each.positions), index) for index, each in enumerate(given)])[chosen]
        positions = np.concatenate([each.positions for each in given])[chosen]
        scales = np.concatenate([each.scales for each in given])[chosen]
        cuts = [0, *(np.flatnonzero(np.diff(source)) + 1).tolist(), len(chosen)]
        return tuple(
            Columns(given[source[start]].value, positions[start:stop], scales[start:stop])
            for start, stop in pairwise(cuts)
        )

    def _coefficients(self, node: onnx.NodeProto, width: int) -> Tensor | None:
        """[columns, outputs] of a node that multiplies `width` columns; None if they are not constant."""
        if node.op_type in ("LinearClassifier", "LinearRegressor"):
            return np.array(_attribute(node, "coefficients", ()), dtype=np.float64).reshape(-1, width).T
        weight = self._constants.get(node.input[1])
        if weight is None or len(weight.dims) != 2 or _attribute(node, "transA", 0):  # noqa: PLR2004 - a matrix
            return None
        matrix = numpy_helper.to_array(weight).astype(np.float64)
        return matrix.T if _attribute(node, "transB", 0) else matrix

    def element_of(self, node: onnx.NodeProto) -> int:
        """The type of the elements that a product is computed in."""
        return self._constants[node.input[1]].data_type if node.op_type in ("MatMul", "Gemm") else TensorProto.FLOAT


class _Writing:
    """Writes what takes the place of products; `columns` name the inputs of columns by those of weights."""

    def __init__(self, graph: onnx.GraphProto, reading: _Reading, columns: dict[str, str]) -> None:
        self._graph, self._reading, self._columns = graph, reading, columns
        self._count = 0

    def nodes_of(self, node: onnx.NodeProto, products: dict[str, Product]) -> Iterator[onnx.NodeProto]:
        """The node; of a product, the nodes in its place."""
        product = products.get(node.output[0])
        if product is None:
            yield node
            return
        element = self._reading.element_of(node)
        factors, coefficients = [], []
        for value, own in product.coefficients_by_value(self._reading.widths).items():
            factor = value
            if value in self._columns:
                factor = yield from self._gather(value, own)
            cast = self._name("cast")
            yield helper.make_node("Cast", [factor], [cast], name=cast, to=element)
            factors.append(cast)
            coefficients.append(np.eye(own.shape[1]) if value in self._columns else own)
        beside = factors[0]
        if len(factors) > 1:
            beside = self._name("beside")
            yield helper.make_node("Concat", factors, [beside], name=beside, axis=1)
        yield self._multiply(node, beside, np.concatenate(coefficients), element)

    def _gather(self, weights: str, coefficients: Tensor) -> Generator[onnx.NodeProto, None, str]:
        """Yields what multiplies the weights that there are; returns the name of the product [N, outputs]."""
        element = self._reading.elements[weights]
        table = self._constant(coefficients, element)
        axis = self._constant(np.array([1]), TensorProto.INT64)
        gathered, row, product, result = (self._name(each) for each in ("gathered", "row", "product", "sum"))
        yield helper.make_node("Gather", [table, self._columns[weights]], [gathered], name=gathered)
        yield helper.make_node("Unsqueeze", [weights, axis], [row], name=row)
        yield helper.make_node("MatMul", [row, gathered], [product], name=product)
        yield helper.make_node("Squeeze", [product, axis], [result], name=result)
        return result

    def _multiply(self, node: onnx.NodeProto, factor: str, coefficients: Tensor, element: int) -> onnx.NodeProto:
        """The node with other coefficients for another factor."""
        changed = onnx.NodeProto()
        changed.CopyFrom(node)
        changed.input[0] = factor
        if node.op_type in ("LinearClassifier", "LinearRegressor"):
            (attribute,) = (each for each in changed.attribute if each.name == "coefficients")
            attribute.floats[:] = coefficients.T.ravel().tolist()
            return changed
        transposed = bool(_attribute(node, "transB", 0))
        changed.input[1] = self._constant(coefficients.T if transposed else coefficients, element)
        return changed

    def _constant(self, values: Tensor, element: int) -> str:
        name = self._name("constant")
        array = np.ascontiguousarray(values).astype(helper.tensor_dtype_to_np_dtype(element))
        self._graph.initializer.append(numpy_helper.from_array(array, name))
        return name

    def _name(self, what: str) -> str:
        self._count += 1
        return graph_edits.free_name(self._graph, f"text_{what}_{self._count}")


def _passes(node: onnx.NodeProto) -> bool:
    """Whether columns come through the node as they are, but for their scale."""
    if node.op_type == "Concat":
        return _attribute(node, "axis", 0) in (1, -1)
    if node.op_type == "Cast":
        return _attribute(node, "to", 0) in (TensorProto.FLOAT, TensorProto.DOUBLE)
    return node.op_type in PASSING and (node.op_type != "Gather" or _attribute(node, "axis", 0) == 1)


def _scaled(node: onnx.NodeProto, given: Sequence[Columns]) -> tuple[Columns, ...] | None:
    """The columns of a Scaler that shifts nothing; None for one that does, which fills what is empty."""
    if np.any(_attribute(node, "offset", (0.0,))):
        return None
    factors = np.array(_attribute(node, "scale", (1.0,)), dtype=np.float64)
    scales = np.broadcast_to(factors, sum(len(each.positions) for each in given))
    ends = np.cumsum([len(each.positions) for each in given])
    pieces = np.split(scales, ends[:-1])
    return tuple(
        Columns(each.value, each.positions, each.scales * piece) for each, piece in zip(given, pieces, strict=True)
    )


def _known_widths(model: onnx.ModelProto) -> dict[str, int]:
    """The number of columns of each value that is known to have two dimensions, the second of a known size."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    widths: dict[str, int] = {}
    for value in (*graph.input, *graph.value_info):
        dimensions = value.type.tensor_type.shape.dim
        if len(dimensions) == 2 and dimensions[1].HasField("dim_value"):  # noqa: PLR2004 - a matrix
            widths[value.name] = dimensions[1].dim_value
    for node in graph.node:
        # of these onnx infers nothing, nor of what comes of them
        given = [widths.get(name) for name in (node.input if node.op_type == "Concat" else node.input[:1])]
        known = [width for width in given if width is not None]
        if node.op_type in ELEMENTWISE and len(known) == len(given):
            widths.setdefault(node.output[0], sum(known))
    return widths


def _attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(each) for each in node.attribute if each.name == name), default)
