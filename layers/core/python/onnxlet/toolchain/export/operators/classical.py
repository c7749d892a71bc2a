"""Operators of ai.onnx.ml, which scikit-learn's converters write; forests have a file of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from onnxlet.toolchain.export.operators.call import ML, NodeCall, operator
from onnxlet.values.tensors import Tensor


@operator("Scaler", domain=ML)
def scaler(call: NodeCall) -> Any:
    """(x - offset) * scale, column by column, in single precision."""
    x = tf.cast(call[0], tf.float32)
    return (x - np.array(call.attribute("offset"), np.float32)) * np.array(call.attribute("scale"), np.float32)


@operator("Normalizer", domain=ML)
def normalizer(call: NodeCall) -> Any:
    """Rows of one length."""
    x = tf.cast(call[0], tf.float32)
    match call.attribute("norm", "MAX"):
        case "L1":
            length = tf.reduce_sum(tf.abs(x), -1, keepdims=True)
        case "L2":
            length = tf.sqrt(tf.reduce_sum(x * x, -1, keepdims=True))
        case _:
            length = tf.reduce_max(x, -1, keepdims=True)
    return tf.math.divide_no_nan(x, length)


@operator("Binarizer", domain=ML)
def binarizer(call: NodeCall) -> Any:
    """1 above a threshold, else 0."""
    return tf.cast(call[0] > call.attribute("threshold", 0.0), tf.convert_to_tensor(call[0]).dtype)


@operator("Imputer", domain=ML)
def imputer(call: NodeCall) -> Any:
    """Columns with a value for what is missing."""
    x = tf.convert_to_tensor(call[0])
    kind = "floats" if x.dtype.is_floating else "int64s"
    values = np.asarray(call.attribute(f"imputed_value_{kind}"), x.dtype.as_numpy_dtype)
    missing = call.attribute(f"replaced_value_{kind[:-1]}", 0)
    absent = tf.math.is_nan(x) if x.dtype.is_floating and np.isnan(missing) else x == missing
    return tf.where(absent, values, x)


@operator("ArrayFeatureExtractor", domain=ML)
def extractor(call: NodeCall) -> Any:
    """Some of the columns."""
    x = tf.convert_to_tensor(call[0])
    picked = tf.gather(x, tf.reshape(call[1], [-1]), axis=-1)
    return tf.reshape(picked, [1, -1]) if x.shape.rank == 1 else picked


@operator("FeatureVectorizer", domain=ML)
def vectorizer(call: NodeCall) -> Any:
    """Columns side by side."""
    return tf.concat([tf.cast(value, tf.float32) for value in call.all()], -1)


@operator("LabelEncoder", domain=ML)
def label_encoder(call: NodeCall) -> Any:
    """A value for each key."""
    x = tf.convert_to_tensor(call[0])
    keys, values = (_listed(call, side) for side in ("keys", "values"))
    default = _default(call, values)
    if keys is None or values is None:
        raise call.refuse("has keys of a kind that is not translated")
    matches = x[..., None] == tf.constant(keys, x.dtype)
    if x.dtype.is_floating:
        matches |= tf.math.is_nan(x)[..., None] & tf.constant(np.isnan(keys))
    chosen = tf.gather(tf.constant(values), tf.argmax(tf.cast(matches, tf.int8), -1))
    return tf.where(tf.reduce_any(matches, -1), chosen, tf.cast(default, chosen.dtype))


def _listed(call: NodeCall, side: str) -> Tensor | None:
    """Keys or values; texts are objects."""
    kinds = (("int64s", np.int64), ("floats", np.float32), ("strings", object), ("tensor", None))
    for kind, dtype in kinds:
        listed = call.attribute(f"{side}_{kind}")
        if listed is not None:
            return np.array(listed, dtype=dtype).reshape(-1)
    return None


def _default(call: NodeCall, values: Tensor | None) -> Any:
    tensor = call.attribute("default_tensor")
    if tensor is not None:
        return tensor.reshape(-1)[0]
    if values is None or values.dtype == object:
        return call.attribute("default_string", "_Unused")
    return call.attribute("default_int64", -1) if values.dtype.kind == "i" else call.attribute("default_float", -0.0)


@operator("OneHotEncoder", domain=ML)
def one_hot(call: NodeCall) -> Any:
    """One column per category."""
    x = tf.convert_to_tensor(call[0])
    categories = call.attribute("cats_strings") if x.dtype == tf.string else call.attribute("cats_int64s")
    if x.dtype == tf.string:
        known = tf.constant([_text(category) for category in categories])
    else:
        x, known = tf.cast(x, tf.int64), tf.constant(categories, tf.int64)
    matches = x[..., None] == known
    if not call.attribute("zeros", 1):
        tf.debugging.Assert(tf.reduce_all(tf.reduce_any(matches, -1)), ["a category that the model does not know"])
    return tf.cast(matches, tf.float32)


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


@operator("LinearRegressor", domain=ML)
def linear_regressor(call: NodeCall) -> Any:
    """Weighted sums."""
    return _linear(call, call.attribute("targets", 1))


@operator("LinearClassifier", domain=ML)
def linear_classifier(call: NodeCall) -> Any:
    """The class of the largest weighted sum, and the scores."""
    labels, texts = call.attribute("classlabels_ints"), call.attribute("classlabels_strings")
    classes = tf.constant(labels, tf.int64) if labels else tf.constant([_text(text) for text in texts])
    count = len(call.attribute("intercepts", [0.0]))
    if count == 1:
        raise call.refuse("scores one class of two, which is not translated")
    scores = _linear(call, count)
    label = tf.gather(classes, tf.argmax(scores, -1))
    return label, transformed(call, scores)


def _linear(call: NodeCall, outputs: int) -> Any:
    weights = np.array(call.attribute("coefficients"), np.float32).reshape(outputs, -1)
    offsets = np.array(call.attribute("intercepts") or [0.0] * outputs, np.float32)
    return tf.matmul(tf.cast(call[0], tf.float32), weights, transpose_b=True) + offsets


def transformed(call: NodeCall, scores: Any) -> Any:
    """Scores after the node's post_transform."""
    match call.attribute("post_transform", "NONE"):
        case "NONE":
            return scores
        case "SOFTMAX":
            return tf.nn.softmax(scores, -1)
        case "LOGISTIC":
            return tf.sigmoid(scores)
    raise call.refuse(f"ends with {call.attribute('post_transform')!r}, which is not translated")
