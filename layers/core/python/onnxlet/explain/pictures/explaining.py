"""Pictures in, heatmaps out: what is covered, with what, and what of the answer is told."""

from __future__ import annotations

import msgspec
import numpy as np

from onnxlet.errors import InvalidInputError, NotExplainableError
from onnxlet.explain.answer import BackgroundUsed, Explanation, Planned
from onnxlet.explain.interface import Cancellation, Subject
from onnxlet.explain.outputs import explained_output
from onnxlet.explain.pictures.rise import RELIABLE_MASKS, Heat, find_heat, most_masks
from onnxlet.explain.request import AUTO, Budget, ExplanationRequest
from onnxlet.steps.image import LEVELS, Image, make_tables
from onnxlet.values.signature import IMAGES, SERVING_DEFAULT
from onnxlet.values.tensors import Tensor, Tensors

METHOD = "rise"
MOST_CELLS = 16
"""Cells along a side of a heatmap: finer than the patches of masks, whose edges fall anywhere."""
MOST_PICTURES = 16
"""Pictures that are explained at once."""
MOST_NUMBERS = 2**22
"""Values of covered pictures at once: 16 MB, and three times that while they are made."""
BLOCK = 64
"""Masks between two looks at the clock, fewer of large pictures."""
GRAY = 128
"""The level that covers."""


