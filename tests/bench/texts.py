"""Row 14: one text through its step against scikit-learn's own `transform`, and through the graph of a linear model."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from row import Row, interleaved
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline

from onnxlet.serving.engine import load_engine
from onnxlet.steps.base import Preprocessor
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.scikit_learn.vectorizers import read_vectorizer
from onnxlet.toolchain.workbench.directory import read_draft, read_steps
from onnxlet.values.signature import TensorSpec

VOCABULARY = 50_000
WORDS = 100
TEXTS = 1_500
CALLS = 20
LETTERS = 26
WANTED = (TensorSpec("i", "INT64", (-1, -1)), TensorSpec("v", "FP32", (-1, -1)))
VECTORIZERS = {
    "TfidfVectorizer, words": (TfidfVectorizer(), 0.25),
    "CountVectorizer, words": (CountVectorizer(), 0.6),
    "CountVectorizer, 2 to 4 characters within words": (CountVectorizer(analyzer="char_wb", ngram_range=(2, 4)), 0.6),
    "HashingVectorizer, words": (HashingVectorizer(), 0.6),
}


def text_rows() -> list[Row]:
    """Row 14, one thread."""
    texts = _texts()
    rows = [
        _reading_row(name, vectorizer.fit(texts), budget, texts) for name, (vectorizer, budget) in VECTORIZERS.items()
    ]
    return [*rows, _graph_row(texts)]


def _texts() -> list[str]:
    """Texts of words that are as frequent as those of a language: the n-th a n-th as often as the first."""
    random = np.random.default_rng(0)
    lengths = random.integers(3, 10, VOCABULARY)
    words = ["".join(chr(ord("a") + letter) for letter in random.integers(0, LETTERS, length)) for length in lengths]
    frequent = 1 / np.arange(1, VOCABULARY + 1)
    texts = [" ".join(random.choice(words, WORDS, p=frequent / frequent.sum())) for _ in range(TEXTS)]
    # every word once, so that the vocabulary is as large as it says
    return [*texts, *(" ".join(words[start : start + WORDS]) for start in range(0, VOCABULARY, WORDS))]


def _reading_row(name: str, vectorizer: Any, budget: float, texts: list[str]) -> Row:  # noqa: ANN401
    read, text = _reader(vectorizer), texts[0]
    sent = {"t": np.array([text], dtype=object)}
    for each in texts[:TEXTS]:
        # a step remembers what it made of words that it met
        read({"t": np.array([each], dtype=object)})
    best = interleaved(
        {
            "step": lambda: _seconds(lambda: read(sent)),
            "transform": lambda: _seconds(lambda: vectorizer.transform([text])),
        }
    )
    parts = {f"{who}, us": seconds * 1e6 for who, seconds in best.items()}
    return Row(14, f"{name}, one text / transform", best["step"] / best["transform"], budget, "ratio", parts={**parts})


def _reader(vectorizer: Any) -> Preprocessor:  # noqa: ANN401
    columns = read_vectorizer(vectorizer)
    step = msgspec.structs.replace(columns.step, column="t", values="v", indices="i", artifact="words")
    return step.plan(WANTED, lambda _: columns.encode())


def _graph_row(texts: list[str]) -> Row:
    kinds = np.arange(len(texts)) % 2
    model = make_pipeline(TfidfVectorizer(), SGDClassifier(loss="log_loss", random_state=0)).fit(texts, kinds)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "texts"
        convert(model, folder, data=texts[:TEXTS], target=kinds[:TEXTS])
        engine = load_engine(folder / "model.onnx", threads=1, optimized=False, run_deadline=10)
        steps = read_steps(folder, read_draft(folder)[0])
        prepare = steps.preprocessor("columns", engine.signature)
        if prepare is None:
            raise RuntimeError("the model has no step that reads texts")
        inputs = prepare({"text": np.array(texts[:1], dtype=object)})
        seconds = interleaved({"run": lambda: _seconds(lambda: engine.run(inputs))})["run"]
        engine.close()
    return Row(14, f"linear model of {VOCABULARY} words, one text in the graph", seconds * 1e6, 30, "us")


def _seconds(call: Callable[[], object]) -> float:
    """Seconds of a call, the mean of some."""
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - started) / CALLS
