"""The file of an order, opened for the model that scores it, as every step opens it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnxlet.batch import scoring
from onnxlet.batch.formats import find_type
from onnxlet.errors import DigestMismatchError, InvalidInputError
from onnxlet.values.refs import Ref

if TYPE_CHECKING:
    from onnxlet.batch.formats.ports import Source, Table
    from onnxlet.batch.inputs import Inputs
    from onnxlet.batch.large.work import Work
    from onnxlet.jobs.orders import Order
    from onnxlet.serving.model import Model
    from onnxlet.serving.predictor import Predictor


def choose_inputs(model: Model, order: Order) -> Inputs:
    """How an order's rows are scored. Raises InvalidInputError for models of pictures, and as explaining does."""
    options = scoring.Options(order.keep, order.max_bad, order.columns, explain=order.explain)
    return scoring.choose_inputs(model, order.key, options)


def open_table(order: Order, content: Source, inputs: Inputs) -> Table:
    """The table of an order. Raises InvalidInputError if it cannot be scored in sections."""
    if not has_sections(order.key):
        raise InvalidInputError(f"{order.key!r} cannot be scored in sections: its rows are found by reading all of it")
    return find_type(order.key).format.open_table(content, inputs)


def has_sections(name: str) -> bool:
    """Whether files with such names can be scored in sections. Raises InvalidInputError for those of no format."""
    kind = find_type(name)
    return kind.compression is None and (kind.format.has_lines or kind.format.has_places)


def load_scorer(predictor: Predictor, work: Work) -> Model:
    """The model that the source was claimed for. Raises VersionNotFoundError, DigestMismatchError."""
    served = predictor.load(Ref(work.scorer.model, version=work.scorer.version))
    if served.digest != work.scorer.digest:
        raise DigestMismatchError(
            f"version {work.scorer.version} of {work.scorer.model!r} has another digest than {work.order.key!r} was "
            "claimed for"
        )
    return served.model
