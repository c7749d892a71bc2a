"""Operators that run graphs within the graph: loops and branches, which also read the values around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import tensorflow as tf

from onnxlet.toolchain.export.operators.call import NodeCall, operator

_MOST = 2**31 - 1
_FIXED = 2
"""A body's first inputs are the number of the turn and the condition."""


@operator("Loop")
def loop(call: NodeCall) -> Any:
    """The body again and again: states that change, and values of every turn, stacked."""
    body: onnx.GraphProto = call.attribute("body")
    turns = tf.reshape(tf.cast(call.optional(0, _MOST), tf.int64), [])
    going = tf.reshape(tf.cast(call.optional(1, 1), tf.bool), [])
    states = [tf.convert_to_tensor(call[index]) for index in range(_FIXED, len(call.inputs))]
    kinds = [_kind(output) for output in body.output[1 + len(states) :]]
    stacks = [tf.TensorArray(kind, size=0, dynamic_size=True, infer_shape=False) for kind in kinds]

    def turn(number: Any, go: Any, now: list[Any], outputs: list[Any]) -> tuple[Any, Any, list[Any], list[Any]]:
        body_inputs = dict(zip((entry.name for entry in body.input), [number, go, *now], strict=True))
        answers = call.run_subgraph(body, body_inputs)
        go, after, rows = answers[0], answers[1 : 1 + len(now)], answers[1 + len(now) :]
        outputs = [stack.write(tf.cast(number, tf.int32), row) for stack, row in zip(outputs, rows, strict=True)]
        return number + 1, tf.reshape(go, []), after, outputs

    try:
        states, stacks = _repeat(turn, (going, turns), states, stacks, [state.shape for state in states])
    except ValueError:
        # a state that grows or shrinks from turn to turn
        free = [tf.TensorShape([None] * state.shape.rank) for state in states]
        states, stacks = _repeat(turn, (going, turns), states, stacks, free)
    scanned = body.output[1 + len(states) :]
    return [*states, *(_stack(stack, output) for stack, output in zip(stacks, scanned, strict=True))]


def _repeat(
    turn: Callable[..., Any], limits: tuple[Any, Any], states: list[Any], stacks: list[Any], shapes: list[Any]
) -> tuple[list[Any], list[Any]]:
    going, turns = limits
    _, _, states, stacks = tf.while_loop(
        lambda number, go, _now, _outputs: go & (number < turns),
        turn,
        (tf.constant(0, tf.int64), going, states, stacks),
        shape_invariants=(tf.TensorShape([]), tf.TensorShape([]), shapes, [tf.TensorShape(None) for _ in stacks]),
    )
    return states, stacks


@operator("If")
def branch(call: NodeCall) -> Any:
    """One of two bodies; that alone where the condition does not depend on the data."""
    condition = tf.reshape(call[0], [])
    known = tf.get_static_value(condition)
    if known is not None:
        return call.run_subgraph(call.attribute("then_branch" if known else "else_branch"), {})
    return tf.cond(
        condition,
        lambda: call.run_subgraph(call.attribute("then_branch"), {}),
        lambda: call.run_subgraph(call.attribute("else_branch"), {}),
    )


@operator("ReverseSequence")
def reverse_sequence(call: NodeCall) -> Any:
    """The first values of each row in the opposite order."""
    return tf.reverse_sequence(
        call[0], call[1], seq_axis=call.attribute("time_axis", 0), batch_axis=call.attribute("batch_axis", 1)
    )


def _kind(output: onnx.ValueInfoProto) -> Any:
    return tf.as_dtype(onnx.helper.tensor_dtype_to_np_dtype(output.type.tensor_type.elem_type))


def _stack(stack: Any, output: onnx.ValueInfoProto) -> Any:
    rows = stack.stack()
    shape = output.type.tensor_type
    if not shape.HasField("shape"):
        return rows
    sizes = [size.dim_value if size.HasField("dim_value") else None for size in shape.shape.dim]
    return tf.ensure_shape(rows, [None, *sizes])
