"""Explained rows, as the function and the command show them: tables, waterfalls, frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.explain.answer import Explanation
from onnxlet.explain.waterfall import Bar, Waterfall, draw_waterfall, plot_waterfall
from onnxlet.lifecycle.results import make_frame
from onnxlet.values.tables import Block, Facts, Table
from onnxlet.values.tensors import Tensors

if TYPE_CHECKING:
    import pandas as pd

    from onnxlet.values.manifest import Manifest

SHOWN_ROWS = 5
"""Rows that a notebook draws."""
SHOWN_COLUMNS = 10
"""Columns of a row that a table lists, those with the largest attributions."""


class ExplainedRows:
    """An `answer`, an Explanation whose attributes this has too, with the rows that it is of."""

    def __init__(self, answer: Explanation, manifest: Manifest, inputs: Tensors) -> None:
        self.answer = answer
        self.version = str(manifest.version)
        self._name = f"{manifest.model}:{manifest.version}"
        self._inputs = inputs

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.answer, name)

    def __len__(self) -> int:
        return len(self.answer.rows)

    def __repr__(self) -> str:
        answer = self.answer
        return f"<{len(self)} explained rows of {self._name}: {answer.method}, {answer.output} in {answer.unit}>"

    def _repr_html_(self) -> str:
        """A waterfall for each of the first rows, of the last class."""
        last = self.answer.classes[-1]
        drawn = "".join(f"<div>{self.waterfall(row, last)}</div>" for row in range(min(len(self), SHOWN_ROWS)))
        return self.facts().html() + drawn

    def waterfall(self, row: int = 0, label: str | None = None) -> str:
        """The SVG of one explained row; of the last class unless `label` names another. Raises InvalidInputError."""
        return draw_waterfall(self._waterfall(row, label))

    def draw(self, path: str | Path, row: int = 0, label: str | None = None) -> None:
        """Write the waterfall into a file: .svg, or .png with matplotlib; of a picture the heatmap over it, as .png.

        Raises MissingExtraError where that is not installed, InvalidInputError for another ending, and as `waterfall`.
        """
        path = Path(path)
        if self.answer.grid is not None and path.suffix == ".png":
            path.write_bytes(self.answer.overlay(row, label))
        elif self.answer.grid is not None:
            raise InvalidInputError(f"a heatmap is drawn as .png: {path.name!r} is another kind of file")
        elif path.suffix == ".svg":
            path.write_text(self.waterfall(row, label), encoding="utf-8")
        elif path.suffix == ".png":
            plot_waterfall(self._waterfall(row, label), path)
        else:
            raise InvalidInputError(f"{path.name!r} is drawn as .svg or .png: name it so")

    def _waterfall(self, row: int, label: str | None) -> Waterfall:
        answer = self.answer
        if not 0 <= row < len(self):
            raise InvalidInputError(f"there is no explained row {row}, only {len(self)} from 0")
        if label is not None and label not in answer.classes:
            raise InvalidInputError(f"class {label[:80]!r} is not explained, only {', '.join(answer.classes)}")
        place = len(answer.classes) - 1 if label is None else answer.classes.index(label)
        values = self.values(row)
        halves = [None] * len(values) if answer.interval is None else answer.interval[row, :, place].tolist()
        attributions = answer.attributions[row, :, place].tolist()
        return Waterfall(
            f"{self._name}, row {answer.rows[row] + 1}: {answer.output}, {answer.classes[place]}",
            answer.unit,
            [Bar(*each) for each in zip(answer.players, values, attributions, halves, strict=True)],
            float(answer.expected[place]),
            float(answer.predictions[row, place]),
        )

    def values(self, row: int) -> list[str]:
        """What each player is in an explained row, as people read it; empty for several columns that are one."""
        sent = self.answer.rows[row]
        if self.answer.method in ("words", "tokens", "sentences"):
            text = str(next(tensor for tensor in self._inputs.values() if tensor.dtype.kind == "O").ravel()[sent])
            spans = (name.split(":") for name in self.answer.players)
            return [text[int(start) : int(stop)] for start, stop in spans]
        matrix = next(iter(self._inputs.values()))
        players = self.answer.players
        if len(self._inputs) == 1 and matrix.ndim > 1 and matrix.shape[1] == len(players):
            return [_written(value) for value in matrix[sent]]
        columns = {name: tensor for name, tensor in self._inputs.items() if tensor.ndim == 1}
        return [_written(columns[name][sent]) if name in columns else "" for name in players]

    def facts(self) -> Facts:
        """What holds for all rows."""
        answer = self.answer
        background = answer.background
        expected = ", ".join(f"{name} {value:.4g}" for name, value in zip(answer.classes, answer.expected, strict=True))
        sampled = "" if answer.pairs is None else f"{answer.pairs} pairs, seed {answer.seed}"
        return Facts(
            [
                ("explained", f"{answer.output} in {answer.unit}, {answer.method}"),
                ("expected", expected),
                ("background", "" if background is None else f"{background.rows} rows, {background.kind}"),
                ("sampled", sampled + (", which are too few: unreliable" if answer.unreliable else "")),
            ]
        )

    def blocks(self, columns: int = SHOWN_COLUMNS) -> list[Block]:
        """The facts, and a table of each row's largest attributions."""
        return [self.facts(), self.table(columns)]

    def table(self, columns: int | None = None) -> Table:
        """A line for each row and player, the largest attribution first; at most so many players a row."""
        answer = self.answer
        lines: list[list[object]] = []
        for number, row in enumerate(answer.rows):
            values = self.values(number)
            largest = np.abs(answer.attributions[number]).max(axis=1)
            for player in np.argsort(-largest, kind="stable")[:columns]:
                line: list[object] = [row + 1, answer.players[player], values[player]]
                for place in range(len(answer.classes)):
                    line.append(f"{answer.attributions[number, player, place]:+.4g}")
                    if answer.interval is not None:
                        line.append(f"{answer.interval[number, player, place]:.2g}")
                lines.append(line)
        heads = [[name] if answer.interval is None else [name, "±"] for name in answer.classes]
        return Table(["row", "column", "value", *(each for head in heads for each in head)], lines)

    def to_frame(self) -> pd.DataFrame:
        """The table with all players as a pandas DataFrame. Raises MissingExtraError without pandas."""
        return make_frame(self.table())


def _written(value: Any) -> str:
    return f"{float(value):.5g}" if isinstance(value, float | np.floating) else str(value)
