"""Heatmaps of pictures: they lie where the answer comes from, as covering those places by hand shows."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from onnx import helper

import onnxlet
from doors import Shop, spec
from onnxlet.client.explanations import read_explanation
from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.messages import Request
from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.pictures.overlay import draw_overlay
from onnxlet.explain.pictures.rise import find_heat
from onnxlet.explain.request import Budget, ExplanationRequest
from onnxlet.steps import Classification, Steps
from onnxlet.steps.image import Image, Resize
from onnxlet.store import open_store
from pictures import written

pytest.importorskip("PIL", reason="needs the image extra")
import PIL.Image

SIDE = 48
SPOT = 5.0


def film(height: float, width: float, seed: int = 0, spot: float = 120) -> PIL.Image.Image:
    """A dark film under noise with a soft bright spot at (height, width), shares of its sides."""
    y, x = np.mgrid[0 : 2 * SIDE, 0 : 2 * SIDE] / 2
    light = 90 + np.random.default_rng(seed).normal(0, 12, x.shape)
    light += spot * np.exp(-(((x - width * SIDE) / SPOT) ** 2) - ((y - height * SIDE) / SPOT) ** 2)
    return PIL.Image.fromarray(light.clip(0, 255).astype(np.uint8))


def publish_spots(
    shop: Shop, *, color: Literal["RGB", "BGR", "L"] = "L", layout: Literal["NCHW", "NHWC"] = "NCHW", batch: int = -1
) -> None:
    """A model of bright spots wherever they are: the brightest mean of 6 x 6 pixels, made a probability."""
    step = Image("pixels", color=color, resize=Resize(exact=(SIDE, SIDE)), scale=1 / 255, layout=layout)
    shape = (batch, step.channels, SIDE, SIDE) if layout == "NCHW" else (batch, SIDE, SIDE, step.channels)
    first = "pixels" if layout == "NCHW" else "turned"
    nodes = [
        helper.make_node("ReduceMean", [first, "channel"], ["gray"], keepdims=1),
        helper.make_node("AveragePool", ["gray"], ["soft"], kernel_shape=[6, 6], strides=[2, 2]),
        helper.make_node("ReduceMax", ["soft", "sides"], ["light"], keepdims=0),
        helper.make_node("Reshape", ["light", "column"], ["brightest"]),
        helper.make_node("Mul", ["brightest", "ten"], ["steep"]),
        helper.make_node("Sub", ["steep", "six"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["opacity"]),
        helper.make_node("Sub", ["one", "opacity"], ["clear"]),
        helper.make_node("Concat", ["clear", "opacity"], ["scores"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["class"], axis=1, keepdims=0),
    ]
    turn = [helper.make_node("Transpose", ["pixels"], ["turned"], perm=[0, 3, 1, 2])] if layout == "NHWC" else []
    shop.publish(
        "spots",
        [spec("pixels", "FP32", *shape)],
        [spec("class", "INT64", batch), spec("scores", "FP32", batch, 2)],
        [*turn, *nodes],
        weights={
            "channel": np.array([1]),
            "sides": np.array([1, 2, 3]),
            "column": np.array([-1, 1]),
            "ten": np.array([14], np.float32),
            "six": np.array([8.4], np.float32),
            "one": np.array([1], np.float32),
        },
        served=[
            spec("label", "BYTES", batch),
            spec("probability", "FP32", batch),
            spec("probabilities", "FP32", batch, 2),
        ],
        steps=Steps((step, Classification("class", "scores", ("clear", "opacity"), (0, 1)))),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("spots")
    publish_spots(Shop(open_store((folder / "store").as_uri()), folder / "shop"))
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Any:  # noqa: ANN401 - what load gives
    return onnxlet.load("spots", store=folder / "store")


def peak(heat: Any) -> tuple[float, float]:  # noqa: ANN401 - an array
    """Where it is hottest, as shares of its sides."""
    row, column = np.unravel_index(heat.argmax(), heat.shape)
    return (row + 0.5) / heat.shape[0], (column + 0.5) / heat.shape[1]


def probabilities(model: Any, pixels: Any) -> Any:  # noqa: ANN401 - arrays
    """The probability of an opacity, for tensors."""
    return model.predict_proba({"pixels": pixels.astype(np.float32)})[:, 1]


def covered(pixels: Any, cells: Any, grid: tuple[int, int]) -> Any:  # noqa: ANN401 - arrays
    """A tensor [1, 1, side, side] with some cells of a grid, true or false, gray."""
    wide = np.kron(cells.reshape(grid), np.ones((SIDE // grid[0], SIDE // grid[1])))
    return np.where(wide, 128 / 255, pixels)


def tensor(picture: PIL.Image.Image) -> Any:  # noqa: ANN401 - an array
    small = picture.resize((SIDE, SIDE), PIL.Image.Resampling.BILINEAR)
    return np.asarray(small)[None, None].astype(np.float32) / np.float32(255)


def test_the_peak_lies_on_the_spot_wherever_it_is(model: Any) -> None:  # noqa: ANN401
    random = np.random.default_rng(1)
    places = random.uniform(0.15, 0.85, (16, 2))
    explained = model.explain(
        [written(film(height, width, n)) for n, (height, width) in enumerate(places)], classes="opacity"
    )
    assert explained.grid == (16, 16)
    assert explained.heatmaps.shape == (16, 1, 16, 16)
    for place, (heat,) in zip(places, explained.heatmaps, strict=True):
        assert np.abs(np.array(peak(heat)) - place).max() * SIDE < 6


def test_deleting_by_heat_is_faster_than_by_chance_and_agrees_with_covering_each_cell(model: Any) -> None:  # noqa: ANN401
    """The deletion curve: the probability while cells are covered, the hottest first."""
    picture = film(0.35, 0.6)
    (heat,) = model.explain([written(picture)], classes="opacity").heatmaps[0]
    pixels, cells = tensor(picture), heat.size

    def area(order: Any) -> float:  # noqa: ANN401 - an array
        steps = np.zeros((cells, cells), dtype=bool)
        for number in range(cells):
            steps[number, order[: number + 1]] = True
        tensors = np.concatenate([covered(pixels, step, heat.shape) for step in steps])
        return float(probabilities(model, tensors).mean())

    random = np.random.default_rng(0)
    by_heat = area(np.argsort(-heat.ravel()))
    by_chance = [area(random.permutation(cells)) for _ in range(10)]
    assert by_heat < 0.5 * np.mean(by_chance)
    assert by_heat < min(by_chance)

    whole = probabilities(model, pixels)[0]
    windows = np.array([[_window(row, column) for column in range(16)] for row in range(16)]).reshape(256, 256)
    drops = whole - probabilities(model, np.concatenate([covered(pixels, each, (16, 16)) for each in windows]))
    assert np.corrcoef(heat.ravel(), drops)[0, 1] > 0.7


def _window(row: int, column: int) -> Any:  # noqa: ANN401 - an array
    cells = np.zeros((16, 16), dtype=bool)
    cells[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
    return cells.ravel()


def test_what_changes_nothing_is_cold(model: Any) -> None:  # noqa: ANN401
    gray = PIL.Image.new("L", (SIDE, SIDE), 128)
    explained = model.explain([written(gray)])
    assert np.abs(explained.attributions).max() < 1e-6
    np.testing.assert_allclose(explained.predictions[0], explained.expected, atol=1e-7)


def test_intervals_hold_the_slope_of_very_many_masks(model: Any) -> None:  # noqa: ANN401
    picture = [written(film(0.5, 0.5))]
    truth = model.explain(picture, classes="opacity", max_evaluations=8000, seed=99).attributions
    inside = []
    for seed in range(12):
        explained = model.explain(picture, classes="opacity", seed=seed)
        inside.append(np.abs(explained.attributions - truth) <= explained.interval * np.sqrt(1 + 500 / 8000))
    assert np.mean(inside) > 0.92


def test_a_seed_repeats_and_a_picture_is_explained_alone_as_among_others(model: Any) -> None:  # noqa: ANN401
    pictures = [written(film(0.3, 0.3)), written(film(0.7, 0.5, seed=1))]
    both = model.explain(pictures, seed=7)
    assert np.array_equal(both.attributions, model.explain(pictures, seed=7).attributions)
    assert np.array_equal(both.attributions[1:], model.explain(pictures[1:], seed=7).attributions)
    assert not np.array_equal(both.attributions, model.explain(pictures, seed=8).attributions)
    assert (both.seed, both.method, both.unit, both.classes) == (7, "rise", "probability", ("clear", "opacity"))
    np.testing.assert_allclose(both.attributions[:, :, 0], -both.attributions[:, :, 1], atol=1e-6)


def test_large_pictures_have_fewer_masks_at_once_and_the_same_heat() -> None:
    slopes = []
    for block in (1, 64):
        budget = Budget(ExplanationRequest(max_evaluations=100), 1)
        heat = find_heat(
            lambda masks: masks[:, :8, :8].mean(axis=(1, 2), dtype=np.float64)[:, None], (40, 30), (4, 4), block, budget
        )
        slopes.append(heat.slopes()[0])
    np.testing.assert_allclose(slopes[0], slopes[1], atol=1e-9)


def test_budgets_are_kept_and_too_little_is_said(model: Any) -> None:  # noqa: ANN401
    pictures = [written(film(0.3, 0.3))]
    few = model.explain(pictures, max_evaluations=100)
    assert few.unreliable
    assert few.evaluations == 100 + 2
    assert not model.explain(pictures, max_evaluations=200).unreliable
    hurried = model.explain(pictures * 2, max_ms=0.001, max_evaluations=100_000)
    assert hurried.unreliable
    assert hurried.evaluations < 300
    with pytest.raises(InvalidInputError, match="must be at least 20 for a picture"):
        model.explain(pictures, max_evaluations=19)
    with pytest.raises(NotExplainableError, match="by the method 'rise', and by no other"):
        model.explain(pictures, method="sampled")
    with pytest.raises(InvalidInputError, match="explain from 1 to 16 at once"):
        model.explain(pictures * 17)
    with pytest.raises(InvalidInputError, match="picture 0 is no JPEG"):
        model.explain([b"hello"])


def test_a_tensor_is_explained_as_its_picture_is(model: Any) -> None:  # noqa: ANN401
    picture = film(0.4, 0.7)
    by_tensor = model.explain({"pixels": tensor(picture)})
    assert np.array_equal(by_tensor.attributions, model.explain([written(picture)]).attributions)


@pytest.mark.parametrize(("color", "layout"), [("RGB", "NCHW"), ("BGR", "NHWC"), ("L", "NHWC")])
def test_other_colors_and_layouts_do_as_well(
    color: Literal["RGB", "BGR", "L"], layout: Literal["NCHW", "NHWC"], tmp_path: Path
) -> None:
    publish_spots(Shop(open_store((tmp_path / "store").as_uri()), tmp_path / "shop"), color=color, layout=layout)
    picture = film(0.3, 0.7)
    colored = PIL.Image.merge("RGB", (picture, picture.point(lambda level: level // 2), picture))
    explained = onnxlet.load("spots", store=tmp_path / "store").explain([written(colored)], classes="opacity")
    row, column = peak(explained.heatmaps[0, 0])
    assert max(abs(row - 0.3), abs(column - 0.7)) * SIDE < 6
    seen = np.asarray(
        colored.convert("L" if color == "L" else "RGB").resize((SIDE, SIDE), PIL.Image.Resampling.BILINEAR)
    )
    assert np.array_equal(explained.pictures[0].squeeze(), seen)


def test_an_overlay_is_the_picture_with_red_where_it_is_hot(model: Any) -> None:  # noqa: ANN401
    explained = model.explain([written(film(0.3, 0.7))])
    overlay = PIL.Image.open(io.BytesIO(explained.overlay(0, "opacity")))
    assert (overlay.format, overlay.size, overlay.mode) == ("PNG", (288, 288), "RGB")
    red = np.asarray(overlay).astype(int)[:, :, 0] - np.asarray(overlay).astype(int)[:, :, 2]
    assert np.abs(np.array(peak(red)) - (0.3, 0.7)).max() * SIDE < 6
    opposite = np.asarray(PIL.Image.open(io.BytesIO(explained.overlay(0, "clear")))).astype(int)
    assert (opposite[:, :, 2] - opposite[:, :, 0]).max() > 50
    with pytest.raises(InvalidInputError, match="no heatmap of 'nothing'"):
        explained.overlay(0, "nothing")


def test_a_picture_is_explained_over_http_by_itself_and_in_json(folder: Path) -> None:
    shop = Shop(open_store((folder / "store").as_uri()), folder / "shop")
    answer = shop.send(
        "POST", "/v1/models/spots:explain", written(film(0.3, 0.7), "JPEG"), **{"content-type": "image/jpeg"}
    )
    assert answer.status == 200, answer.body
    document = json.loads(answer.body)
    assert document["predictions"][0]["label"] == "opacity"
    assert (document["explained"]["method"], document["explained"]["grid"]) == ("rise", [16, 16])
    assert document["explained"]["seed"] == 0
    cells = document["explanations"][0]["attributions"]["opacity"]
    assert len(cells) == 256
    read = read_explanation(document)
    assert (read.grid, read.residual) == ((16, 16), None)
    assert read.attributions[0, :, read.classes.index("opacity")].tolist() == list(cells.values())
    hottest = max(cells, key=cells.__getitem__)
    row, column = (int(word.split()[1]) for word in hottest.split(", "))
    assert max(abs((row + 0.5) / 16 - 0.3), abs((column + 0.5) / 16 - 0.7)) * SIDE < 6


def test_the_overlay_comes_over_http_where_it_is_asked_for(folder: Path, model: Any) -> None:  # noqa: ANN401
    shop = Shop(open_store((folder / "store").as_uri()), folder / "shop")
    picture = written(film(0.3, 0.7), "JPEG")
    own = model.explain([picture], classes="opacity").overlay()
    query = DataPlane(shop.predictor).answer(
        Request(
            "POST",
            "/v1/models/spots:explain",
            "overlay=true&classes=opacity",
            {"content-type": "image/jpeg"},
            picture,
        )
    )
    sent = {"b64": base64.b64encode(picture).decode()}
    asked = {"instances": [sent], "explain": {"overlay": True, "classes": "opacity"}}
    by_json = shop.send("POST", "/v1/models/spots:explain", json.dumps(asked).encode())
    for body in (query.body, by_json.body):
        assert isinstance(body, bytes)
        document = json.loads(body)
        assert base64.b64decode(document["explanations"][0]["overlay"]) == own
        assert read_explanation(document).overlay() == own
        with pytest.raises(InvalidInputError, match="picture is not here"):
            read_explanation(document).overlay(of="opacity")
    tensor: dict[str, Any] = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": [sent["b64"]]}
    tensor["parameters"] = {"content_type": "base64"}
    parameters = {"explain_overlay": True, "explain_classes": "opacity"}
    by_open = shop.send(
        "POST", "/v2/models/spots/explain", json.dumps({"inputs": [tensor], "parameters": parameters}).encode()
    )
    tensors = {each["name"]: each["data"] for each in json.loads(by_open.body)["outputs"]}
    assert base64.b64decode(tensors["explain_overlay"][0]) == own


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("method=sampled", b"by the method 'rise', and by no other"),
        ("seed=-1", b"'seed' is a whole number"),
        ("color=red", b"'explain' takes method"),
        ("&".join(f"f{number}=1" for number in range(40)), b"the query cannot be read"),
    ],
)
def test_what_a_query_asks_wrongly_is_the_callers_error(folder: Path, query: str, words: bytes) -> None:
    shop = Shop(open_store((folder / "store").as_uri()), folder / "shop")
    request = Request(
        "POST", "/v1/models/spots:explain", query, {"content-type": "image/jpeg"}, written(film(0.3, 0.7), "JPEG")
    )
    answer = DataPlane(shop.predictor).answer(request)
    assert answer.status in {400, 422}
    assert isinstance(answer.body, bytes)
    assert words in answer.body


def test_overlays_of_large_pictures_are_made_smaller() -> None:
    levels = np.zeros((3000, 1500, 1), np.uint8)
    drawn = PIL.Image.open(io.BytesIO(draw_overlay(levels, np.ones((16, 16)))))
    assert drawn.size == (512, 1024)


def test_only_pictures_above_a_threshold_are_explained(model: Any) -> None:  # noqa: ANN401
    pictures = [written(film(0.5, 0.5, spot=0)), written(film(0.5, 0.5))]
    assert model.explain(pictures, classes="opacity", above=0.5).rows == (1,)
    assert model.explain(pictures[:1], classes="opacity", above=0.5).rows == ()


def test_a_graph_that_takes_one_picture_at_a_time_is_refused(tmp_path: Path) -> None:
    publish_spots(Shop(open_store((tmp_path / "store").as_uri()), tmp_path / "shop"), batch=1)
    with pytest.raises(NotExplainableError, match="is not a number, or several, for each row"):
        onnxlet.load("spots", store=tmp_path / "store").explain([written(film(0.5, 0.5))])
