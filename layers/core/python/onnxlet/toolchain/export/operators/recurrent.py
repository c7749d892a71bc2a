"""Recurrent layers: one step after the other, in one direction or both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from onnxlet.toolchain.export.operators.call import NodeCall, operator

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"Sigmoid": tf.sigmoid, "Tanh": tf.tanh, "Relu": tf.nn.relu}
_Step = Callable[[list[Any], Any], list[Any]]
_LENGTHS = 4
"""The input that says how many steps each row has."""


@operator("LSTM")
def lstm(call: NodeCall) -> Any:
    """Long short-term memory; gates in the order input, output, forget, cell."""
    _check(call, "input_forget", 7)
    directions = []
    for number, (reverse, (gate, cell, out)) in enumerate(_directions(call, 3)):
        weights, recurrence, bias = _weights(call, number, gates=4)

        def step(state: list[Any], x: Any, w: Any = weights, r: Any = recurrence, b: Any = bias) -> list[Any]:
            h, c = state
            i, o, f, g = tf.split(tf.matmul(x, w) + tf.matmul(h, r) + b[0] + b[1], 4, -1)
            c = gate(f) * c + gate(i) * cell(g)  # noqa: B023 - called before the next turn
            return [gate(o) * out(c), c]  # noqa: B023 - called before the next turn

        start = [_initial(call, index, number) for index in (5, 6)]
        directions.append(_scan(call, step, start, reverse=reverse))
    return tuple(_stack_directions(directions))


@operator("GRU")
def gru(call: NodeCall) -> Any:
    """Gated recurrent unit; gates in the order update, reset, hidden."""
    _check(call, "", 7)
    after = bool(call.attribute("linear_before_reset", 0))
    directions = []
    for number, (reverse, (gate, out)) in enumerate(_directions(call, 2)):
        weights, recurrence, bias = _weights(call, number, gates=3)

        def step(state: list[Any], x: Any, w: Any = weights, r: Any = recurrence, b: Any = bias) -> list[Any]:
            (h,) = state
            xz, xr, xh = tf.split(tf.matmul(x, w) + b[0], 3, -1)
            rz, rr, rh = tf.split(r, 3, -1)
            bz, br, bh = tf.split(b[1], 3, -1)
            z = gate(xz + tf.matmul(h, rz) + bz)  # noqa: B023 - called before the next turn
            k = gate(xr + tf.matmul(h, rr) + br)  # noqa: B023 - called before the next turn
            inner = k * (tf.matmul(h, rh) + bh) if after else tf.matmul(k * h, rh) + bh
            return [(1 - z) * out(xh + inner) + z * h]  # noqa: B023 - called before the next turn

        directions.append(_scan(call, step, [_initial(call, 5, number)], reverse=reverse))
    return tuple(_stack_directions(directions))


def _check(call: NodeCall, flag: str, last: int) -> None:
    unusual = (flag and call.attribute(flag, 0)) or call.attribute("clip") or call.attribute("layout", 0)
    if unusual or call.has(last):
        raise call.refuse("has peepholes, a clip or another layout, which are not translated")


def _directions(call: NodeCall, count: int) -> list[tuple[bool, list[Callable[[Any], Any]]]]:
    """Whether each goes backwards, and its activations."""
    by_direction = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    backwards = by_direction[call.attribute("direction", "forward")]
    default = ["Sigmoid"] + ["Tanh"] * (count - 1)
    names = [name.decode() for name in call.attribute("activations") or []] or default * len(backwards)
    if not _ACTIVATIONS.keys() >= set(names):
        raise call.refuse(f"has the activations {', '.join(names)}, which are not translated")
    chosen = [_ACTIVATIONS[name] for name in names]
    return [(reverse, chosen[count * n : count * (n + 1)]) for n, reverse in enumerate(backwards)]


def _weights(call: NodeCall, number: int, *, gates: int) -> tuple[Any, Any, Any]:
    """Weights and recurrence as [in, gates * hidden], and two biases."""
    weights, recurrence = (tf.transpose(call[index][number]) for index in (1, 2))
    bias = call[3][number] if call.has(3) else tf.zeros([2 * gates * call.attribute("hidden_size")], weights.dtype)
    return weights, recurrence, tf.split(bias, 2)


def _initial(call: NodeCall, index: int, number: int) -> Any:
    x = tf.ensure_shape(call[0], [None, None, None])
    shape = tf.stack([tf.shape(x)[1], call.attribute("hidden_size")])
    # a state for one row, in a graph that knew no others, is that of any number
    return tf.broadcast_to(call[index][number], shape) if call.has(index) else tf.zeros(shape, x.dtype)


def _scan(call: NodeCall, step: _Step, start: list[Any], *, reverse: bool) -> tuple[Any, list[Any]]:
    """The hidden state after every step [steps, N, hidden], in the order of the input's, and each state's last.

    Rows may end before the last step: their states stay as they are then, and the hidden ones told are zero.
    """
    x = tf.ensure_shape(call[0], [None, None, None])  # a branch may have left open how many dimensions there are
    if not call.has(_LENGTHS):
        states = tf.scan(step, tf.reverse(x, [0]) if reverse else x, start)
        hidden = tf.reverse(states[0], [0]) if reverse else states[0]
        return hidden, [state[-1] for state in states]
    lengths = tf.cast(call[_LENGTHS], tf.int32)
    going = tf.transpose(tf.sequence_mask(lengths, tf.shape(x)[0]))[..., None]

    def step_or_stay(state: list[Any], now: tuple[Any, Any]) -> list[Any]:
        return [tf.where(now[1], after, before) for after, before in zip(step(state, now[0]), state, strict=True)]

    states = tf.scan(step_or_stay, (_reverse_rows(x, lengths) if reverse else x, going), start)
    hidden = tf.where(going, states[0], tf.zeros_like(states[0]))
    return _reverse_rows(hidden, lengths) if reverse else hidden, [state[-1] for state in states]


def _reverse_rows(x: Any, lengths: Any) -> Any:
    return tf.reverse_sequence(x, lengths, seq_axis=0, batch_axis=1)


def _stack_directions(directions: list[tuple[Any, list[Any]]]) -> list[Any]:
    """All hidden states [steps, directions, N, hidden], and each state's last [directions, N, hidden]."""
    finals = [tf.stack(states) for states in zip(*(last for _, last in directions), strict=True)]
    return [tf.stack([hidden for hidden, _ in directions], 1), *finals]
