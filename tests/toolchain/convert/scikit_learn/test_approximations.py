"""What ONNX has no operator for comes within the bound that is said of it, at every size of number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

import scipy.special
import scipy.stats
from sklearn.impute import KNNImputer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline

from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.scikit_learn.approximations import BOUND
from onnxlet.toolchain.convert.scikit_learn.converters.interpolation import interpolate
from onnxlet.toolchain.convert.scikit_learn.converters.known_functions import known_function
from onnxlet.toolchain.convert.scikit_learn.converters.normal_distribution import normal_quantiles, normal_shares
from onnxlet.toolchain.convert.scikit_learn.exporter import OPSET
from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes

pytestmark = pytest.mark.toolchain


class Names:
    """Unique names, as skl2onnx gives them."""

    def __init__(self) -> None:
        self._count = 0

    def get_unique_variable_name(self, name: str) -> str:
        """A name that no other thing has."""
        self._count += 1
        return f"{name}{self._count}"

    get_unique_operator_name = get_unique_variable_name


class Container:
    """What is written to a graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add_initializer(self, *parts: Any) -> None:  # noqa: ANN401
        """Add a constant by name, datatype, shape and values."""
        self.initializers.append(helper.make_tensor(*parts))

    def add_node(self, kind: str, inputs: list[str], outputs: list[str], **rest: Any) -> None:  # noqa: ANN401
        """Add a node."""
        self.nodes.append(helper.make_node(kind, inputs, outputs, **rest))


def computed(write: Callable[[Nodes, str], str], numbers: trained.Array) -> trained.Array:
    """What ONNX Runtime makes of the numbers [N, columns] by what `write` writes."""
    container = Container()
    result = write(Nodes(Names(), container), "numbers")
    graph = helper.make_graph(
        container.nodes,
        "function",
        [helper.make_tensor_value_info("numbers", TensorProto.DOUBLE, [None, None])],
        [helper.make_tensor_value_info(result, TensorProto.DOUBLE, None)],
        container.initializers,
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in OPSET.items()]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"numbers": numbers})[0])


def sizes(low: float, high: float) -> trained.Array:
    """Numbers of both signs and of every size between two powers of ten, and those that end a range."""
    random = np.random.default_rng(0)
    some = 10 ** random.uniform(low, high, 5000)
    return np.concatenate([some, -some, 1 + some, 0.5 - some, [0, 1, -1, 0.5, np.inf, -np.inf, np.nan]])[:, None]


@pytest.mark.parametrize(
    "name",
    ["log1p", "expm1", "log2", "log10", "exp2", "exp", "log", "cbrt", "arcsinh", "sinh", "tanh", "expit", "logit"],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_functions_of_numbers_of_every_size_are_within_the_bound(name: str) -> None:
    function = getattr(np, name, None) or getattr(scipy.special, name)
    write = known_function(function)
    assert write is not None
    numbers = np.concatenate([sizes(-300, 300), sizes(-20, 3)])
    np.testing.assert_allclose(computed(write, numbers), function(numbers), rtol=BOUND, atol=1e-300)


def test_normal_quantiles_and_shares_are_within_the_bound() -> None:
    shares = np.concatenate([10 ** np.linspace(-7, -0.31, 9000), 1 - 10 ** np.linspace(-7, -0.31, 9000)])[:, None]
    np.testing.assert_allclose(computed(normal_quantiles, shares), scipy.stats.norm.ppf(shares), rtol=BOUND)
    numbers = np.linspace(-5.5, 5.5, 20_001)[:, None]
    np.testing.assert_allclose(computed(normal_shares, numbers), scipy.stats.norm.cdf(numbers), rtol=BOUND)


@pytest.mark.parametrize("points", [2, 3, 8, 100])
def test_lines_between_points_are_those_of_numpy_to_the_last_bit(points: int) -> None:
    random = np.random.default_rng(points)
    xs = np.sort(random.normal(size=(3, points)).round(1 if points > 2 else 9))
    ys = np.sort(random.normal(size=(3, points)))
    beside = [np.nextafter(xs.T, side) for side in (-np.inf, np.inf)]
    ends = np.array([[np.inf, -np.inf, np.nan]]).T * np.ones(3)
    numbers = np.concatenate([xs.T, *beside, random.normal(size=(300, 3)) * 2, ends])

    drawn = computed(lambda nodes, name: interpolate(nodes, name, xs, ys), numbers)

    expected = np.stack([np.interp(numbers[:, each], xs[each], ys[each]) for each in range(3)], axis=1)
    np.testing.assert_array_equal(drawn, expected)


def test_a_note_says_that_equally_near_neighbours_are_a_matter_of_chance(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    model = make_pipeline(KNNImputer(n_neighbors=2), LinearRegression()).fit(rows, rows @ [1.0, 2.0, 3.0])

    draft = convert(model, tmp_path / "out", data=rows)

    assert any("equally near neighbours" in note for note in draft.notes)
