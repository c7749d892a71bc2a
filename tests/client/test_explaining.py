"""Explanations over HTTP, from a real server, against those that the model at hand gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

import onnxlet
from laboratory import Laboratory, background_of, perceptron, product
from onnxlet.client import Client
from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.answer import Explanation
from onnxlet.explain.request import ExplanationRequest
from onnxlet.serving.model import Model
from onnxlet.store import open_store
from scripted import serving

NAMES = ("age", "dose", "weight", "height")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store."""
    return tmp_path_factory.mktemp("explaining")


@pytest.fixture(scope="module")
def models(folder: Path) -> dict[str, Model]:
    """A model of columns, one that is sampled, and one without a background."""
    laboratory = Laboratory(open_store((folder / "store").as_uri()), folder)
    rows = background_of(12, 4)
    background = {name: rows[:, place] for place, name in enumerate(NAMES)}
    made = {
        "product": product(laboratory, columns=NAMES, background=background),
        "perceptron": perceptron(laboratory),
    }
    product(laboratory, name="bare", background=None)
    return made


@pytest.fixture(scope="module")
def client(folder: Path, models: dict[str, Model]) -> Iterator[Client]:
    """A client of a server of them."""
    assert models
    with serving((folder / "store").as_uri(), folder / "serving") as server, onnxlet.connect(server.url) as client:
        yield client


def same(got: Explanation, expected: Explanation) -> None:
    """Raises where an answer that went over HTTP is another."""
    for name, value in msgspec.structs.asdict(expected).items():
        other = getattr(got, name)
        if isinstance(value, np.ndarray):
            np.testing.assert_allclose(other, value, atol=1e-6)
        elif name != "evaluations":  # a server remembers its background's answers
            assert other == pytest.approx(value) if isinstance(value, float) else other == value, name


def test_an_explanation_comes_back_as_it_was_made(client: Client, models: dict[str, Model]) -> None:
    rows = background_of(3, 30, seed=9)
    request = ExplanationRequest("sampled", classes=(1, 0), seed=3, max_evaluations=300)
    expected = models["perceptron"].explain({"x": rows}, request=request)
    same(client.explain("perceptron", rows, method="sampled", classes=[1, 0], seed=3, max_evaluations=300), expected)


def test_rows_by_name_are_explained_where_they_are_above(client: Client) -> None:
    explained = client.explain("product:1", [dict.fromkeys(NAMES, 0.0), dict.fromkeys(NAMES, 3.0)], above=100)
    assert (explained.rows, explained.players) == ((1,), NAMES)
    assert explained.attributions.sum() + explained.expected[0] == pytest.approx(256)
    nothing = client.explain("product", [dict.fromkeys(NAMES, 0.0)], above=100)
    assert (nothing.rows, nothing.attributions.shape) == ((), (0, 0, 1))


def test_what_cannot_be_explained_is_the_servers_refusal(client: Client) -> None:
    with pytest.raises(NotExplainableError, match="no background"):
        client.explain("bare", [[1, 2, 3, 4]])
    with pytest.raises(InvalidInputError, match="gradients are not computed"):
        client.explain("product", [[1, 2, 3, 4]], method="gradients")
