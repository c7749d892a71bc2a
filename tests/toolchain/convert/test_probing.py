"""Graphs that answer as their models do on the data, and otherwise where the data did not look: all are caught."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import trained
from onnxlet.errors import ConversionError
from onnxlet.serving.engine import load_engine
from onnxlet.steps import decode_steps
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.convert.scikit_learn.known_columns import known_columns
from onnxlet.toolchain.convert.scikit_learn.model import Estimator
from onnxlet.toolchain.convert.trained_model import Export, ModelRows
from onnxlet.toolchain.verify import verify
from onnxlet.toolchain.workbench.directory import read_draft
from onnxlet.toolchain.workbench.evaluation import run_columns
from onnxlet.toolchain.workbench.reference import PROBING_REFERENCE, read_reference
from onnxlet.values.contract import Contract
from onnxlet.values.manifest import Probing
from onnxlet.values.tensors import Tensors

pd = pytest.importorskip("pandas")
pytest.importorskip("sklearn")
pytestmark = pytest.mark.toolchain

Change = Callable[[onnx.ModelProto], None]


def probing_of(directory: Path) -> Probing:
    """What the draft says of probing."""
    probing = read_draft(directory)[0].probing
    assert probing is not None
    return probing


def trees_of(model: onnx.ModelProto) -> dict[str, onnx.AttributeProto]:
    """The attributes of the graph's only tree ensemble."""
    (node,) = (node for node in model.graph.node if node.op_type.startswith("TreeEnsemble"))
    return {attribute.name: attribute for attribute in node.attribute}


def verified(directory: Path, change: Change, place: Path, data: Any, target: Any) -> Contract:  # noqa: ANN401
    """The contract of a copy of the converted directory whose graph was changed."""
    shutil.copytree(directory, place)
    model = onnx.load(place / "model.onnx")
    change(model)
    onnx.save(model, place / "model.onnx")
    return verify(place, data=data, target=target)


def breaches(contract: Contract) -> list[str]:
    """The names of what is broken."""
    return [finding.name for finding in contract.findings if not finding.ok]


def answers(directory: Path, columns: Tensors) -> Tensors:
    """The graph's own answers to the columns."""
    draft, _ = read_draft(directory)
    engine = load_engine(directory / "model.onnx", threads=1, optimized=False, run_deadline=60)
    return run_columns(engine, decode_steps(draft.steps), columns)


