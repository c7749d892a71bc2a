"""This onnxlet before a version that a newer one published: what answers, in a warm process and in a cold one."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from doors import Shop
from models import tiny
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request, Response
from onnxlet.serving.predictor import Predictor
from onnxlet.store import Store
from onnxlet.values.manifest import Draft

ROW = json.dumps({"instances": [{"radius": 2.0, "texture": 2.0, "area": 1.0}]})
FUTURE: list[dict[str, Any]] = [
    {"kind": "image", "input": "pixels", "size": [224, 224]},
    {"kind": "tabular", "columns": [], "input": "input", "imputation": "median"},
]


@pytest.fixture
def shop(store: Store, tmp_path: Path) -> Shop:
    """A store whose alias is read anew for every request, with one version."""
    shop = Shop(store, tmp_path / "shop", alias_ttl=0.0)
    tiny.publish(store, "diagnosis", tiny.classifier_package(tmp_path / "first"))
    return shop


def publish_newer(
    shop: Shop, folder: Path, step: dict[str, Any], failing: Literal["previous", "refuse"] = "previous"
) -> None:
    """Publish and promote a version with a step of the future."""
    draft, files = tiny.classifier_package(folder, on_golden_failure=failing)
    tiny.publish(shop.registry.store, "diagnosis", (with_step(draft, step), files))


def with_step(draft: Draft, step: dict[str, Any]) -> Draft:
    return replace(draft, steps=(*draft.steps, step))


def restarted(shop: Shop) -> DataPlane:
    """The data plane of a process that has loaded nothing yet."""
    return DataPlane(Predictor(shop.registry.store, shop.settings))


def ask(dataplane: DataPlane) -> Response:
    return dataplane.answer(Request("POST", "/v1/models/diagnosis:predict", "", {}, ROW.encode()))


def told(response: Response) -> tuple[int, str | None, str | None]:
    return response.status, response.headers.get("X-Onnxlet-Model-Version"), response.headers.get("X-Onnxlet-Fallback")


@pytest.mark.parametrize("step", FUTURE, ids=["kind", "field"])
def test_a_warm_process_goes_on_with_the_version_it_served_last(
    shop: Shop, tmp_path: Path, step: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    before = ask(shop.dataplane)
    publish_newer(shop, tmp_path / "second", step)

    with caplog.at_level(logging.ERROR):
        after = ask(shop.dataplane)

    assert told(before) == (200, "1", None)
    assert told(after) == (200, "1", "true")
    assert after.body == before.body
    assert "version refused" in caplog.text
    assert "upgrade onnxlet" in caplog.text


@pytest.mark.parametrize("step", FUTURE, ids=["kind", "field"])
def test_a_cold_process_answers_by_the_newest_previous_version_that_it_can_load(
    shop: Shop, tmp_path: Path, step: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    publish_newer(shop, tmp_path / "second", step)
    publish_newer(shop, tmp_path / "third", step)

    with caplog.at_level(logging.ERROR):
        response = ask(restarted(shop))

    assert told(response) == (200, "1", "true")
    assert "version 3 of 'diagnosis' is refused and version 1 answers" in caplog.text
    assert "upgrade onnxlet" in caplog.text


def test_where_no_other_version_may_answer_the_error_says_to_upgrade(shop: Shop, tmp_path: Path) -> None:
    publish_newer(shop, tmp_path / "second", FUTURE[0], failing="refuse")

    response = ask(restarted(shop))

    assert response.status == 500
    assert "upgrade onnxlet" in (response.text() or "")


def test_where_there_is_no_previous_version_the_error_says_to_upgrade(store: Store, tmp_path: Path) -> None:
    shop = Shop(store, tmp_path / "shop")
    publish_newer(shop, tmp_path / "only", FUTURE[0])

    response = ask(shop.dataplane)

    assert response.status == 500
    assert "step of kind 'image'" in (response.text() or "")
    assert "upgrade onnxlet" in (response.text() or "")


def test_the_refused_version_is_not_fetched(shop: Shop, tmp_path: Path) -> None:
    publish_newer(shop, tmp_path / "second", FUTURE[0])
    ask(restarted(shop))
    folders = {path.name for path in Path(shop.settings.cache_dir).iterdir()}
    digests = [shop.registry.alias("diagnosis")[0].routes[0].digest]
    assert folders
    assert folders.isdisjoint(digest.removeprefix("sha256:") for digest in digests)


def test_the_next_version_that_it_knows_answers_at_once(shop: Shop, tmp_path: Path) -> None:
    ask(shop.dataplane)
    publish_newer(shop, tmp_path / "second", FUTURE[0])
    ask(shop.dataplane)
    tiny.publish(shop.registry.store, "diagnosis", tiny.classifier_package(tmp_path / "third"))

    assert told(ask(shop.dataplane)) == (200, "3", None)
