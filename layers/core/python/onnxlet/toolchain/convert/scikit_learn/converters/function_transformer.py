"""FunctionTransformer of functions that are known, which skl2onnx 1.20 converts for no function at all.

Where a function has no value, or an infinite one, scikit-learn's next step mostly refuses the row; so does the graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.scikit_learn.converters.known_functions import KNOWN, Writer, known_function
from onnxlet.toolchain.convert.scikit_learn.nodes import Nodes

OPTIONS = {"takes_missing": [True, False], "takes_infinite": [True, False]}
"""Whether what follows takes NaN, and infinities."""


def declare(operator: Any) -> None:
    """Declare as many columns as come in, and floats where a function is computed."""
    from skl2onnx.common.data_types import guess_tensor_type

    given = operator.inputs[0].type
    widths = [variable.type.shape[1] for variable in operator.inputs]
    width = None if None in widths else sum(widths)
    kind = type(given) if operator.raw_operator.func is None else type(guess_tensor_type(given))
    operator.outputs[0].type = kind([operator.inputs[0].get_first_dimension(), width])


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Write the function. Raises ConversionError for one that is not known."""
    transformer, nodes = operator.raw_operator, Nodes(scope, container)
    if transformer.func is None:
        columns = [variable.full_name for variable in operator.inputs]
        nodes.add("Concat", *columns, axis=1, output=operator.outputs[0].full_name)
        return
    write = writer_of(
        transformer.func,
        transformer.kw_args,
        "FunctionTransformer",
        "compute it before the model, in the data",
    )
    rows = nodes.rows(operator)
    values = write(nodes, rows)
    options = container.get_options(transformer, {"takes_missing": True, "takes_infinite": True})
    for takes, test in (("takes_missing", "IsNaN"), ("takes_infinite", "IsInf")):
        if not options[takes]:
            given, made = nodes.add(test, rows), nodes.add("Not", nodes.add(test, values))
            values = nodes.refuse_unless(nodes.add("Or", given, made), values)
    nodes.write_rows(values, operator.outputs[0])


def writer_of(function: Any, arguments: Any, estimator: str, advice: str) -> Writer:
    """What writes the function. Raises ConversionError for one that is not known, or has arguments, with advice."""
    write = known_function(function)
    if write is None or arguments:
        name = getattr(function, "__name__", type(function).__name__)
        how = " with arguments of its own" if write is not None else ""
        raise ConversionError(
            f"the {estimator} calls {name}{how}, which has no ONNX form here: {advice}, or use "
            f"a function of numpy's or scipy.special's: {KNOWN}",
            estimator=estimator,
        )
    return write


def function_options(estimator: Any) -> dict[int, dict[str, bool]]:
    """By the ids of the FunctionTransformers in it: what the steps behind each take, found by asking them."""
    return {id(each): _taken(followers) for each, followers in _functions(estimator, ())}


def _functions(estimator: Any, followers: Sequence[Any]) -> Iterator[tuple[Any, Sequence[Any]]]:
    """The transformers of functions, each with the steps that come after it, in order."""
    if type(estimator).__name__ == "FunctionTransformer":
        if estimator.func is not None:
            yield estimator, followers
        return
    steps = getattr(estimator, "steps", ())
    for place, (_, step) in enumerate(steps):
        later = [each for _, each in steps[place + 1 :] if each not in (None, "passthrough")]
        yield from _functions(step, [*later, *followers])
    for part in (*getattr(estimator, "transformers_", ()), *getattr(estimator, "transformer_list", ())):
        yield from _functions(part[1], followers)


def _taken(followers: Sequence[Any]) -> dict[str, bool]:
    return {"takes_missing": _take(followers, np.nan), "takes_infinite": _take(followers, np.inf)}


def _take(followers: Sequence[Any], value: float) -> bool:
    width = getattr(followers[0], "n_features_in_", None) if followers else None
    if width is None:
        return True
    rows: Any = np.full((1, width), value)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            for step in followers:
                answer = step.transform if hasattr(step, "transform") else step.predict
                rows = answer(rows)
        except (ValueError, TypeError):
            return False
    return True
