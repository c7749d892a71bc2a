"""LIBSVM models, in its own text files, which run no code.

ONNX Runtime's SVMClassifier computes in single precision and couples two classes by the iteration that LIBSVM uses for
three and more; the graph written here is made of plain operators, in double precision, step by step as svm.cpp.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert.libsvm.coupling import couple_probabilities
from onnxlet.toolchain.convert.libsvm.file_format import SupportVectors, parse_model
from onnxlet.toolchain.convert.tabular import link_functions
from onnxlet.toolchain.convert.tabular.category_values import Categories
from onnxlet.toolchain.convert.tabular.graph_writer import GraphWriter
from onnxlet.toolchain.convert.tabular.matrix_model import MatrixModel
from onnxlet.toolchain.workbench.extras import require, versions
from onnxlet.toolchain.workbench.probing_rows import Knowledge
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.tensors import Tensor, Tensors


def open_model(path: Path, *, trust: bool, progress: Progress) -> MatrixModel:  # noqa: ARG001
    """The model in a file. Raises ConversionError for what is none or has no ONNX form, MissingExtraError."""
    require("libsvm", "libsvm")
    from libsvm.svm import libsvm, toPyModel

    try:
        # LIBSVM trusts its files' counts, so they are checked here first
        vectors = parse_model(path.read_text(encoding="utf-8"))
        native = toPyModel(libsvm.svm_load_model(str(path).encode()))
    except (KeyError, ValueError, IndexError) as error:
        raise ConversionError(
            f"{path.name!r} is no LIBSVM model, or not all of it ({type(error).__name__}: {error}): write it with "
            "svm_save_model",
            path=str(path),
        ) from error
    return MatrixModel(LibsvmModel(native, vectors))


class LibsvmModel:
    """Support vectors, and LIBSVM's own view of them to compare with."""

    framework = "LIBSVM"
    reference: ReferenceKind = "file"
    datatypes: tuple[str, ...] = ("FP32", "FP64")
    names: tuple[str, ...] | None = None  # its features are numbered
    exact_width = False
    categories: Categories = MappingProxyType({})
    sparse_zeros_are_missing = False
    forgets_classes = False
    whole_numbers: Collection[int] = ()
    marks = 0
    forgets_missing: Collection[int] = ()
    outputs = 1

    def __init__(self, native: Any, vectors: SupportVectors) -> None:
        self.versions = versions("libsvm-official", "onnx")
        self._native = native
        self._vectors = vectors
        self.width = vectors.vectors.shape[1]
        # the file has the classes in the order in which training met them
        self.classes: tuple[int | str, ...] | None = tuple(sorted(vectors.labels)) if vectors.classifies else None

    def spell(self, name: str) -> str:
        """As the column is called."""
        return name

    def known_columns(self, names: Sequence[str]) -> Knowledge:  # noqa: ARG002 - it compares with no number
        """Nothing."""
        return Knowledge()

    def sample_rows(self, count: int, width: int, random: np.random.Generator) -> Tensor:
        """Rows near the support vectors."""
        vectors = self._vectors.vectors
        rows = np.zeros((count, width))
        rows[:, : vectors.shape[1]] = random.choice(vectors, count)
        rows[:, : vectors.shape[1]] += random.normal(0, 0.3, (count, vectors.shape[1])) * vectors.std(axis=0)
        return rows.astype(np.float32).astype(np.float64)

    def predict(self, features: Tensor) -> Tensors:
        """What svm-predict gives, with `-b 1` if the model has probabilities.

        Raises InvalidInputError for NaN, and for infinities, which have no distance to a support vector.
        """
        from libsvm.svm import gen_svm_nodearray, libsvm

        if np.isnan(features).any():
            raise InvalidInputError("LIBSVM knows no missing values: fill the data's empty cells, with 0 say")
        if np.isinf(features).any():
            raise InvalidInputError("LIBSVM's kernels make nothing of infinite numbers: leave such rows out")
        nodes = [gen_svm_nodearray(row)[0] for row in features]
        if self._vectors.slopes is None:
            predicted = np.array([libsvm.svm_predict(self._native, row) for row in nodes])
            return {"prediction": predicted} if self.classes is None else {"label": predicted.astype(np.int64)}
        from ctypes import c_double

        labels, probabilities = [], []
        for row in nodes:
            estimates = (c_double * len(self._vectors.labels))()
            labels.append(libsvm.svm_predict_probability(self._native, row, estimates))
            probabilities.append(list(estimates))
        return {
            "label": np.array(labels).astype(np.int64),
            "probabilities": np.array(probabilities)[:, np.argsort(self._vectors.labels)],
        }

    def write(self, graph: GraphWriter, features: str, width: int) -> link_functions.AnswerNames:
        """The kernel against every support vector, weighed; then a sum, votes, or coupled probabilities."""
        model = self._vectors
        sums = self._decision_sums(graph, graph.to_double(features), width)
        decisions = graph.add("Sub", sums, graph.constant(model.rho))
        if not model.classifies:
            return link_functions.regression(graph, decisions, "identity", 1)
        if model.slopes is None or model.offsets is None:
            return link_functions.AnswerNames(
                label=link_functions.class_values(graph, self._vote(graph, decisions), model.labels)
            )
        scaled = graph.add("Mul", decisions, graph.constant(-model.slopes))
        likely = graph.add("Sigmoid", graph.add("Sub", scaled, graph.constant(model.offsets)))
        probabilities = couple_probabilities(graph, likely, len(model.labels))
        best = graph.add("ArgMax", probabilities, axis=1, keepdims=0)
        order = np.argsort(model.labels)
        return link_functions.AnswerNames(
            label=link_functions.class_values(graph, best, model.labels),
            probabilities=graph.add("Gather", probabilities, graph.constant(order), axis=1),
        )

    def _decision_sums(self, graph: GraphWriter, features: str, width: int) -> str:
        """Every row's likeness to the support vectors, times their weights."""
        kernel, weights = self._vectors.kernel, self._vectors.weights
        vectors = np.zeros((len(weights), width))
        vectors[:, : self._vectors.vectors.shape[1]] = self._vectors.vectors
        if kernel.name == "linear":
            return graph.add("MatMul", features, graph.constant(vectors.T @ weights))
        products = graph.add("MatMul", features, graph.constant(vectors.T * kernel.gamma))
        if kernel.name == "rbf":
            squares = graph.add("ReduceSumSquare", features, graph.constant(np.array([1])))
            distances = graph.add("Mul", squares, graph.constant([-kernel.gamma]))
            distances = graph.add("Sub", distances, graph.constant(kernel.gamma * (vectors**2).sum(axis=1)))
            alike = graph.add("Exp", graph.add("Add", distances, graph.add("Add", products, products)))
        else:
            inner = graph.add("Add", products, graph.constant([kernel.coef0]))
            if kernel.name == "sigmoid":
                alike = graph.add("Tanh", inner)
            else:
                alike = graph.add("Pow", inner, graph.constant([float(kernel.degree)]))
        return graph.add("MatMul", alike, graph.constant(weights))

    def _vote(self, graph: GraphWriter, decisions: str) -> str:
        """The position of the class that wins most of the pairs; of equals the first."""
        gained = np.zeros((len(self._vectors.pairs), len(self._vectors.labels)))
        base = np.zeros(len(self._vectors.labels))
        for pair, (i, j) in enumerate(self._vectors.pairs):
            gained[pair, i], gained[pair, j] = 1, -1
            base[j] += 1
        won = graph.to_double(graph.add("Greater", decisions, graph.constant([0.0])))
        votes = graph.add("Add", graph.add("MatMul", won, graph.constant(gained)), graph.constant(base))
        return graph.add("ArgMax", votes, axis=1, keepdims=0)
