"""Row 16: token ids of texts, by their step against tokenizers alone; and what importing it costs a cold start."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))

import tokenizers
from row import Row, interleaved

from onnxlet.steps.tokenizer import Tokenizer
from onnxlet.values.signature import TensorSpec
from wordings import file_of

TEXTS, TOKENS, CALLS, ROUNDS = 8, 128, 20, 5
NAMES = ("input_ids", "attention_mask", "token_type_ids")
IMPORTS = """
from time import perf_counter
started = perf_counter()
import numpy
own = perf_counter()
import onnxlet.steps.image, onnxlet.steps.tokenizer
before = perf_counter()
import onnxlet.steps.{}
print(own - started, perf_counter() - before)
"""


def token_rows() -> list[Row]:
    """Row 16, one thread."""
    random = np.random.default_rng(0)
    words = [
        "pain",
        "in",
        "the",
        "left",
        "knee",
        "after",
        "a",
        "fall",
        "no",
        "fever",
        "short",
        "of",
        "breath",
        "over",
        "night",
        "cough",
        "with",
        "sputum",
    ]
    texts = [" ".join(random.choice(words, 2 * TOKENS)) for _ in range(TEXTS)]
    contents = file_of("WordPiece")
    step = Tokenizer(("text",), TOKENS, mask=NAMES[1], types=NAMES[2])
    read = step.plan(tuple(TensorSpec(name, "INT64", (-1, -1)) for name in NAMES), lambda _: contents)
    alone = tokenizers.Tokenizer.from_buffer(contents)
    alone.enable_truncation(TOKENS)
    alone.enable_padding()
    sent = {"text": np.array(texts, dtype=object)}
    best = interleaved(
        {
            "step": lambda: _seconds(lambda: read(sent)),
            "tokenizers": lambda: _seconds(lambda: alone.encode_batch(texts)),
        }
    )
    parts: dict[str, float | str] = {f"{name}, us": seconds * 1e6 for name, seconds in best.items()}
    ratio = best["step"] / best["tokenizers"]
    return [
        Row(16, f"{TEXTS} x {TOKENS} tokens / tokenizers alone", ratio, 1.15, "ratio", parts=parts),
        _import_row("tokenizers", "texts.tokenizing"),
        _import_row("Pillow", "pictures"),
    ]


def _import_row(name: str, module: str) -> Row:
    """What a version that reads pictures, or texts by a tokenizer, adds to the imports of a cold start."""
    command = [sys.executable, "-c", IMPORTS.format(module)]
    times = [
        tuple(map(float, subprocess.run(command, capture_output=True, check=True).stdout.split()))
        for _ in range(ROUNDS)
    ]
    numpy, added = (min(each) for each in zip(*times, strict=True))
    parts: dict[str, float | str] = {"numpy, ms": numpy * 1000, f"{name}, ms": added * 1000}
    return Row(16, f"importing {name} / importing numpy", added / numpy, 0.5, "ratio", parts=parts)


def _seconds(call: Callable[[], object]) -> float:
    """Seconds of a call, the mean of some."""
    started = perf_counter()
    for _ in range(CALLS):
        call()
    return (perf_counter() - started) / CALLS
