"""Converting LIBSVM's model files: decisions, votes and coupled probabilities as svm-predict gives them."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_double
from pathlib import Path

import numpy as np
import pytest
from libsvm.svm import gen_svm_nodearray, libsvm
from libsvm.svmutil import svm_load_model, svm_save_model, svm_train

from drafts import classification_of, tabular_of
from frameworks.shipping import Array, Data, Shipped, complete, real_data, table
from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.convert import convert
from onnxlet.values.signature import TensorSpec

pytestmark = pytest.mark.libsvm

Ship = Callable[..., Shipped]

LINEAR, POLYNOMIAL, RBF, SIGMOID = "-t 0", "-t 1 -d 2 -r 1", "-t 2", "-t 3 -r 0.5"
KERNELS = (LINEAR, POLYNOMIAL, RBF, SIGMOID)


def trained(data: Data, options: str, folder: Path, *, target: Array | None = None) -> Path:
    """A model file made by svm-train with these options."""
    truth = data.target if target is None else target
    path = folder / "trained.model"
    svm_save_model(str(path), svm_train(truth.astype(float), data.features, f"{options} -q"))
    return path


def predicted(path: Path, rows: Array) -> Array:
    """What svm-predict says."""
    model = svm_load_model(str(path))
    return np.array([libsvm.svm_predict(model, gen_svm_nodearray(row)[0]) for row in rows])


def estimated(path: Path, rows: Array) -> tuple[list[float], Array]:
    """What svm-predict -b 1 says: labels, and probabilities in the order of the file."""
    model = svm_load_model(str(path))
    labels, probabilities = [], []
    for row in rows:
        estimates = (c_double * model.nr_class)()
        labels.append(libsvm.svm_predict_probability(model, gen_svm_nodearray(row)[0], estimates))
        probabilities.append(list(estimates))
    return labels, np.array(probabilities)


def answered(directory: Path, rows: Array) -> dict[str, Array]:
    """What the graph answers."""
    engine = load_engine(directory / "model.onnx", threads=1, optimized=False, run_deadline=10)
    return engine.run({"features": rows.astype(np.float32)})


@pytest.mark.parametrize("probabilities", ["-b 0", "-b 1"], ids=["votes", "probabilities"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", ["breast cancer", "wine"])
def test_classifiers_answer_as_svm_predict(name: str, kernel: str, probabilities: str, tmp_path: Path) -> None:
    data = real_data(name, tmp_path, rows=200, scaled=True)
    path = trained(data, f"{kernel} {probabilities}", tmp_path)
    for known in ({"data": data.path, "target": "target"}, {}):
        draft = convert(path, tmp_path / "out", **known)  # type: ignore[arg-type]
        metrics = draft.evaluations[-1].metrics
        assert metrics["label_agreement"] == 1
        assert metrics["largest_relative_distance"] <= 1e-5
        assert [spec.name for spec in draft.graph.outputs] == ["label", "probabilities"][
            : 1 + (probabilities == "-b 1")
        ]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("kind", ["-s 3", "-s 4", "-s 3 -b 1"], ids=["epsilon", "nu", "with a noise model"])
def test_regressors_answer_as_svm_predict(kind: str, kernel: str, tmp_path: Path) -> None:
    data = real_data("iris", tmp_path, scaled=True)
    path = trained(data, f"{kind} {kernel} -c 0.1", tmp_path, target=data.features[:, 0] * 3 + 50)
    draft = convert(path, tmp_path / "out", data=data.path, target="target")
    assert draft.signature.outputs == (TensorSpec("prediction", "FP32", (-1,)),)
    answers = answered(tmp_path / "out", data.features)
    np.testing.assert_allclose(answers["prediction"], predicted(path, data.features), rtol=1e-6)


@pytest.mark.parametrize("options", ["-s 1 -n 0.2", "-s 1 -n 0.2 -b 1"])
def test_nu_classifiers_of_three_classes(options: str, tmp_path: Path) -> None:
    data = real_data("wine", tmp_path, scaled=True)
    path = trained(data, options, tmp_path)
    draft = convert(path, tmp_path / "out", data=data.path, target="target")
    assert draft.evaluations[-1].metrics["label_agreement"] == 1


def test_ten_classes_are_coupled_row_by_row(tmp_path: Path) -> None:
    data = real_data("digits", tmp_path, rows=300)
    path = trained(data, "-g 0.001 -b 1", tmp_path)
    convert(path, tmp_path / "out", data=data.path, target="target")
    labels, probabilities = estimated(path, data.features[:50])
    together = answered(tmp_path / "out", data.features[:50])
    order = np.argsort(svm_load_model(str(path)).get_labels())
    assert together["label"].tolist() == labels
    np.testing.assert_allclose(together["probabilities"], probabilities[:, order], rtol=1e-5, atol=1e-9)
    alone = np.concatenate([answered(tmp_path / "out", row[None])["probabilities"] for row in data.features[:5]])
    np.testing.assert_array_equal(alone, together["probabilities"][:5])


@pytest.mark.representative
def test_a_classifier_answers_through_the_handler(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("wine", tmp_path, scaled=True)
    path = trained(data, "-b 1", tmp_path)
    shipped = shipping(path, data, labels=("Barolo", "Grignolino", "Barbera"))
    tabular = tabular_of(shipped.draft)
    assert [column.name for column in tabular.columns] == data.names
    answers = shipped.predict(data)
    labels, probabilities = estimated(path, complete(data, 20))
    assert answers["label"].tolist() == [("Barolo", "Grignolino", "Barbera")[int(label)] for label in labels]
    np.testing.assert_allclose(answers["probabilities"], probabilities, rtol=1e-5)
    assert shipped.manifest.provenance.framework == "LIBSVM"
    assert "libsvm-official" in shipped.manifest.provenance.versions


def test_a_regressor_answers_through_the_handler(shipping: Ship, tmp_path: Path) -> None:
    data = real_data("diabetes", tmp_path, rows=150)
    path = trained(data, "-s 3", tmp_path)
    answers = shipping(path, data).predict(data)
    np.testing.assert_allclose(answers["prediction"], predicted(path, complete(data, 20)), rtol=1e-6)


@pytest.mark.parametrize("options", ["-b 0", "-b 1"])
def test_classes_are_sorted_whichever_came_first(options: str, tmp_path: Path) -> None:
    data = real_data("breast cancer", tmp_path, scaled=True)
    truth = np.where(data.target == data.target[0], 1, -1)
    path = trained(data, options, tmp_path, target=truth)
    assert svm_load_model(str(path)).get_labels() == [1, -1]
    draft = convert(path, tmp_path / "out")
    assert classification_of(draft).classes == (-1, 1)
    answers = answered(tmp_path / "out", data.features)
    if "probabilities" in answers:
        labels, probabilities = estimated(path, data.features)
        np.testing.assert_allclose(answers["probabilities"], probabilities[:, ::-1], rtol=1e-4, atol=1e-7)
    else:
        labels = predicted(path, data.features).tolist()
    assert answers["label"].tolist() == labels


def test_a_draw_between_classes_goes_to_the_file_s_first(tmp_path: Path) -> None:
    # three classes, one feature, every pair decided by x alone: 7 beats 3, 3 beats 5, 5 beats 7 where x is positive
    path = tmp_path / "draw.model"
    path.write_text(
        "svm_type c_svc\nkernel_type linear\nnr_class 3\ntotal_sv 3\nrho 0 0 0\nlabel 7 3 5\nnr_sv 1 1 1\nSV\n"
        "1 -1 1:1\n0 1 1:1\n0 0 1:1\n"
    )
    convert(path, tmp_path / "out")
    rows = np.array([[1.0], [-1.0], [0.0]])
    assert answered(tmp_path / "out", rows)["label"].tolist() == predicted(path, rows).tolist()


def test_columns_beyond_the_last_support_vector_s_still_count(tmp_path: Path) -> None:
    data = real_data("iris", tmp_path, scaled=True)
    path = trained(data, "-t 2", tmp_path)
    wide = np.concatenate([data.features, 3 * np.ones((150, 1))], axis=1)
    file = table([*data.names, "height"], wide, data.target, tmp_path / "wide.csv").path
    convert(path, tmp_path / "out", data=file, target="target")
    assert answered(tmp_path / "out", wide)["label"].tolist() == predicted(path, wide).tolist()
    with pytest.raises(InvalidInputError, match="has 6 columns of features, the LIBSVM model wants 4; if it holds the"):
        convert(path, tmp_path / "out", data=file)


def test_what_a_line_leaves_out_is_zero(tmp_path: Path) -> None:
    data = real_data("digits", tmp_path, rows=200)
    path = trained(data, "-g 0.001", tmp_path)
    assert any(len(line.split()) < 9 + 64 for line in path.read_text().splitlines()[-20:])
    draft = convert(path, tmp_path / "out", data=data.path, target="target")
    assert draft.evaluations[-1].metrics["label_agreement"] == 1


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    data = real_data("iris", tmp_path)
    path = trained(data, LINEAR, tmp_path).rename(tmp_path / "model.txt")
    assert convert(path, tmp_path / "out").provenance.framework == "LIBSVM"


def test_one_class_models_and_precomputed_kernels_are_refused(tmp_path: Path) -> None:
    data = real_data("iris", tmp_path)
    with pytest.raises(ConversionError, match="'one_class' is neither a classifier nor a regressor"):
        convert(trained(data, "-s 2", tmp_path), tmp_path / "out")
    path = trained(data, LINEAR, tmp_path)
    path.write_text(path.read_text().replace("kernel_type linear", "kernel_type precomputed"))
    with pytest.raises(ConversionError, match="'precomputed' is not converted: its file does not hold the rows"):
        convert(path, tmp_path / "out")


def _spoiled(text: str) -> dict[str, str]:
    lines = text.splitlines(keepends=True)
    return {
        "cut off": "".join(lines[:-5]),
        "cut off in a line": text[:-30],
        "no support vectors": "".join(lines[: lines.index("SV\n")]),
        "no rho": "".join(line for line in lines if not line.startswith("rho")),
        "too few rho": "".join("rho 1\n" if line.startswith("rho") else line for line in lines),
        "a text for a number": text.replace("1:", "1:x", 1),
        "counts that do not add up": "".join("nr_sv 1 1 1\n" if line.startswith("nr_sv") else line for line in lines),
        "an index of 0": text.replace(" 1:", " 0:", 1),
    }


@pytest.mark.parametrize("kind", list(_spoiled("SV\n")))
def test_a_damaged_file_is_refused_and_takes_nothing_down(kind: str, tmp_path: Path) -> None:
    data = real_data("wine", tmp_path, scaled=True)
    path = trained(data, RBF, tmp_path)
    path.write_text(_spoiled(path.read_text())[kind])
    with pytest.raises(ConversionError, match="is no LIBSVM model, or not all of it"):
        convert(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_data_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = trained(real_data("wine", tmp_path, scaled=True), RBF, tmp_path)
    with pytest.raises(InvalidInputError, match="has 4 columns of features, the LIBSVM model wants at least 13"):
        convert(path, tmp_path / "out", data=real_data("iris", tmp_path).path, target="target")
    with pytest.raises(InvalidInputError, match="LIBSVM knows no missing values"):
        convert(path, tmp_path / "out", data=real_data("wine", tmp_path, holes=0.1).path, target="target")


def test_infinite_numbers_are_refused_where_it_is_served(tmp_path: Path) -> None:
    data = real_data("wine", tmp_path, scaled=True)
    draft = convert(trained(data, RBF, tmp_path), tmp_path / "out", data=data.path, target="target")
    (finite,) = (step for step in draft.steps if step["kind"] == "finite")
    assert not finite.get("infinite")
