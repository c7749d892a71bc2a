"""Recurrent layers: one step after the other, in one direction or both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from onnxlet.toolchain.export.operators.call import NodeCall, operator

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {"Sigmoid": tf.sigmoid, "Tanh": tf.tanh, "Relu": tf.nn.relu}
_Step = Callable[[list[Any], Any], list[Any]]


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
    return tuple(_stack_directions(call, directions))


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
    return tuple(_stack_directions(call, directions))


def _check(call: NodeCall, flag: str, last: int) -> None:
    unusual = (flag and call.attribute(flag, 0)) or call.attribute("clip") or call.attribute("layout", 0)
    if unusual or call.has(4) or call.has(last):
        raise call.refuse("has peepholes, lengths per row, a clip or another layout, which are not translated")


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
    if call.has(index):
        return call[index][number]
    x = tf.convert_to_tensor(call[0])
    return tf.zeros(tf.stack([tf.shape(x)[1], call.attribute("hidden_size")]), x.dtype)


def _scan(call: NodeCall, step: _Step, start: list[Any], *, reverse: bool) -> list[Any]:
    """The states after every step, each [steps, N, hidden], in the order of the input's steps."""
    x = tf.reverse(call[0], [0]) if reverse else call[0]
    states = tf.scan(step, x, start)
    return [tf.reverse(state, [0]) for state in states] if reverse else list(states)


def _stack_directions(call: NodeCall, directions: list[list[Any]]) -> list[Any]:
    """All hidden states [steps, directions, N, hidden], and each state's last [directions, N, hidden]."""
    backwards = [reverse for reverse, _ in _directions(call, len(directions[0]) + 1)]
    finals = [
        tf.stack([states[index][0 if reverse else -1] for states, reverse in zip(directions, backwards, strict=True)])
        for index in range(len(directions[0]))
    ]
    return [tf.stack([states[0] for states in directions], 1), *finals]
