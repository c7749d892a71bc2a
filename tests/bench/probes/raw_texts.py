"""Tokenizers and ONNX Runtime on texts in memory: MODEL TOKENIZER TEXTS.csv TOKENS ROWS; prints the seconds it takes.

All cores work on each batch of ROWS texts, which are padded to the longest of them.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import onnxruntime
import tokenizers

graph, tokenizer_file, source, tokens, rows = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = len(os.sched_getaffinity(0))
session = onnxruntime.InferenceSession(graph, options)
tokenizer = tokenizers.Tokenizer.from_file(tokenizer_file)
tokenizer.enable_truncation(int(tokens))
tokenizer.enable_padding()
with Path(source).open(newline="") as file:
    texts = [row["text"] for row in csv.DictReader(file)]


def run(batch: list[str]) -> None:
    """Embed some texts."""
    ids = np.array([each.ids for each in tokenizer.encode_batch(batch)], np.int64)
    session.run(None, {"input_ids": ids})


run(texts[: int(rows)])
started = perf_counter()
for first in range(0, len(texts), int(rows)):
    run(texts[first : first + int(rows)])
print(perf_counter() - started)  # noqa: T201 - what it is for