class PictureExplanations:
    """The explanations of one version that reads pictures."""

    nbytes = 0

    def __init__(self, subject: Subject) -> None:
        """Raises NotExplainableError for a version that needs more than a picture."""
        self._subject = subject
        self._step = next(step for step in subject.steps.each if isinstance(step, Image))
        specs = subject.signatures[SERVING_DEFAULT].inputs
        if len(specs) != 1:
            raise NotExplainableError("the model takes more than a picture: which part of it counts cannot be told")
        self._spec = specs[0]
        self._read = subject.steps.preprocessor(IMAGES, subject.signatures[SERVING_DEFAULT])
        shape = (-1, 1, 1) if self._step.layout == "NCHW" else (1, 1, -1)
        self._tables = make_tables(self._step)
        self._gray = self._tables[:, GRAY].reshape(shape)

    def explain(
        self,
        inputs: Tensors,
        signature: str,
        request: ExplanationRequest,
        *,
        due: float | None = None,
        cancellation: Cancellation = None,
    ) -> Explanation:
        """Explain pictures, or their tensors. `due` is when a run is stopped, by the monotonic clock, and
        `cancellation` what ends it sooner.

        Raises NotExplainableError, InvalidInputError, and what predicting raises.
        """
        if request.method not in (AUTO, METHOD):
            raise NotExplainableError(f"pictures are explained by the method {METHOD!r}, and by no other")
        count = len(next(iter(inputs.values())))
        if not 0 < count <= MOST_PICTURES:
            raise InvalidInputError(f"{count} pictures were sent: explain from 1 to {MOST_PICTURES} at once")
        pictures = self._tensor(inputs, signature)
        output = explained_output(self._subject, request.output)
        columns = list(request.columns_of(output.columns))
        asking = _Asking(self._subject, self._spec.name, output.name, columns, (due, cancellation))
        predictions = self._in_turn(asking, pictures)
        rows = list(range(count))
        if request.above is not None:
            rows = np.flatnonzero((predictions > request.above).any(axis=1)).tolist()
            pictures, predictions = pictures[rows], predictions[rows]
        expected = asking.answers(np.broadcast_to(self._cast(self._gray), (1, *pictures.shape[1:])))[0]
        grid = self._grid(pictures)
        budget = Budget(request, len(pictures))
        most_masks(budget)
        heats = [self._heat(asking, picture, grid, budget) for picture in pictures]
        found = np.array([heat.slopes() for heat in heats]).reshape(-1, 2, grid[0] * grid[1], len(columns))
        values = found[:, 0]
        explained = Explanation(
            method=METHOD,
            output=output.name,
            unit=output.unit,
            rows=tuple(rows),
            players=tuple(f"row {row}, column {column}" for row in range(grid[0]) for column in range(grid[1])),
            classes=tuple(output.columns[column] for column in columns),
            attributions=values,
            expected=expected,
            predictions=predictions,
            sum_error=float(np.abs(predictions - expected - values.sum(axis=1)).max(initial=0.0)),
            background=BackgroundUsed("gray", 1, ""),
            seed=request.seed,
            interval=found[:, 1],
            unreliable=min((heat.masks for heat in heats), default=RELIABLE_MASKS) < RELIABLE_MASKS,
            evaluations=asking.count,
            grid=grid,
            pictures=tuple(map(self._levels, pictures)),
        )
        if not request.overlay:
            return explained
        return msgspec.structs.replace(explained, overlays=tuple(map(explained.overlay, range(len(rows)))))

    def plan(self, request: ExplanationRequest) -> Planned:  # noqa: ARG002 - whatever is asked
        """Raises NotExplainableError: heatmaps are no columns."""
        raise NotExplainableError("pictures have heatmaps, which are no columns of rows: explain them one by one")

    def _tensor(self, inputs: Tensors, signature: str) -> Tensor:
        """The graph's input for what was sent. Raises InvalidInputError."""
        made = self._read(inputs) if signature == IMAGES and self._read is not None else inputs
        return made[self._spec.name]

    def _size(self, picture: Tensor) -> tuple[int, int]:
        return picture.shape[1:] if self._step.layout == "NCHW" else picture.shape[:2]

    def _grid(self, pictures: Tensor) -> tuple[int, int]:
        height, width = pictures.shape[2:] if self._step.layout == "NCHW" else pictures.shape[1:3]
        return min(MOST_CELLS, height), min(MOST_CELLS, width)

    def _heat(self, asking: _Asking, picture: Tensor, grid: tuple[int, int], budget: Budget) -> Heat:
        height, width = self._size(picture)
        at_once = max(1, MOST_NUMBERS // picture.size)
        block = max(1, min(BLOCK, MOST_NUMBERS // (height * width)))
        levels = picture.astype(np.float32)

        def ask(masks: Tensor) -> Tensor:
            return self._covered(asking, levels, masks, at_once)

        return find_heat(ask, (height, width), grid, block, budget)

    def _in_turn(self, asking: _Asking, pictures: Tensor) -> Tensor:
        return np.concatenate([asking.answers(pictures[number : number + 1]) for number in range(len(pictures))])

    def _covered(self, asking: _Asking, picture: Tensor, masks: Tensor, at_once: int) -> Tensor:
        """The answers to a picture under masks, which let gray through where they are 0."""
        masks = np.expand_dims(masks, 1 if self._step.layout == "NCHW" else 3)
        blocks = (masks[start : start + at_once] for start in range(0, len(masks), at_once))
        return np.concatenate(
            [asking.answers(self._cast(self._gray + (picture - self._gray) * block)) for block in blocks]
        )

    def _levels(self, picture: Tensor) -> Tensor:
        """What the model sees, as levels in the order of RGB."""
        black, white = (self._tables[:, level].reshape(self._gray.shape).astype(np.float64) for level in (0, -1))
        levels = np.rint((picture - black) / (white - black) * (LEVELS - 1)).clip(0, LEVELS - 1).astype(np.uint8)
        if self._step.layout == "NCHW":
            levels = levels.transpose(1, 2, 0)
        return levels[:, :, ::-1] if self._step.color == "BGR" else levels

    def _cast(self, levels: Tensor) -> Tensor:
        kind = self._spec.type.numpy
        return (np.rint(levels) if np.dtype(kind).kind in "iu" else levels).astype(kind)


class _Asking:
    """Asks the version about pictures, for some columns of one output. It counts them."""

    def __init__(
        self, subject: Subject, name: str, output: str, columns: list[int], limits: tuple[float | None, Cancellation]
    ) -> None:
        self._subject, self._name, self._output, self._columns = subject, name, output, columns
        self._due, self._cancellation = limits
        self.count = 0

    def answers(self, pictures: Tensor) -> Tensor:
        """The columns [M, classes], float64. Raises NotExplainableError where one is no finite number."""
        outputs = self._subject.predict(
            {self._name: pictures}, SERVING_DEFAULT, [self._output], due=self._due, cancellation=self._cancellation
        )
        self.count += len(pictures)
        answers = outputs[self._output]
        if answers.shape[:1] != (len(pictures),):
            raise NotExplainableError(f"the output {self._output!r} does not have one entry for each picture")
        chosen: Tensor = answers.reshape(len(pictures), -1)[:, self._columns].astype(np.float64)
        if not np.isfinite(chosen).all():
            raise NotExplainableError(f"the output {self._output!r} is NaN or infinite for this picture, or covered")
        return chosen
