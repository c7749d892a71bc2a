"""Row 10: files of texts and folders of pictures scored, beside scripts that have the same libraries at hand."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

sys.path.append(str(Path(__file__).parents[1]))

from encoder import write_encoder
from processes import run_measured
from residual import SIDE, write_residual
from row import Row
from stage import Stage

from onnxlet.batch.pictures import ROWS_AT_ONCE
from onnxlet.registry.registry import Registry
from onnxlet.steps import Step, Steps
from onnxlet.steps.image import Crop, Image, Resize
from onnxlet.steps.tokenizer import MOST_TEXTS, Tokenizer
from onnxlet.store import open_store
from onnxlet.toolchain.prepare import prepare
from pictures import picture, written
from wordings import SENTENCES, file_of

TEXTS, PICTURES, TOKENS, ROUNDS = 3_000, 300, 128, 2
WORDS = (4, 16)
"""Of a text, from so many on and below so many."""
PROBES = Path(__file__).parent / "probes"
IMAGE = Image(
    "pixels",
    resize=Resize(short_side=256),
    crop=Crop(SIDE, SIDE),
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


def media_rows(stage: Stage) -> list[Row]:
    """Both rows."""
    folder = stage.directory / "media"
    folder.mkdir()
    return [_texts(stage, folder), _pictures(stage, folder)]


def _texts(stage: Stage, folder: Path) -> Row:
    write_encoder(folder / "texts.onnx")
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(file_of("WordPiece"))
    _publish(stage, folder / "texts.onnx", Tokenizer(("text",), TOKENS), {"tokenizer.json": tokenizer})
    words, random = " ".join(SENTENCES[:3]).split(), np.random.default_rng(0)
    texts = [" ".join(random.choice(words, random.integers(*WORDS))) for _ in range(TEXTS)]
    files = [_write_texts(folder / f"{name}.csv", part) for name, part in (("all", texts), ("few", texts[:1]))]
    graph = stage.published("texts")
    raw = [PROBES / "raw_texts.py", graph, tokenizer, files[0], TOKENS, MOST_TEXTS]
    return _compare("texts by an encoder of MiniLM's shape", stage, "texts", files, raw, TEXTS)


def _pictures(stage: Stage, folder: Path) -> Row:
    write_residual(folder / "films.onnx")
    _publish(stage, folder / "films.onnx", IMAGE, {})
    folders = [folder / "many", folder / "one"]
    for each, count in zip(folders, (PICTURES, 1), strict=True):
        each.mkdir()
        for number in range(count):
            data = written(picture(640, 480, seed=number), "JPEG", quality=90)
            (each / f"{number:03d}.jpg").write_bytes(data)
    raw = [PROBES / "raw_pictures.py", stage.published("films"), folders[0], ROWS_AT_ONCE]
    return _compare("JPEGs by a network of ResNet-50's shape", stage, "films", folders, raw, PICTURES)


def _compare(  # noqa: PLR0917 - what meets here
    name: str, stage: Stage, model: str, sources: Sequence[Path], raw: Sequence[object], rows: int
) -> Row:
    """Rows a second of all cores; what a file of one row takes, interpreter and model, is not in ours."""
    seconds = {"raw": float("inf"), "ours": float("inf"), "one row": float("inf")}
    for _ in range(ROUNDS):
        done = subprocess.run([sys.executable, *map(str, raw)], check=True, capture_output=True, text=True)
        seconds["raw"] = min(seconds["raw"], float(done.stdout))
        for who, source in zip(("ours", "one row"), sources, strict=True):
            output = source.parent / f"{source.stem}-scored.csv"
            command: list[str | Path] = [
                sys.executable,
                PROBES / "scoring.py",
                stage.store,
                source.parent / "cache",
                model,
                source,
                output,
            ]
            seconds[who] = min(seconds[who], run_measured(command, {"ORT_DISABLE_TELEMETRY": "1"}).wall)
    scoring = seconds["ours"] - seconds["one row"]
    parts: dict[str, float | str] = {"raw rows/s": rows / seconds["raw"], "ours rows/s": rows / scoring}
    return Row(10, f"{rows:,} {name} / raw, rows/s", seconds["raw"] / scoring, 0.9, "ratio", at_least=True, parts=parts)


def _publish(stage: Stage, graph: Path, step: Step, artifacts: dict[str, Path]) -> None:
    draft, files = prepare(graph, graph.parent / f"prepared-{graph.stem}")
    draft = msgspec.structs.replace(draft, steps=Steps((step,)).documents)
    registry = Registry(open_store(stage.store), who="bench")
    registry.promote(graph.stem, registry.publish(graph.stem, draft, {**files, **artifacts}).version)


def _write_texts(path: Path, texts: list[str]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("id", "text"), *enumerate(texts)])
    return path
