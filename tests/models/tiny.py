"""Tiny real models, built with the onnx package: one per property that a test may need.

A package, (draft, files), is what `Registry.publish` takes; `publish` puts one into a store and promotes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from onnxlet.registry.registry import Registry
from onnxlet.serving.engine import load_engine
from onnxlet.serving.golden import GoldenCase, decode_cases, encode_cases
from onnxlet.steps import Classification, Column, Steps, Tabular
from onnxlet.store import Store
from onnxlet.values.manifest import Draft, Golden, Manifest, Provenance
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensors

OPSET = 21
IR = 10
LABELS = ("benign", "malignant")
COLUMNS = ("radius", "texture", "area")
_FLOAT, _INT64, _STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING

Package = tuple[Draft, dict[str, Path]]


def _value(name: str, kind: int, shape: Sequence[int | str | None] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Mapping[str, npt.NDArray[Any]] | None = None,
    domains: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(list(nodes), "tiny", list(inputs), list(outputs), initializers)
    opsets = [helper.make_opsetid(domain, version) for domain, version in ({"": OPSET} | dict(domains or {})).items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR)


def classifier(bias: float = 0.0) -> onnx.ModelProto:
    """`input` FP32 [N, 3] -> label INT64 [N], probabilities FP32 [N, 2]; more `bias`, more of class 1.

    Class 1 is likelier where `radius + texture - area + bias > 0`.
    """
    slope = np.array([[-0.5, 0.5], [-0.5, 0.5], [0.5, -0.5]], dtype=np.float32)
    return _model(
        [
            helper.make_node("Gemm", ["input", "slope", "bias"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
            helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        [_value("input", _FLOAT, ["N", 3])],
        [_value("label", _INT64, ["N"]), _value("probabilities", _FLOAT, ["N", 2])],
        {"slope": slope, "bias": np.array([-bias / 2, bias / 2], dtype=np.float32)},
    )


def text_classifier() -> onnx.ModelProto:
    """`text` BYTES [N] -> label BYTES [N] (the word's language), by a table; no probabilities."""
    return _model(
        [
            helper.make_node(
                "LabelEncoder",
                ["text"],
                ["label"],
                domain="ai.onnx.ml",
                keys_strings=["yes", "oui"],
                values_strings=["english", "french"],
                default_string="unknown",
            )
        ],
        [_value("text", _STRING, ["N"])],
        [_value("label", _STRING, ["N"])],
        domains={"ai.onnx.ml": 4},
    )


def regressor(factor: float = 2.0, features: int = 2) -> onnx.ModelProto:
    """`input` FP32 [N, features] -> prediction FP32 [N]: the sum of the features times `factor`."""
    return _model(
        [
            helper.make_node("ReduceSum", ["input", "axes"], ["sum"], keepdims=0),
            helper.make_node("Mul", ["sum", "factor"], ["prediction"]),
        ],
        [_value("input", _FLOAT, ["N", features])],
        [_value("prediction", _FLOAT, ["N"])],
        {"axes": np.array([1], dtype=np.int64), "factor": np.array(factor, dtype=np.float32)},
    )


def two_inputs() -> onnx.ModelProto:
    """`left`, `right` FP32 [N, 2] -> sum, difference FP32 [N, 2]."""
    return _model(
        [
            helper.make_node("Add", ["left", "right"], ["sum"]),
            helper.make_node("Sub", ["left", "right"], ["difference"]),
        ],
        [_value("left", _FLOAT, ["N", 2]), _value("right", _FLOAT, ["N", 2])],
        [_value("sum", _FLOAT, ["N", 2]), _value("difference", _FLOAT, ["N", 2])],
    )


def clip() -> onnx.ModelProto:
    """`x` FP32 [N, 2], low, high FP32 [] -> y FP32 [N, 2]: kept between two single numbers."""
    return _model(
        [helper.make_node("Clip", ["x", "low", "high"], ["y"])],
        [_value("x", _FLOAT, ["N", 2]), _value("low", _FLOAT, []), _value("high", _FLOAT, [])],
        [_value("y", _FLOAT, ["N", 2])],
    )


def strings() -> onnx.ModelProto:
    """`text` BYTES [N] -> same BYTES [N]."""
    return _model(
        [helper.make_node("Identity", ["text"], ["same"])],
        [_value("text", _STRING, ["N"])],
        [_value("same", _STRING, ["N"])],
    )


def integers() -> onnx.ModelProto:
    """`number` INT64 [N] -> next INT64 [N]: one more, exactly."""
    return _model(
        [helper.make_node("Add", ["number", "one"], ["next"])],
        [_value("number", _INT64, ["N"])],
        [_value("next", _INT64, ["N"])],
        {"one": np.array(1, dtype=np.int64)},
    )


def identity(kind: int = TensorProto.FLOAT, shape: Sequence[int | str] = ("N",)) -> onnx.ModelProto:
    """`x` -> y, the same, of any element type and shape."""
    return _model([helper.make_node("Identity", ["x"], ["y"])], [_value("x", kind, shape)], [_value("y", kind, shape)])


def embedder(vocabulary: int = 5) -> onnx.ModelProto:
    """`ids` INT64 [N, T] -> vectors FP32 [N, T, 2]. Ids out of the vocabulary make it fail while it runs."""
    table = np.arange(vocabulary * 2, dtype=np.float32).reshape(vocabulary, 2)
    return _model(
        [helper.make_node("Gather", ["table", "ids"], ["vectors"])],
        [_value("ids", _INT64, ["N", "T"])],
        [_value("vectors", _FLOAT, ["N", "T", 2])],
        {"table": table},
    )


def column_inputs() -> onnx.ModelProto:
    """`age` FP32 [N, 1], sex BYTES [N, 1] -> prediction FP32 [N, 1]: one graph input per column."""
    return _model(
        [
            helper.make_node(
                "LabelEncoder",
                ["sex"],
                ["coded"],
                domain="ai.onnx.ml",
                keys_strings=["female", "male"],
                values_floats=[1.0, 2.0],
                default_float=0.0,
            ),
            helper.make_node("Add", ["age", "coded"], ["prediction"]),
        ],
        [_value("age", _FLOAT, ["N", 1]), _value("sex", _STRING, ["N", 1])],
        [_value("prediction", _FLOAT, ["N", 1])],
        domains={"ai.onnx.ml": 4},
    )


def endless() -> onnx.ModelProto:
    """`x` FP32 [N] -> y FP32 [N]: a Loop whose condition stays true where `x` is not all zero; else one round."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["before"], ["after"]), helper.make_node("Identity", ["kept"], ["still"])],
        "body",
        [
            _value("round", _INT64, []),
            _value("before", TensorProto.BOOL, []),
            _value("kept", _FLOAT, None),
        ],
        [_value("after", TensorProto.BOOL, []), _value("still", _FLOAT, None)],
    )
    return _model(
        [
            helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
            helper.make_node("Cast", ["sum"], ["again"], to=TensorProto.BOOL),
            helper.make_node("Loop", ["", "again", "x"], ["y"], body=body),
        ],
        [_value("x", _FLOAT, ["N"])],
        [_value("y", _FLOAT, ["N"])],
    )


def foreign() -> onnx.ModelProto:
    """`x` -> y through an operator of a domain that nobody knows."""
    return _model(
        [helper.make_node("Evil", ["x"], ["y"], domain="com.example.evil")],
        [_value("x", _FLOAT, ["N"])],
        [_value("y", _FLOAT, ["N"])],
        domains={"com.example.evil": 1},
    )


def maps() -> onnx.ModelProto:
    """A graph whose output is a sequence of maps, which cannot be served."""
    output = helper.make_value_info(
        "maps",
        helper.make_sequence_type_proto(helper.make_map_type_proto(_INT64, helper.make_tensor_type_proto(_FLOAT, []))),
    )
    return _model(
        [helper.make_node("ZipMap", ["probabilities"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])],
        [_value("probabilities", _FLOAT, ["N", 2])],
        [output],
        domains={"ai.onnx.ml": 1},
    )


def escaping(location: str = "../secret.bin") -> onnx.ModelProto:
    """`x` FP32 [N, 2] -> y FP32 [N, 2] with weights of 16 bytes said to lie at `location`."""
    model = _model(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        [_value("x", _FLOAT, ["N", 2])],
        [_value("y", _FLOAT, ["N", 2])],
        {"weights": np.eye(2, dtype=np.float32)},
    )
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    for name, value in (("location", location), ("offset", "0"), ("length", "16")):
        entry = weights.external_data.add()
        entry.key, entry.value = name, value
    return model


def big(megabytes: int) -> onnx.ModelProto:
    """`x` FP32 [N, 1024] -> y FP32 [N, 1024] through layers of 4 MB each; save it with `external=True`."""
    layers = max(1, megabytes // 4)
    random = np.random.default_rng(7)
    weights = {f"w{i}": random.standard_normal((1024, 1024), dtype=np.float32) / 32 for i in range(layers)}
    names = ["x", *(f"h{i}" for i in range(1, layers)), "y"]
    return _model(
        [helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]) for i in range(layers)],
        [_value("x", _FLOAT, ["N", 1024])],
        [_value("y", _FLOAT, ["N", 1024])],
        weights,
    )


def save(model: onnx.ModelProto, folder: Path, *, external: bool = False) -> dict[str, Path]:
    """Write `model.onnx`, and `model.onnx.data` if the weights shall be `external`; the files by artifact path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    if not external:
        path.write_bytes(model.SerializeToString())
        return {"model.onnx": path}
    onnx.save_model(
        model,
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="model.onnx.data",
        size_threshold=0,
    )
    return {"model.onnx": path, "model.onnx.data": folder / "model.onnx.data"}


def package(
    model: onnx.ModelProto,
    folder: Path,
    *,
    steps: Steps | None = None,
    signature: Signature | None = None,
    labels: tuple[str, ...] = (),
    golden: Sequence[Tensors] = (),
    on_golden_failure: Literal["previous", "refuse"] = "previous",
    external: bool = False,
) -> Package:
    """A model in `folder` with its draft; golden cases are what it answers to the inputs `golden`."""
    files = save(model, folder, external=external)
    engine = load_engine(files["model.onnx"], threads=1, optimized=False, run_deadline=10)
    cases = [GoldenCase(inputs, engine.run(inputs)) for inputs in golden]
    if cases:
        files["golden.json"] = folder / "golden.json"
        files["golden.json"].write_bytes(encode_cases(cases))
    draft = Draft(
        graph=engine.signature,
        signature=signature or engine.signature,
        steps=(steps or Steps()).documents,
        labels=labels,
        provenance=Provenance(framework="tests", opset={"": OPSET}),
        golden=Golden(path="golden.json", source="random", cases=len(cases)) if cases else None,
        on_golden_failure=on_golden_failure,
    )
    return draft, files


def classifier_package(
    folder: Path,
    *,
    bias: float = 0.0,
    labels: tuple[str, ...] = LABELS,
    golden: bool = True,
    on_golden_failure: Literal["previous", "refuse"] = "previous",
) -> Package:
    """`classifier` with the columns radius, texture (FP32) and area (default 1.0), labels, and one golden case."""
    columns = (Column("radius", "FP32"), Column("texture", "FP32"), Column("area", "FP32", default=1.0))
    steps = Steps(
        (
            Tabular(columns=columns, input="input"),
            Classification(label="label", probabilities="probabilities", labels=labels, classes=(0, 1)),
        )
    )
    served = Signature(
        inputs=(TensorSpec("input", "FP32", (VARIABLE, 3)),),
        outputs=(
            TensorSpec("label", "BYTES" if labels else "INT64", (VARIABLE,)),
            TensorSpec("probability", "FP32", (VARIABLE,)),
            TensorSpec("probabilities", "FP32", (VARIABLE, 2)),
        ),
    )
    rows = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 1.0]], dtype=np.float32)
    return package(
        classifier(bias),
        folder,
        steps=steps,
        signature=served,
        labels=labels,
        golden=[{"input": rows}] if golden else [],
        on_golden_failure=on_golden_failure,
    )


def package_with_false_golden_cases(folder: Path) -> Package:
    """`classifier_package` with a golden case that promises answers which its graph does not give."""
    draft, files = classifier_package(folder)
    cases = decode_cases(files["golden.json"].read_bytes())
    for case in cases:
        case.outputs["probabilities"] = case.outputs["probabilities"][:, ::-1]
    files["golden.json"].write_bytes(encode_cases(cases))
    return draft, files


def publish(
    store: Store, name: str, contents: Package, *, alias: str | None = "production", who: str = "tests"
) -> Manifest:
    """Publish a package as the next version of `name`, and promote it unless `alias` is None."""
    registry = Registry(store, who=who)
    draft, files = contents
    manifest = registry.publish(name, draft, files)
    if alias is not None:
        registry.promote(name, manifest.version, alias=alias)
    return manifest
