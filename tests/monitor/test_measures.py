"""Measures of pictures and texts: as Pillow and the tokenizer tell them, of some rows, and never for an answer."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

pytest.importorskip("PIL")
pytest.importorskip("tokenizers")

from PIL import Image as Pillow
from PIL import ImageStat

from doors import Shop
from onnxlet.monitor.baseline import Numbers
from onnxlet.monitor.live import LiveSketches
from onnxlet.monitor.measures import MOST_MEASURED, measure_rows, plan_measures
from onnxlet.monitor.versions import give_baseline
from onnxlet.monitor.windows import list_days, read_window
from onnxlet.steps import Steps
from onnxlet.steps.image import Image
from onnxlet.steps.tokenizer import Tokenizer
from onnxlet.store import Store
from onnxlet.telemetry.recording import Telemetry
from onnxlet.toolchain.workbench.baseline import count_rows
from onnxlet.values.refs import parse_ref
from onnxlet.values.tensors import Tensors
from pictures import BRIGHT, DARK, picture, publish_films, read, written
from wordings import file_of, tokenizer_of


def column(*sent: object) -> Any:  # noqa: ANN401 - an array of objects
    made = np.empty(len(sent), dtype=object)
    made[:] = sent
    return made


def measured(steps: Steps, inputs: Tensors) -> Tensors:
    return measure_rows(plan_measures(steps), inputs)


def test_pictures_are_as_large_bright_and_rich_in_contrast_as_pillow_tells() -> None:
    sent = [DARK, BRIGHT, written(picture(100, 20))]
    found = measured(Steps((Image("pixels"),)), {"image_bytes": column(*sent)})
    for place, data in enumerate(sent):
        seen = read(data)
        assert found["image_bytes: pixels"][place] == seen.size[0] * seen.size[1]
        together = ImageStat.Stat(Pillow.fromarray(np.asarray(seen).reshape(1, -1)))  # all channels in one
        assert found["image_bytes: brightness"][place] == pytest.approx(together.mean[0] / 255)
        assert found["image_bytes: contrast"][place] == pytest.approx(together.stddev[0] / 255)


def test_what_is_no_picture_is_left_out() -> None:
    found = measured(Steps((Image("pixels"),)), {"image_bytes": column(b"no picture", DARK)})
    assert {name: len(numbers) for name, numbers in found.items()} == dict.fromkeys(found, 1)


def test_the_share_of_unknown_tokens_is_the_tokenizers() -> None:
    step = Tokenizer(("text",), 16)
    texts = ["the patient", "\u4e2d \u6587 the", ""]
    (name,) = (found := measured(Steps((step,), lambda _: file_of("WordPiece")), {"text": column(*texts)}))
    reader = tokenizer_of("WordPiece")
    for text, share in zip(texts, found[name].tolist(), strict=True):
        tokens = reader.encode(text, add_special_tokens=False).tokens
        assert share == pytest.approx(tokens.count("[UNK]") / len(tokens) if tokens else 0.0)
    assert found[name][1] > 0


def test_a_broken_tokenizer_harms_no_counting() -> None:
    assert measured(Steps((Tokenizer(("text",), 16),), lambda _: b"{}"), {"text": column("a")}) == {}


def test_of_many_rows_some_are_measured() -> None:
    found = measured(Steps((Image("pixels"),)), {"image_bytes": column(*[DARK] * 100)})
    assert len(found["image_bytes: pixels"]) == MOST_MEASURED


def test_live_pictures_are_counted_in_the_baselines_bins(store: Store, tmp_path: Path) -> None:
    telemetry = Telemetry(rows=10_000)
    telemetry.watch_with(lambda: LiveSketches(store))
    shop = Shop(store, tmp_path, telemetry=telemetry)
    publish_films(shop)
    model = shop.predictor.served(parse_ref("films")).model
    sent = {"image_bytes": column(*[written(picture(40, 30, seed=seed)) for seed in range(40)])}
    baseline = count_rows(sent, model.steps, lambda part: model.predict(part, "images"))
    brightness = next(each for each in baseline.columns if each.name == "image_bytes: brightness")
    assert isinstance(brightness, Numbers)
    assert len(baseline.measured) == 3
    give_baseline(store, "films", 1, baseline)
    for _ in range(3):
        pictures = [{"image_bytes": {"b64": base64.b64encode(BRIGHT).decode()}}] * 10
        answer = shop.predict("films", orjson.dumps({"signature_name": "images", "instances": pictures}))
        assert answer.status == 200, answer.body
        telemetry.fold()
    telemetry.flush()
    (day,) = list_days(store, "films", 1)
    (sketch,) = read_window(store, "films", 1, day).sketches
    assert sketch.rows == 30
    assert sum(sketch.inputs["image_bytes: brightness"]) == 30
    assert sketch.inputs["image_bytes: brightness"][-2] == 30
