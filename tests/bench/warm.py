"""Rows 4 to 6: what the handler adds to a warm run, and what JSON costs."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import numpy as np
import orjson
from cold import BUILT, HANDLER, PROBES, run_probe
from row import Row, interleaved, quantiles
from stage import Stage

from onnxlet.dataplane.dispatch import DataPlane
from onnxlet.dataplane.protocols.tensorflow_serving.body import read_body, write_answer
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import open_store
from onnxlet.values.refs import Ref

MICRO = 1e6
IMAGE = (1, 3, 224, 224)


def _warm(stage: Stage, event: str, model: str = "diagnosis") -> dict[str, tuple[float, float]]:
    environ = (
        stage.environ
        | BUILT
        | {
            "ONNXLET_STORE": stage.store,
            "ONNXLET_CACHE_DIR": str(stage.directory / "cache-warm"),
            "ONNXLET_THREADS": "1",
            "AWS_LAMBDA_FUNCTION_NAME": "predict",
        }
    )
    arguments = [str(PROBES / "warm.py"), HANDLER, str(stage.published(model)), str(stage.event(event))]
    return {name: (median, tail) for name, (median, tail) in json.loads(run_probe(arguments, environ)[1]).items()}


def warm_rows(stage: Stage) -> list[Row]:
    """Rows 4 and 5: what `handler(event)` takes beyond `session.run`, over what the bare handler takes beyond it."""
    rows = []
    for number, event, name, budget in (
        (4, "one-row", "warm handler, 1 x 30", 2.0),
        (5, "many-rows", "warm handler, 256 x 30, three outputs", 0.75),
        (5, "many-rows-one-output", "warm handler, 256 x 30, one output", 0.55),
    ):
        model = "score" if event.endswith("one-output") else "diagnosis"
        measured = _warm(stage, event, model)
        stage.check_monitored(model)
        (median, tail), (floor, _) = measured["handler"], measured["run"]
        bare = measured["bare"][0] - floor
        parts: dict[str, float | str] = {f"{contender} p50 us": each[0] * MICRO for contender, each in measured.items()}
        parts |= {"handler beyond the run us": (median - floor) * MICRO, "bare beyond the run us": bare * MICRO}
        ratio = (median - floor) / bare
        rows.append(Row(number, f"{name}, beyond the run / bare orjson handler", ratio, budget, "ratio", parts=parts))
        if number == 4:
            rows.append(Row(4, f"{name}, p99 / p50", tail / median, 4.0, "ratio"))
    return rows


def image_row(stage: Stage) -> Row:
    """Row 6: a body of 150,528 numbers read and the same tensor written, against json.loads and numpy.asarray."""
    settings = Settings(cache_dir=str(stage.directory / "cache-image"))
    predictor = Predictor(open_store(stage.store), settings)
    DataPlane(predictor)  # it sets the allocator up as serving does
    model = predictor.load(Ref("identity")).model
    image = np.random.default_rng(0).random(IMAGE, np.float32)
    body = orjson.dumps({"instances": image}, option=orjson.OPT_SERIALIZE_NUMPY)

    def parse() -> None:
        read_body(body, model)

    def parse_and_encode() -> None:
        read_body(body, model)
        write_answer({"same": image}, rows=True)

    def plain() -> None:
        np.asarray(json.loads(body)["instances"], np.float32)

    def median(call: Callable[[], None]) -> float:
        return quantiles(call, 10)[0]

    best = interleaved({call.__name__: partial(median, call) for call in (parse, parse_and_encode, plain)})
    parts: dict[str, float | str] = {f"{name} ms": seconds * 1000 for name, seconds in best.items()}
    ratio = best["parse_and_encode"] / best["plain"]
    return Row(6, "JSON image 1x3x224x224, parse + encode / json.loads + asarray", ratio, 0.22, "ratio", parts=parts)
