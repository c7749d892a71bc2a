"""Texts for networks that bring their tokenizer: which columns hold them, and the network's own answers to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.convert.networks.network import ReadsTexts
from onnxlet.toolchain.convert.trained_model import ModelRows
from onnxlet.toolchain.workbench.data import PAIR, TEXT
from onnxlet.toolchain.workbench.table import Table, quoted
from onnxlet.values.tensors import Tensors, stack_padded

TOKENS = (16, 5, 64)
"""About how many tokens made-up texts have."""
RANDOM_TEXTS = 8
GOLDEN_CANDIDATES = 16
BATCHES = (1, 3)


def read_text_columns(table: Table, targets: Sequence[str]) -> Tensors:
    """The column of texts, or the two of pairs. Raises InvalidInputError for fewer and more."""
    names = [name for name in table.columns if name not in targets]
    if len(names) not in (1, len(PAIR)):
        raise InvalidInputError(
            f"{table.name!r} has {len(names)} columns besides the target, {quoted(names)}, and one of texts is needed, "
            "or two of pairs"
        )
    return {name: np.array(table.column(name), dtype=object) for name in names}


def rows_of_texts(network: ReadsTexts, texts: Tensors, *, seed: int) -> ModelRows:
    """The texts; some of them, and made-up ones, to compare on too; and made-up ones for golden cases."""
    names, count = tuple(texts), len(next(iter(texts.values())))
    fewer = (ModelRows({name: column[:rows] for name, column in texts.items()}) for rows in BATCHES if rows < count)
    made_up = (
        ModelRows(network.random_texts(names, RANDOM_TEXTS, tokens, seed=seed + tokens), "random")
        for tokens in TOKENS[1:]
    )
    golden = ModelRows(network.random_texts(names, GOLDEN_CANDIDATES, TOKENS[0], seed=seed + 1), "random")
    return ModelRows(texts, variations=(*fewer, *made_up), golden_candidates=golden)


def random_rows_of_texts(network: ReadsTexts, *, seed: int) -> ModelRows:
    """Made-up texts where there are no data."""
    names = PAIR if network.pairs else (TEXT,)
    rows = rows_of_texts(network, network.random_texts(names, RANDOM_TEXTS, TOKENS[0], seed=seed), seed=seed)
    return ModelRows(rows.columns, "random", rows.variations)


def answer_texts(network: ReadsTexts, texts: Tensors, size: int) -> Tensors:
    """The network's own answers, `size` rows at a time, as the step makes them of as many."""
    parts = list(_answers(network, texts, size))
    return {name: stack_padded([part[name] for part in parts]) for name in parts[0]}


def _answers(network: ReadsTexts, texts: Tensors, size: int) -> Iterator[Tensors]:
    count = len(next(iter(texts.values())))
    for start in range(0, count, size):
        yield network.answer({name: column[start : start + size] for name, column in texts.items()})
