"""What a store holds, looked at from Python: listed, shown, compared, and as notebooks show it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pandas as pd
import pytest

import onnxlet
from markup import paragraphs, tables
from models import tiny
from onnxlet.errors import InvalidInputError, ModelNotFoundError, VersionNotFoundError
from onnxlet.registry.registry import Registry
from onnxlet.store import open_store
from onnxlet.values.contract import Bounds, Contract, Estimate, Stage
from onnxlet.values.manifest import Evaluation


def judged(accuracy: float, data: str = "sha256:held-out") -> Contract:
    return Contract(
        holds=True,
        task="classification",
        metric="accuracy",
        rows=114,
        bounds=Bounds(),
        findings=(),
        stages=(Stage("source", {"accuracy": Estimate(0.5)}), Stage("onnx", {"accuracy": Estimate(accuracy)})),
        data_digest=data,
    )


@pytest.fixture
def registry(directory_url: str, tmp_path: Path) -> onnxlet.Registry:
    """Two models: one of three versions, two of which were judged; one of a bare graph."""
    store = open_store(directory_url)
    inside = Registry(store, who="<b>ana</b>")
    draft, files = tiny.classifier_package(tmp_path / "one")
    for contract in (judged(0.95), judged(0.96)):
        inside.publish("diagnosis", msgspec.structs.replace(draft, contract=contract), files)
    measured = (Evaluation("onnx", 9, {"accuracy": 0.25, "largest_distance": 1e-7, "label_agreement": 1.0}),)
    inside.publish("diagnosis", msgspec.structs.replace(draft, evaluations=measured), files)
    inside.promote("diagnosis", 1, why="the first")
    inside.promote("diagnosis", 2, why="recall > 0.9 & <i>more</i>")
    inside.promote("diagnosis", 1, alias="candidate")
    tiny.publish(store, "sum", tiny.package(tiny.regressor(), tmp_path / "sum"), alias=None)
    return onnxlet.Registry(directory_url)


def test_models_and_versions_are_listed(registry: onnxlet.Registry, directory_url: str) -> None:
    models, versions = registry.list(), registry.list("diagnosis")
    assert [tuple(model) for model in models] == [
        ("diagnosis", [1, 2, 3], {"candidate": "1", "production": "2"}),
        ("sum", [1], {}),
    ]
    assert [version.aliases for version in versions] == [("candidate",), ("production",), ()]
    assert repr(models).splitlines()[1].split() == ["diagnosis", "3", "3", "2", "candidate", "1"]
    assert tables(models._repr_html_())[0][1] == ["diagnosis", "3", "3", "2", "candidate 1"]
    assert list(versions.to_frame()["version"]) == [1, 2, 3]
    assert tables(registry._repr_html_()) == tables(models._repr_html_())
    assert repr(registry) == f"<onnxlet registry in {directory_url}>"
    with pytest.raises(ModelNotFoundError):
        registry.list("nothing")


def test_versions_are_listed_with_their_metrics_and_the_best_first_if_wished(registry: onnxlet.Registry) -> None:
    assert [version.metrics.get("accuracy") for version in registry.list("diagnosis")] == [0.95, 0.96, 0.25]
    best = registry.list("diagnosis", sort="accuracy")
    assert [version.number for version in best] == [2, 1, 3]
    assert list(best.to_frame()["accuracy"]) == ["0.96", "0.95", "0.25"]
    with pytest.raises(InvalidInputError, match="no version has the metric 'rmse', only 'accuracy'"):
        registry.list("diagnosis", sort="rmse")
    with pytest.raises(InvalidInputError, match="nor any other"):
        registry.list("sum", sort="rmse")


def test_an_empty_store_has_an_empty_list(tmp_path: Path) -> None:
    models = onnxlet.Registry(tmp_path / "empty").list()
    assert list(models) == []
    assert repr(models) == "(none)"
    assert paragraphs(models._repr_html_()) == ["(none)"]


def test_a_version_is_shown_as_the_command_shows_it(registry: onnxlet.Registry) -> None:
    shown = registry.show("diagnosis@candidate")
    assert (shown.model, shown.version, str(shown)) == ("diagnosis", 1, "diagnosis:1")
    assert repr(shown) == "<diagnosis:1: the contract holds on 114 rows>"
    facts = dict(row for row in tables(shown._repr_html_())[0])
    assert facts["publisher"] == "<b>ana</b>"
    assert facts["manifest"] == shown.digest
    assert repr(registry.show("sum:1")) == "<sum:1: no contract>"
    with pytest.raises(VersionNotFoundError):
        registry.show("sum:2")


def test_versions_are_compared_by_the_metrics_of_what_is_served(registry: onnxlet.Registry) -> None:
    comparison = registry.compare("diagnosis:1", "diagnosis")
    assert {name: dict(metrics) for name, metrics in comparison.items()} == {
        "diagnosis:1": {"accuracy": 0.95},
        "diagnosis:2": {"accuracy": 0.96},
    }
    assert comparison.note == ""
    (table,) = tables(comparison._repr_html_())
    assert table[:3] == [
        ["", "diagnosis:1", "diagnosis:2"],
        ["accuracy", "0.95", "0.96"],
        ["contract", "holds on 114 rows", "holds on 114 rows"],
    ]
    assert repr(comparison).splitlines()[1].split() == ["accuracy", "0.95", "0.96"]
    assert comparison.to_frame()["accuracy"].idxmax() == "diagnosis:2"


def test_a_bare_name_compares_all_versions_and_says_if_they_were_judged_on_other_rows(
    registry: onnxlet.Registry,
) -> None:
    comparison = registry.compare("diagnosis")
    assert list(comparison) == ["diagnosis:1", "diagnosis:2", "diagnosis:3"]
    assert comparison["diagnosis:3"] == {"accuracy": 0.25}
    assert paragraphs(comparison._repr_html_()) == [comparison.note]
    assert "not all were judged on the same rows" in repr(comparison)


def test_moves_are_listed_with_their_reasons_escaped(registry: onnxlet.Registry) -> None:
    moves = registry.history("diagnosis")
    assert [(move.action, move.why) for move in moves] == [
        ("promote", "the first"),
        ("promote", "recall > 0.9 & <i>more</i>"),
    ]
    (table,) = tables(moves._repr_html_())
    assert table[2][2] == "<b>ana</b>"
    assert table[2][-1] == "recall > 0.9 & <i>more</i>"
    assert isinstance(moves.to_frame(), pd.DataFrame)
