"""Operators between a signal and its frequencies. Complex numbers are pairs, in a last dimension of two."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from onnxlet.toolchain.export.operators.call import NodeCall, operator


@operator("STFT")
def short_time_fourier(call: NodeCall) -> Any:
    """The frequencies of each frame of a real signal [N, T, 1], as [N, frames, frequencies, 2]."""
    signal = tf.convert_to_tensor(call[0])
    if signal.shape.rank == 3 and signal.shape[-1] not in (1, None):  # noqa: PLR2004 - [N, T, 1]
        raise call.refuse("takes a complex signal, which is not translated")
    signal = signal if signal.shape.rank == 2 else signal[..., 0]  # noqa: PLR2004 - [N, T]
    step = int(call.static(1))
    window = call[2] if call.has(2) else None
    length = int(call.static(3)) if call.has(3) else tf.convert_to_tensor(window).shape[0]
    frames = tf.signal.frame(signal, length, step)
    if window is not None:
        frames *= window
    if call.attribute("onesided", 1):
        spectrum = tf.signal.rfft(frames)
    else:
        spectrum = tf.signal.fft(tf.complex(frames, tf.zeros_like(frames)))
    return tf.stack([tf.math.real(spectrum), tf.math.imag(spectrum)], -1)
