"""Exporting versions as SavedModels: TensorFlow answers what the version does, or nothing is written."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pandas as pd
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import onnxlet
import trained
from doors import Shop, spec
from frameworks.keras_models import digits, digits_network, keras, saved, tf
from onnxlet.cli import cli
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.registry.registry import Registry
from onnxlet.serving.golden import GoldenCase, encode_cases
from onnxlet.steps import Steps
from onnxlet.steps.categories import CategoricalColumn, Categories
from onnxlet.steps.image import Image, Resize
from onnxlet.steps.token_ids import Bound, TokenIds
from onnxlet.steps.tokenizer import Tokenizer
from onnxlet.store import Store, open_store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.export import export_saved_model
from onnxlet.toolchain.optimize.weight_only import pack
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.workbench.tensorflow import silence_tensorflow
from onnxlet.values.manifest import Golden, Manifest, Tolerance
from onnxlet.values.refs import Ref

pytestmark = pytest.mark.tensorflow
Publish = Callable[..., Manifest]
OPSETS = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]


@pytest.fixture
def published(store: Store, tmp_path: Path) -> Publish:
    """Publishes an .onnx file or converted directory as `model`; its artifacts lie in tmp_path / "artifacts"."""

    def run(path: Path) -> Manifest:
        draft, files = prepare(path, tmp_path / "artifacts")
        return Registry(store, who="export").publish("model", draft, files)

    return run


def exported(manifest: Manifest, folder: Path) -> Path:
    place, comparison = export_saved_model(manifest, folder / "artifacts", folder / "models")
    assert place == folder / "models/model/1"
    assert comparison.within_tolerance
    return place


def asked(place: Path, signature: str = "serving_default", **inputs: Any) -> dict[str, Any]:
    """What TensorFlow answers that knows the SavedModel alone; texts as str."""
    loaded = tf.saved_model.load(str(place))
    answers = loaded.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
    return {name: _plain(answer.numpy()) for name, answer in answers.items()}


def declared(place: Path) -> dict[str, Any]:
    """The signatures as TensorFlow Serving reads them: names, types and shapes."""
    from tensorflow.core.protobuf import saved_model_pb2

    document = saved_model_pb2.SavedModel()
    document.ParseFromString((place / "saved_model.pb").read_bytes())
    return {
        name: tuple(
            {key: (value.dtype, [size.size for size in value.tensor_shape.dim]) for key, value in tensors.items()}
            for tensors in (signature.inputs, signature.outputs)
        )
        for name, signature in document.meta_graphs[0].signature_def.items()
        if not name.startswith("__")
    }


def diagnosis(folder: Path) -> tuple[Any, trained.Array, Path]:
    """A scaler and a network that tell texts apart, rows that they learned, and the converted directory."""
    features, target = trained.blobs(classes=3)
    names = np.array(["benign", "malignant", "unclear"])[target]
    estimator = trained.fitted(make_pipeline(StandardScaler(), MLPClassifier((8,), random_state=0)), features, names)
    data = trained.csv_of(folder / "rows.csv", features, names)
    convert(trained.saved(estimator, folder), folder / "converted", data=data, target="target", trust=True)
    return estimator, features.astype(np.float32), folder / "converted"


@pytest.mark.representative
def test_a_classifier_of_columns_is_served_by_tensorflow_under_the_same_names(
    tmp_path: Path, published: Publish
) -> None:
    estimator, rows, converted = diagnosis(tmp_path)
    manifest = published(converted)

    place = exported(manifest, tmp_path)

    outputs = {"label": (7, [-1]), "probability": (1, [-1]), "probabilities": (1, [-1, 3])}
    assert declared(place) == {
        "serving_default": ({"features": (1, [-1, 4])}, outputs),
        "columns": ({name: (1, [-1]) for name in trained.feature_names()}, outputs),
    }
    got = asked(place, features=rows[:9])
    expected = estimator.predict_proba(rows[:9])
    assert got["label"].tolist() == estimator.predict(rows[:9]).tolist()
    assert np.allclose(got["probabilities"], expected, atol=1e-5)
    assert np.allclose(got["probability"], expected.max(axis=1), atol=1e-5)
    by_column = asked(place, "columns", **dict(zip(trained.feature_names(), rows[:9].T, strict=True)))
    assert all(np.array_equal(by_column[name], got[name]) for name in got)


@pytest.mark.parametrize(
    ("declared", "kind"),
    [({"thresholds": {"malignant": 0.3}}, "output"), ({"columns": {"f0": {"low": -9, "high": 9}}}, "ranges")],
    ids=["output", "ranges"],
)
def test_what_a_user_declared_beside_the_model_is_refused_and_nothing_is_written(
    tmp_path: Path, published: Publish, declared: dict[str, Any], kind: str
) -> None:
    features, target = trained.blobs(classes=2)
    names = np.array(["benign", "malignant"])[target]
    columns = pd.DataFrame(features, columns=[f"f{place}" for place in range(features.shape[1])])
    convert(LogisticRegression().fit(columns, names), tmp_path / "converted", data=columns, **declared)
    manifest = published(tmp_path / "converted")
    with pytest.raises(ConversionError, match=f"steps of kind '{kind}' cannot be written as a SavedModel"):
        export_saved_model(manifest, tmp_path / "artifacts", tmp_path / "models")
    assert not list((tmp_path / "models").glob("**/*"))


def test_each_of_several_targets_is_served_by_tensorflow(tmp_path: Path, published: Publish) -> None:
    features, target = trained.blobs(classes=3)
    targets = np.stack([np.array(["I", "II", "III"])[target], np.array(["no", "yes"])[target % 2]], axis=1)
    estimator = trained.fitted(MultiOutputClassifier(LogisticRegression()), features, targets)
    convert(trained.saved(estimator, tmp_path), tmp_path / "converted", trust=True)

    place = exported(published(tmp_path / "converted"), tmp_path)

    got = asked(place, features=features[:9].astype(np.float32))
    assert np.stack([got["label_y0"], got["label_y1"]], axis=1).tolist() == estimator.predict(features[:9]).tolist()
    for index, expected in enumerate(estimator.predict_proba(features[:9])):
        assert np.allclose(got[f"probabilities_y{index}"], expected, atol=1e-5)
        assert np.allclose(got[f"probability_y{index}"], expected.max(axis=1), atol=1e-5)


def test_a_network_of_images_is_served_by_tensorflow(tmp_path: Path, published: Publish) -> None:
    network, (images, _) = digits_network(), digits()
    convert(saved(network, tmp_path / "digits.keras"), tmp_path / "converted")

    place = exported(published(tmp_path / "converted"), tmp_path)

    assert declared(place)["serving_default"][0] == {"image": (1, [-1, 8, 8, 1])}
    assert np.allclose(asked(place, image=images[:5])["digit"], network.predict(images[:5], verbose=0), atol=1e-6)


def test_a_regression_by_trees_is_served_by_tensorflow(tmp_path: Path, published: Publish) -> None:
    features, target = trained.slopes()
    estimator = trained.fitted(GradientBoostingRegressor(n_estimators=20, random_state=0), features, target)
    convert(trained.saved(estimator, tmp_path), tmp_path / "converted", trust=True)

    place = exported(published(tmp_path / "converted"), tmp_path)

    assert declared(place)["serving_default"][1] == {"prediction": (1, [-1])}
    got = asked(place, features=features.astype(np.float32))["prediction"]
    assert np.allclose(got, estimator.predict(features), rtol=1e-5)


def test_a_forest_of_classes_by_number_is_served_by_tensorflow(tmp_path: Path, published: Publish) -> None:
    features, target = trained.blobs(classes=2)
    estimator = trained.fitted(RandomForestClassifier(7, random_state=0), features, target)
    convert(trained.saved(estimator, tmp_path), tmp_path / "converted", trust=True)

    place = exported(published(tmp_path / "converted"), tmp_path)

    got = asked(place, features=features.astype(np.float32))
    assert got["label"].tolist() == estimator.predict(features).tolist()
    assert np.allclose(got["probabilities"], estimator.predict_proba(features), atol=1e-6)


def test_columns_of_texts_are_served_by_tensorflow(tmp_path: Path, published: Publish) -> None:
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(0)
    frame = pandas.DataFrame({"ward": random.choice(["A", "B", "C"], 80), "age": random.integers(20, 90, 80) / 1.0})
    target = (frame["age"] > 50).astype(int)
    encoder = make_column_transformer((OneHotEncoder(), ["ward"]), (StandardScaler(), ["age"]))
    estimator = trained.fitted(make_pipeline(encoder, MLPClassifier((4,), random_state=0)), frame, target)
    data = tmp_path / "rows.csv"
    frame.to_csv(data, index=False)
    convert(trained.saved(estimator, tmp_path), tmp_path / "converted", data=data, trust=True)

    place = exported(published(tmp_path / "converted"), tmp_path)

    age, ward = frame["age"].to_numpy(np.float32), frame["ward"].to_numpy(object)
    got = asked(place, age=age, ward=ward.astype(bytes))
    assert np.allclose(got["probabilities"], estimator.predict_proba(frame), atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a category that the model does not know"):
        asked(place, age=age[:1], ward=np.array([b"Z"]))


def test_columns_whose_names_are_no_words_of_python_keep_them(tmp_path: Path, published: Publish) -> None:
    pandas = pytest.importorskip("pandas")
    names = ["_age", "日本", "<ß>", "9 m"]
    features, target = trained.blobs()
    frame = pandas.DataFrame(features.astype(np.float32), columns=names)
    text = frame.assign(_age=np.where(frame["_age"] > 0, "old", "young"))
    encoder = make_column_transformer((OneHotEncoder(), ["_age"]), (StandardScaler(), names[1:]))
    estimator = trained.fitted(make_pipeline(encoder, LogisticRegression()), text, target)
    convert(estimator, tmp_path / "converted", data=text)

    inputs, _ = declared(exported(published(tmp_path / "converted"), tmp_path))["serving_default"]

    assert set(inputs) == set(names)


def test_a_version_in_8_bits_answers_with_its_own_roundings(tmp_path: Path, published: Publish) -> None:
    random = np.random.default_rng(0)
    weights = {name: random.normal(size=(16, 16)).astype(np.float32) for name in ("first", "second")}
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"], name="a"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "second"], ["y"], name="y"),
    ]
    graph_of(tmp_path / "float.onnx", nodes, {"x": [None, 16]}, {"y": [None, 16]}, weights)
    with silence_tensorflow():
        quantize_dynamic(tmp_path / "float.onnx", tmp_path / "int8.onnx", weight_type=QuantType.QUInt8)

    place = exported(published(tmp_path / "int8.onnx"), tmp_path)

    operators = {node.op_type for node in onnx.load(tmp_path / "artifacts/model.onnx").graph.node}
    assert operators & {"DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulInteger"}
    assert asked(place, x=np.zeros((2, 16), np.float32))["y"].tolist() == np.zeros((2, 16)).tolist()


@pytest.mark.parametrize("bits", [4, 8])
def test_weights_in_blocks_are_served_by_tensorflow(tmp_path: Path, published: Publish, bits: int) -> None:
    packed = pack(np.random.default_rng(0).normal(size=(70, 16)).astype(np.float32), bits)
    sizes: dict[str, Any] = {"K": 70, "N": 16, "bits": bits, "block_size": 32, "accuracy_level": 4}
    node = helper.make_node("MatMulNBits", ["x", "b", "s", "z"], ["y"], domain="com.microsoft", **sizes)
    weights = {"b": packed.integers, "s": packed.scales, "z": packed.zero_points}
    exported(published(graph_of(tmp_path / "m.onnx", [node], {"x": [None, 70]}, {"y": [None, 16]}, weights)), tmp_path)


def test_loops_are_served_by_tensorflow(tmp_path: Path, published: Publish) -> None:
    network = keras.Sequential(
        [keras.Input((None, 2), name="signal"), keras.layers.Bidirectional(keras.layers.GRU(3, name="gru"))]
    )
    convert(saved(network, tmp_path / "signal.keras"), tmp_path / "converted")
    exported(published(tmp_path / "converted"), tmp_path)


def test_weights_are_variables_and_a_second_export_replaces_the_first(tmp_path: Path, published: Publish) -> None:
    manifest = published(diagnosis(tmp_path)[2])
    place = exported(manifest, tmp_path)
    (place / "variables/more").write_text("left by somebody")

    exported(manifest, tmp_path)

    assert (place / "variables/variables.index").is_file()
    assert not (place / "variables/more").exists()
    assert [path.name for path in place.parent.iterdir()] == ["1"]


def test_an_export_that_answers_otherwise_is_refused(tmp_path: Path, published: Publish) -> None:
    manifest = published(diagnosis(tmp_path)[2])
    assert manifest.golden is not None
    strict = msgspec.structs.replace(manifest.golden, tolerance=Tolerance(0.0, 0.0))

    with pytest.raises(ConversionError, match="does not answer as the version does"):
        export_saved_model(
            msgspec.structs.replace(manifest, golden=strict), tmp_path / "artifacts", tmp_path / "models"
        )

    assert not (tmp_path / "models").exists()


def test_an_operator_without_a_translation_is_named(tmp_path: Path, published: Publish) -> None:
    node = helper.make_node("Det", ["x"], ["y"])
    manifest = published(graph_of(tmp_path / "m.onnx", [node], {"x": [None, 2, 2]}, {"y": [None]}))

    with pytest.raises(ConversionError, match=r"the graph uses 'Det'.*export that version"):
        export_saved_model(manifest, tmp_path / "artifacts", tmp_path / "models")

    assert not (tmp_path / "models").exists()


def test_a_support_vector_machine_is_refused_with_what_else_can_be_done(tmp_path: Path, published: Publish) -> None:
    machine = helper.make_node(
        "SVMRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        coefficients=[1.0, -1.0],
        kernel_params=[0.5, 0.0, 3.0],
        kernel_type="RBF",
        n_supports=2,
        rho=[0.1],
        support_vectors=[0.0, 1.0, 1.0, 0.0],
    )
    manifest = published(graph_of(tmp_path / "m.onnx", [machine], {"x": [None, 2]}, {"y": [None, 1]}))

    with pytest.raises(ConversionError, match=r"'ai.onnx.ml.SVMRegressor'.*serve the version with onnxlet"):
        export_saved_model(manifest, tmp_path / "artifacts", tmp_path / "models")


def test_answers_that_are_no_numbers_prove_nothing(tmp_path: Path, published: Publish) -> None:
    nodes = [helper.make_node("Sub", ["x", "x"], ["zero"]), helper.make_node("Div", ["zero", "zero"], ["y"])]
    manifest = published(graph_of(tmp_path / "m.onnx", nodes, {"x": [None, 2]}, {"y": [None, 2]}))

    with pytest.raises(ConversionError, match="nothing to compare on"):
        export_saved_model(manifest, tmp_path / "artifacts", tmp_path / "models")


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, published: Publish) -> None:
    manifest = published(diagnosis(tmp_path)[2])

    def interrupt(begun: str) -> None:
        if begun.startswith("comparing"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_saved_model(manifest, tmp_path / "artifacts", tmp_path / "models", on_progress=interrupt)

    assert not (tmp_path / "models").exists()


def test_what_stands_there_and_is_no_export_stays(tmp_path: Path, published: Publish) -> None:
    manifest = published(diagnosis(tmp_path)[2])
    other = tmp_path / "models/model/1/notes.txt"
    other.parent.mkdir(parents=True)
    other.write_text("mine")

    with pytest.raises(InvalidInputError, match="is no SavedModel"):
        export_saved_model(manifest, tmp_path / "artifacts", tmp_path / "models")

    assert other.read_text() == "mine"
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInputError, match="nothing can be written"):
        export_saved_model(manifest, tmp_path / "artifacts", tmp_path / "file")


def test_the_command_is_quiet_and_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    draft, files = prepare(diagnosis(tmp_path)[2], tmp_path / "artifacts")
    Registry(open_store(url), who="export").publish("diagnosis", draft, files)
    words = ["--store", url, "export", "diagnosis:1", "--to", "savedmodel", "models"]

    done = command(words, tmp_path)
    assert (done.returncode, done.stdout) == (0, "models/diagnosis/1\n"), done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.endswith("…")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("TensorFlow's answers differ by up to")

    # no file may grow beyond 20 kB, as on a full disk
    full = command([*words[:-1], "elsewhere"], tmp_path, "import resource; resource.setrlimit(1, (20_000, 20_000)); ")
    assert (full.returncode, full.stdout) == (1, "")
    assert "cannot be written" in full.stderr
    assert not (tmp_path / "elsewhere").exists()


def test_the_command_names_what_it_does_not_know(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        cli, ["--store", str(tmp_path / "store"), "export", "diagnosis:1", "--to", "savedmodel", str(tmp_path / "out")]
    )
    assert result.exit_code == 1
    assert "diagnosis" in result.stderr


def command(words: list[str], folder: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    program = f"import sys; {before}sys.argv[1:] = {words!r}; from onnxlet.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=dict(os.environ),
        timeout=120,
    )


def graph_of(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: dict[str, list[int | None]],
    outputs: dict[str, list[int | None]],
    weights: dict[str, trained.Array] | None = None,
) -> Path:
    """An .onnx file of float32 tensors."""
    taken, given = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
        for side in (inputs, outputs)
    )
    constants = [onnx.numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", taken, given, constants)
    onnx.save(helper.make_model(graph, opset_imports=OPSETS, ir_version=10), path)
    return path


def _plain(value: trained.Array) -> trained.Array:
    if value.dtype.kind != "O":
        return value
    return np.array([text.decode() for text in value.ravel()], dtype=object).reshape(value.shape)


def test_python_exports_what_it_shipped_truth_values_included(tmp_path: Path) -> None:
    features, target = trained.blobs(classes=2)
    estimator = trained.fitted(LogisticRegression(), features, target.astype(bool))
    store = tmp_path / "store"
    onnxlet.ship(estimator, "ill", data=features, target=target.astype(bool), store=store)

    exported = onnxlet.export("ill:1", tmp_path / "models", store=store)

    assert exported.directory == tmp_path / "models/ill/1"
    (name,) = declared(exported.directory)["serving_default"][0]
    asks: dict[str, Any] = {name: features.astype(np.float32)}
    answers = asked(exported.directory, **asks)
    assert answers["label"].tolist() == estimator.predict(features).tolist()
    assert {type(value) for value in answers["label"].tolist()} == {bool}
    np.testing.assert_allclose(answers["probabilities"], estimator.predict_proba(features), atol=1e-5)


def test_a_version_that_makes_token_ids_of_texts_is_exported_for_token_ids(tmp_path: Path, store: Store) -> None:
    shop, said = Shop(store, tmp_path), list[str]()
    table = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    tokens = Tokenizer(("text",), 16, mask="attention_mask")
    shop.publish(
        "triage",
        [spec(name, "INT64", -1, -1) for name in ("input_ids", "attention_mask")],
        [spec("y", "FP32", -1, 2)],
        [
            helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=1),
            helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
            helper.make_node("Mul", ["vectors", "column"], ["weighed"]),
            helper.make_node("ReduceSum", ["weighed", "first"], ["y"], keepdims=0),
        ],
        weights={"table": table, "last": np.array([2]), "first": np.array([1])},
        steps=Steps((tokens, TokenIds((Bound("input_ids", 9), Bound("attention_mask", 2)), 16))),
        artifacts={"tokenizer.json": b"{}"},
    )
    (tmp_path / "triage.onnx").rename(tmp_path / "model.onnx")
    manifest = shop.registry.resolve(Ref("triage", version=1))[0]

    place, _ = export_saved_model(manifest, tmp_path, tmp_path / "models", on_progress=said.append)

    assert any("leaving the steps of kind 'tokenizer' behind" in line for line in said)
    ids = {"input_ids": np.array([[1, 8, 3]]), "attention_mask": np.array([[1, 1, 0]])}
    for signature in ("serving_default", "tokens"):
        answer = asked(place, signature, **ids)
        np.testing.assert_allclose(answer["y"], (table[1] + table[8])[None], rtol=1e-6)
        for wrong in (np.array([[1, 9, 3]]), np.array([[-1, 0, 0]]), np.zeros((1, 17), np.int64)):
            with pytest.raises(tf.errors.InvalidArgumentError):
                asked(place, signature, **ids | {"input_ids": wrong, "attention_mask": np.ones_like(wrong)})


def test_a_version_that_reads_pictures_is_exported_for_tensors(tmp_path: Path, store: Store) -> None:
    shop, said = Shop(store, tmp_path), list[str]()
    shop.publish(
        "films",
        [spec("pixels", "FP32", -1, 3, 8, 8)],
        [spec("light", "FP32", -1)],
        [helper.make_node("ReduceMean", ["pixels", "axes"], ["light"], keepdims=0)],
        weights={"axes": np.array([1, 2, 3])},
        steps=Steps((Image("pixels", resize=Resize(exact=(8, 8))),)),
    )
    (tmp_path / "films.onnx").rename(tmp_path / "model.onnx")
    manifest = shop.registry.resolve(Ref("films", version=1))[0]

    place, _ = export_saved_model(manifest, tmp_path, tmp_path / "models", on_progress=said.append)

    assert any("leaving the steps of kind 'image' behind" in line for line in said)
    pixels = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(asked(place, pixels=pixels)["light"], pixels.mean(axis=(1, 2, 3)), rtol=1e-5)


def test_categories_that_the_model_refuses_are_refused_by_tensorflow_too(tmp_path: Path, store: Store) -> None:
    shop = Shop(store, tmp_path)
    wards, ages = CategoricalColumn("ward", ("A", "B")), CategoricalColumn("age", (1.0, 2.5), missing=True)
    shop.publish(
        "wards",
        [spec("ward", "BYTES", -1, 1), spec("age", "FP32", -1, 1)],
        [spec("y", "FP32", -1, 1)],
        [helper.make_node("Identity", ["age"], ["y"])],
        steps=Steps((Categories((wards, ages)),)),
    )
    manifest = shop.registry.resolve(Ref("wards", version=1))[0]
    case = GoldenCase(
        {"ward": np.array([["A"]], dtype=object), "age": np.array([[2.5]], np.float32)},
        {"y": np.array([[2.5]], np.float32)},
    )
    (tmp_path / "golden.json").write_bytes(encode_cases((case,)))
    (tmp_path / "wards.onnx").rename(tmp_path / "model.onnx")
    golden = Golden(path="golden.json", source="random", cases=1, tolerance=Tolerance())

    place, _ = export_saved_model(msgspec.structs.replace(manifest, golden=golden), tmp_path, tmp_path / "models")

    for ward, age in (("B", 1.0), ("A", float("nan"))):
        answer = asked(place, ward=np.array([[ward]]), age=np.array([[age]], np.float32))
        np.testing.assert_array_equal(answer["y"], [[age]])
    for ward, age in (("C", 1.0), ("A", 3.0), ("", 1.0)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            asked(place, ward=np.array([[ward]]), age=np.array([[age]], np.float32))
