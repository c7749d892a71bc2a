"""Kinds of steps that onnxlet does not have are added from outside, and used like its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from doors import Shop
from models import tiny
from onnxlet.batch.local_files import score_path
from onnxlet.errors import InvalidInputError, RejectedModelError, UnknownStepError
from onnxlet.steps import Step, Steps, add_kind, decode_steps
from onnxlet.steps.base import Preprocessor, Specs
from onnxlet.steps.table import KINDS
from onnxlet.store import Store
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.workbench.directory import write_draft
from onnxlet.values.manifest import Draft
from onnxlet.values.refs import parse_ref
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensors


class Rescaling(Step, frozen=True, tag="rescaling"):
    """Before the graph: a column that is sent in other units than the model was trained on."""

    column: str
    factor: float

    def preprocessor(self, wanted: Specs) -> Preprocessor:
        """What multiplies it."""
        (spec,) = (spec for spec in wanted if spec.name == self.column)

        def apply(columns: Tensors) -> Tensors:
            if self.column not in columns:
                return columns
            return columns | {self.column: (columns[self.column] * self.factor).astype(spec.type.numpy)}

        return apply

    def signatures(self) -> tuple[str, ...]:
        """Where there are columns."""
        return ("columns",)

    def fills(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)


class RiskBand(Step, frozen=True, tag="risk-band"):
    """Behind the graph: a band of what an earlier step gives as probabilities."""

    bound: float

    def reads(self) -> tuple[str, ...]:
        """What the classification makes."""
        return ("probabilities",)

    def outputs(self, given: Specs) -> Specs:  # noqa: ARG002 - a text for each row, whatever they are
        """`band`."""
        return (TensorSpec("band", "BYTES", (-1,)),)

    def postprocessor(self) -> Bands:
        """What tells it."""
        return Bands(self.bound)


class Bands:
    """The step, planned."""

    provides: tuple[str, ...] = ("band",)
    needs: tuple[str, ...] = ("probabilities",)

    def __init__(self, bound: float) -> None:
        self._bound = bound

    def apply(self, outputs: Tensors) -> Tensors:
        risky = outputs["probabilities"][:, 1] > self._bound
        return {"band": np.where(risky, "high", "low").astype(object)}


@pytest.fixture(autouse=True)
def _added() -> Iterator[None]:
    add_kind(Rescaling)
    add_kind(RiskBand)
    yield
    del KINDS["rescaling"], KINDS["risk-band"]


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    return Shop(store, tmp_path / "shop")


def extended(folder: Path) -> tuple[Draft, dict[str, Path]]:
    """The tiny classifier, whose radius is sent in millimetres, and which tells a band."""
    draft, files = tiny.classifier_package(folder)
    tabular, classification = decode_steps(draft.steps).each
    steps = Steps((Rescaling("radius", 0.1), tabular, classification, RiskBand(0.9)))
    return msgspec.structs.replace(draft, steps=steps.documents, signature=steps.served(draft.graph)), files


def predictions(shop: Shop, body: dict[str, Any]) -> list[Any]:
    response = shop.predict("diagnosis", json.dumps(body))
    assert response.status == 200, response.body
    told: list[Any] = json.loads(response.body)["predictions"]
    return told


ROW = {"radius": 20.0, "texture": 2.0, "area": 1.0}


def test_a_model_with_steps_of_other_kinds_is_published_and_predicts(shop: Shop, tmp_path: Path) -> None:
    tiny.publish(shop.registry.store, "diagnosis", extended(tmp_path / "model"))

    (told,) = predictions(shop, {"instances": [ROW]})

    assert told["label"] == "malignant"
    assert told["probability"] == pytest.approx(0.95257, abs=1e-4)
    assert told["band"] == "high"
    assert [one["band"] for one in predictions(shop, {"instances": [ROW | {"radius": -100.0}, ROW]})] == ["low", "high"]


def test_steps_apply_in_their_order_and_to_their_signatures_alone(shop: Shop, tmp_path: Path) -> None:
    tiny.publish(shop.registry.store, "diagnosis", extended(tmp_path / "model"))

    (by_columns,) = predictions(shop, {"instances": [ROW]})
    (by_matrix,) = predictions(shop, {"instances": [[2.0, 2.0, 1.0]]})
    model = shop.predictor.served(parse_ref("diagnosis")).model

    assert by_columns == by_matrix, "the matrix is sent in the model's own units"
    assert list(model.signatures) == ["serving_default", "columns"]
    assert [spec.name for spec in model.signatures["columns"].inputs] == ["radius", "texture", "area"]
    only = model.predict({"input": np.array([[2.0, 2.0, 1.0]], np.float32)}, outputs=["band"])
    assert {name: tensor.tolist() for name, tensor in only.items()} == {"band": ["high"]}


def test_its_rows_are_scored_from_files(shop: Shop, tmp_path: Path) -> None:
    tiny.publish(shop.registry.store, "diagnosis", extended(tmp_path / "model"))
    source, scored = tmp_path / "rows.csv", tmp_path / "scored.csv"
    source.write_text("radius,texture,area\n20,2,1\n-100,2,1\n")

    score_path(shop.predictor, parse_ref("diagnosis"), source, scored)

    header, *lines = scored.read_text().splitlines()
    place = header.split(",").index("band")
    assert [line.split(",")[place] for line in lines] == ["high", "low"]


def test_preparing_keeps_steps_of_every_kind(shop: Shop, tmp_path: Path) -> None:
    directory = tmp_path / "model"
    draft, _ = extended(directory)
    write_draft(directory, msgspec.structs.replace(draft, golden=None), ())

    prepared, files = prepare(directory, tmp_path / "work")
    tiny.publish(shop.registry.store, "diagnosis", (prepared, files))

    assert [step["kind"] for step in prepared.steps] == ["rescaling", "tabular", "classification", "risk-band"]
    assert predictions(shop, {"instances": [ROW]})[0]["band"] == "high"


@pytest.mark.parametrize(
    ("step", "lacking"),
    [(Rescaling("height", 2.0), "height"), (RiskBand(0.5), "probabilities")],
    ids=["before", "behind"],
)
def test_a_step_without_its_place_at_the_graph_is_neither_published_nor_loaded(
    shop: Shop, tmp_path: Path, step: Step, lacking: str
) -> None:
    directory = tmp_path / "model"
    draft, files = tiny.package(tiny.identity(shape=("N", 2)), directory, steps=Steps((step,)))
    write_draft(directory, draft, ())

    with pytest.raises(RejectedModelError, match=lacking):
        prepare(directory, tmp_path / "work")
    tiny.publish(shop.registry.store, "diagnosis", (draft, files))
    with pytest.raises(RejectedModelError, match=lacking):
        shop.predictor.served(parse_ref("diagnosis"))


def test_a_kind_has_one_class() -> None:
    class Other(Step, frozen=True, tag="tabular"):
        pass

    with pytest.raises(InvalidInputError, match="steps of kind 'tabular'"):
        add_kind(Other)
    add_kind(Rescaling)


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "rescaling"},
        {"kind": "rescaling", "column": 7, "factor": 2.0},
        {"kind": "rescaling", "column": "radius", "factor": 2.0, "offset": 1.0},
        {"kind": "unheard-of"},
        {"kind": ["rescaling"]},
        {},
    ],
    ids=["lacking", "mistyped", "of a later form", "unknown", "no name", "none"],
)
def test_a_document_that_cannot_be_read_as_a_step_says_to_upgrade(document: dict[str, Any], tmp_path: Path) -> None:
    directory = tmp_path / "model"
    draft, _ = tiny.classifier_package(directory, golden=False)
    draft = msgspec.structs.replace(draft, steps=(*draft.steps, document))
    write_draft(directory, draft, ())
    with pytest.raises(UnknownStepError, match="upgrade onnxlet"):
        decode_steps(draft.steps)
    with pytest.raises(UnknownStepError, match="upgrade onnxlet"):
        prepare(directory, tmp_path / "work")


def test_documents_of_steps_read_back_as_the_steps() -> None:
    steps = Steps((Rescaling("radius", 0.1), RiskBand(0.9)))
    assert steps.documents == (
        {"kind": "rescaling", "column": "radius", "factor": 0.1},
        {"kind": "risk-band", "bound": 0.9},
    )
    assert decode_steps(steps.documents) == steps