def test_a_threshold_moved_by_one_step_is_caught_at_every_split_though_the_data_agree(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeClassifier

    features, target = trained.blobs()
    tree = DecisionTreeClassifier(max_depth=4, random_state=0)
    trained.converted(tmp_path, tree, features, target)
    data = tmp_path / "data.csv"
    splits = np.flatnonzero(tree.tree_.children_left >= 0).tolist()
    assert len(splits) > 3

    for split in splits:
        for towards in (np.float32(-np.inf), np.float32(np.inf)):

            def change(model: onnx.ModelProto, split: int = split, towards: Any = towards) -> None:  # noqa: ANN401
                values = trees_of(model)["nodes_values"].floats
                values[split] = np.nextafter(np.float32(values[split]), towards)

            place = tmp_path / f"{split} {towards}"
            contract = verified(tmp_path / "out", change, place, data, "target")
            assert breaches(contract) == ["wrong_probing_rows"], split
            assert contract.stages[-1].distances["label_agreement"] == 1
            assert contract.stages[-1].distances["largest"] < 1e-6


def patients_with_gaps() -> tuple[Any, Any]:
    """Rows of two columns, some values of which are missing."""
    random = np.random.default_rng(5)
    features = random.normal(size=(300, 2)).astype(np.float32).astype(np.float64)
    target = ((features[:, 0] > 0) ^ (features[:, 1] > 0.5)).astype(int)
    features[random.random((300, 2)) < 0.1] = np.nan
    return features, target


def test_a_way_for_missing_values_that_was_turned_around_is_caught_wherever_it_matters(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeClassifier

    features, target = patients_with_gaps()
    tree = DecisionTreeClassifier(max_depth=5, random_state=0).fit(features, target)
    shown = features[np.r_[0:20]]
    shown[0], shown[1] = [np.nan, 0.3], [0.2, np.nan]
    data = trained.csv_of(tmp_path / "data.csv", shown, tree.predict(shown))
    convert(trained.saved(tree, tmp_path), tmp_path / "out", data=data, target="target", trust=True)
    random = np.random.default_rng(6)
    many = random.normal(size=(20_000, 2)).astype(np.float32)
    many[random.random(many.shape) < 0.3] = np.nan
    columns = {f"feature {index}": many[:, index] for index in range(2)}
    before = answers(tmp_path / "out", columns)
    unseen = 0

    for split in np.flatnonzero(tree.tree_.children_left >= 0).tolist():

        def change(model: onnx.ModelProto, split: int = split) -> None:
            ways = trees_of(model)["nodes_missing_value_tracks_true"].ints
            ways[split] = 1 - ways[split]

        place = tmp_path / str(split)
        contract = verified(tmp_path / "out", change, place, data, "target")
        after = answers(place, columns)
        if all(np.array_equal(before[name], after[name]) for name in before):
            continue  # no row gets there without a value, or both ways end alike
        assert "wrong_probing_rows" in breaches(contract), split
        unseen += breaches(contract) == ["wrong_probing_rows"]
    assert unseen, "the data saw each of them as well"


def test_a_category_that_was_dropped_is_caught_though_the_data_have_none_of_it(tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rows = pd.DataFrame({"site": ["a", "b", "rare"] * 40, "age": np.arange(120) % 17})
    target = np.where(rows.site == "rare", 1, rows.age % 2)
    encoder = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["site"]), remainder="passthrough", sparse_threshold=0
    )
    pipeline = make_pipeline(encoder, LogisticRegression()).fit(rows, target)
    common = rows[rows.site != "rare"].reset_index(drop=True)
    truth = target[rows.site != "rare"]
    convert(pipeline, tmp_path / "out", data=common, target=truth)

    def drop(model: onnx.ModelProto) -> None:
        texts = [each.strings for node in model.graph.node for each in node.attribute if b"rare" in each.strings]
        texts += [each.string_data for each in model.graph.initializer if b"rare" in each.string_data]
        assert texts
        for each in texts:
            each[list(each).index(b"rare")] = b"another"

    assert breaches(verified(tmp_path / "out", lambda _: None, tmp_path / "same", common, truth)) == []
    contract = verified(tmp_path / "out", drop, tmp_path / "dropped", common, truth)

    assert breaches(contract) == ["wrong_probing_rows"]
    assert "wrong probing rows" in contract.breaches
    assert "wrong probing rows" in (tmp_path / "dropped/report.html").read_text()


class Miswritten(Estimator):
    """An estimator whose graphs have one threshold a step too high."""

    def export(self, rows: ModelRows, labels: Any) -> Iterator[Export]:  # noqa: ANN401
        """All variants, spoiled."""
        for export in super().export(rows, labels):
            model = onnx.load_from_string(export.graph)
            values = trees_of(model)["nodes_values"].floats
            values[0] = np.nextafter(np.float32(values[0]), np.float32(np.inf))
            yield Export(
                export.variant, model.SerializeToString(), export.tabular, export.classifications, export.opset
            )


def test_conversion_stops_where_the_graph_is_wrong_beside_a_threshold_and_quotes_no_value(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeClassifier

    from onnxlet.toolchain.convert.conversion import Conversion
    from onnxlet.toolchain.workbench.privacy import showing_values
    from onnxlet.values.manifest import Tolerance

    features, target = trained.blobs()
    tree = DecisionTreeClassifier(max_depth=3, random_state=0).fit(features, target)
    miswritten: Any = Miswritten(tree, lambda _: None)
    conversion = Conversion(miswritten, None, (), Tolerance(), None, lambda _: None)
    given: dict[str, Any] = {"data": features, "target": target, "expected": None, "judge": None}

    with pytest.raises(ConversionError) as quiet:
        conversion.write(tmp_path / "out", **given, golden_from="synthetic")
    with showing_values(shown=True), pytest.raises(ConversionError) as loud:
        conversion.write(tmp_path / "out", **given, golden_from="synthetic")

    said = "rows made of what the model knows, first to a number at a threshold in the column 'x"
    assert said in quiet.value.detail
    assert "np.float32" not in quiet.value.detail
    assert "np.float32" in loud.value.detail
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("encode", ["ordinal", "onehot", "onehot-dense"])
def test_bins_and_binarized_numbers_are_exact_on_both_sides_of_every_edge(tmp_path: Path, encode: str) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union
    from sklearn.preprocessing import Binarizer, KBinsDiscretizer

    features, target = trained.blobs()
    bins = KBinsDiscretizer(5, encode=encode, strategy="kmeans", random_state=0)
    pipeline = make_pipeline(make_union(bins, Binarizer(threshold=0.3)), LogisticRegression()).fit(features, target)
    convert(pipeline, tmp_path / "out", data=features, target=target)
    fitted = pipeline[0].transformer_list[0][1]
    edges = np.array([edge for each in fitted.bin_edges_ for edge in each] + [0.3]).astype(np.float32)
    near = [np.nextafter(edges, np.float32(side)) for side in (-np.inf, np.inf)]
    values = np.concatenate([edges, *near])
    rows = np.stack([values] * features.shape[1], axis=1)

    served = answers(tmp_path / "out", {f"x{index}": rows[:, index] for index in range(rows.shape[1])})

    expected = pipeline.predict_proba(rows.astype(np.float64))
    assert np.abs(served["probabilities"] - expected).max() < 1e-5
    assert probing_of(tmp_path / "out").rows >= 3 * len(edges)


def test_rows_that_a_tie_decides_and_those_far_off_are_counted(tmp_path: Path) -> None:
    from sklearn.neighbors import KNeighborsRegressor

    points, target = trained.slopes()
    draft = trained.converted(tmp_path, KNeighborsRegressor(), points, target)

    assert draft.probing == probing_of(tmp_path / "out")
    assert draft.signature.inputs[0].datatype == "FP64"
    assert probing_of(tmp_path / "out").beyond > 0
    contract = verify(tmp_path / "out", data=tmp_path / "data.csv", target="target")
    assert contract.holds
    assert "answered otherwise far beyond what the model was fitted for" in (tmp_path / "out/report.html").read_text()


@pytest.mark.parametrize("test", ["IsNaN", "IsInf"])
def test_a_graph_that_takes_nan_or_infinities_for_zero_is_caught_though_the_data_have_none(
    tmp_path: Path, test: str
) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    features, target = trained.blobs()
    trained.converted(tmp_path, HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5), features, target)
    options: dict[str, Any] = {"data": tmp_path / "data.csv", "target": "target"}
    kept = read_reference(tmp_path / "out", PROBING_REFERENCE)
    assert kept is not None
    for column in kept.inputs.values():
        assert {np.isnan(column).any(), np.isposinf(column).any(), np.isneginf(column).any()} == {True}
    assert verify(tmp_path / "out", **options).holds

    def change(model: onnx.ModelProto) -> None:
        (name,) = (value.name for value in model.graph.input)
        for node in model.graph.node:
            node.input[:] = ["known" if each == name else each for each in node.input]
        (kind,) = (value.type.tensor_type.elem_type for value in model.graph.input)
        model.graph.initializer.append(onnx.helper.make_tensor("zero", kind, [1], [0.0]))
        model.graph.node.insert(0, onnx.helper.make_node("Where", ["strange", "zero", name], ["known"]))
        model.graph.node.insert(0, onnx.helper.make_node(test, [name], ["strange"]))

    assert breaches(verified(tmp_path / "out", change, tmp_path / "changed", **options)) == ["wrong_probing_rows"]


def test_probing_rows_stay_at_home(tmp_path: Path) -> None:
    from sklearn.tree import DecisionTreeClassifier

    from onnxlet.toolchain.prepare import prepare

    features, target = trained.blobs()
    trained.converted(tmp_path, DecisionTreeClassifier(max_depth=3), features, target)

    assert (tmp_path / "out/probing-reference.npz").is_file()
    assert "probing-reference.npz" not in prepare(tmp_path / "out", tmp_path / "work")[1]


def test_thresholds_behind_scalers_and_selections_are_those_of_the_columns() -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

    features, target = trained.blobs()
    rows = pd.DataFrame(features, columns=["a", "b", "c", "d"]).assign(d=np.arange(len(features)) % 3)
    scaled = make_column_transformer((make_pipeline(StandardScaler(), MinMaxScaler()), ["b", "a"]), ("drop", ["c"]))
    scaled.set_params(remainder=OneHotEncoder(sparse_output=False))
    forest = RandomForestClassifier(5, max_depth=3, random_state=0)
    pipeline = make_pipeline(scaled, forest).fit(rows, target)

    known = known_columns(pipeline, ("a", "b", "c", "d"), lambda _: None)

    assert {each.column for each in known.thresholds} <= {"a", "b"}
    assert known.categories == {"d": [0, 1, 2]}
    for each in known.thresholds[:50]:
        low, high = (rows.assign(**{each.column: each.value + step}) for step in (-1e-6, 1e-6))
        leaves = [forest.apply(pipeline[:-1].transform(side)) for side in (low, high)]
        assert (leaves[0] != leaves[1]).any(), each


def test_a_model_that_answers_a_row_alone_otherwise_than_among_others_is_followed_in_both(tmp_path: Path) -> None:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - scikit-learn wants it
    from sklearn.impute import IterativeImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline

    features, target = trained.slopes()
    features = np.exp(features)
    features[np.random.default_rng(0).random(features.shape) < 0.1] = np.nan
    model = make_pipeline(IterativeImputer(initial_strategy="median", random_state=0), LinearRegression()).fit(
        features, target
    )
    empty = np.full((1, features.shape[1]), np.nan)
    assert model.predict(empty)[0] != pytest.approx(model.predict(np.vstack([empty, features]))[0], rel=1e-3)

    convert(model, tmp_path / "out", data=features, target=target)

    alone = answers(tmp_path / "out", {f"x{index}": empty[:, index] for index in range(features.shape[1])})
    assert alone["prediction"] == pytest.approx(model.predict(empty))
