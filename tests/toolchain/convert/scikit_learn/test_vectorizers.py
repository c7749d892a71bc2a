"""Vectorizers of texts: models that begin with them convert, and answer texts of any script as scikit-learn does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import onnx
import pandas as pd
import pytest

import trained

pytest.importorskip("sklearn")
pytest.importorskip("skl2onnx")

from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, chi2
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import BernoulliNB, ComplementNB, MultinomialNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from onnxlet.errors import ConversionError, GoldenMismatchError, InvalidInputError
from onnxlet.lifecycle.summaries import describe_version
from onnxlet.registry.registry import Registry
from onnxlet.serving.model import Model
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store
from onnxlet.toolchain.convert import convert
from onnxlet.toolchain.prepare import prepare
from onnxlet.toolchain.verify import verify
from onnxlet.values.manifest import Draft
from onnxlet.values.refs import parse_ref
from onnxlet.values.tables import format_blocks

pytestmark = pytest.mark.toolchain

WORDS = (
    *("der", "Herd", "ist", "unauffällig", "Schmerzen", "ÜBER", "Nacht", "kein", "Befund", "leichte", "Schwäche"),
    *("東京", "мир", "ёлка", "naïve", "pain", "x1"),
)
ROWS = 120
FRESH = [
    "Schmerzen über NACHT",
    "ÜBER ÜBER über, kein Befund; nichts Bekanntes",
    "",
    "  \n",
    "u\u0308ber Nacht",
    "東京 мир ЁЛКА 😀",
    "STRASSE ﬁne",
    "pain " * 500,
]


def texts(seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, random.integers(1, 12))) for _ in range(ROWS)]


def kinds(texts: list[str]) -> npt.NDArray[np.int64]:
    return np.array([("Schmerzen" in text) + 2 * ("Nacht" in text) for text in texts])


def records(texts: list[str]) -> pd.DataFrame:
    count = len(texts)
    return pd.DataFrame(
        {
            "report": texts,
            "history": texts[::-1],
            "age": np.arange(count, dtype=float),
            "ward": ["a", "b"] * (count // 2),
        }
    )


def converted(model: Any, folder: Path, rows: Any, target: Any) -> tuple[Model, Draft]:  # noqa: ANN401
    draft = convert(model, folder, data=rows, target=target)
    return trained.served_model(folder), draft


def operators(folder: Path) -> list[str]:
    return [node.op_type for node in onnx.load(folder / "model.onnx").graph.node]


def takes_matrix(draft: Draft) -> list[bool]:
    return [step.get("indices") is None for step in draft.steps if step["kind"] == "vectorizer"]


def check_answers(model: Any, served: Model, fresh: pd.DataFrame | list[str]) -> None:  # noqa: ANN401
    """Labels and probabilities are the estimator's own, row by row and all at once."""
    columns = fresh.to_dict("list") if isinstance(fresh, pd.DataFrame) else {"text": fresh}
    tensors = {
        name: np.array(column, dtype=object if isinstance(column[0], str) else np.float32)
        for name, column in columns.items()
    }
    answers = served.predict(tensors, "columns")
    name = "label" if "label" in answers else next(iter(answers))
    expected = model.predict(fresh)
    if name == "label":
        assert answers[name].tolist() == expected.tolist()
    else:
        np.testing.assert_allclose(answers[name], expected, rtol=1e-4, atol=1e-5)
    if "probabilities" in answers:
        np.testing.assert_allclose(answers["probabilities"], model.predict_proba(fresh), atol=1e-5)
    for row in range(len(fresh)):
        alone = served.predict({each: tensor[row : row + 1] for each, tensor in tensors.items()}, "columns")
        assert alone[name].tolist() == pytest.approx(answers[name][row : row + 1].tolist(), abs=1e-5)


LINEAR = [
    LogisticRegression(),
    LinearSVC(),
    MultinomialNB(),
    ComplementNB(),
    SGDClassifier(loss="log_loss", random_state=0),
    Ridge(),
    CalibratedClassifierCV(LinearSVC(), cv=2),
    OneVsRestClassifier(LogisticRegression()),
    MLPClassifier((5,), max_iter=300, random_state=0),
]
OTHERS = [BernoulliNB(), RandomForestClassifier(10, random_state=0), SVC(gamma=1.0)]


@pytest.mark.parametrize("last", [*LINEAR, *OTHERS], ids=lambda last: type(last).__name__)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_texts_alone_are_answered_as_the_model_does(last: Any, tmp_path: Path) -> None:  # noqa: ANN401
    model = make_pipeline(TfidfVectorizer(), last).fit(texts(), kinds(texts()))
    served, draft = converted(model, tmp_path / "out", texts(), kinds(texts()))

    assert takes_matrix(draft) == [last in OTHERS]
    assert ("Gather" in operators(tmp_path / "out")) == (last in LINEAR)
    check_answers(model, served, [*FRESH, *texts(1)])


BEGINNINGS = {
    "counts": [CountVectorizer()],
    "characters": [TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), strip_accents="unicode")],
    "pairs of words": [CountVectorizer(ngram_range=(1, 2), stop_words=["ist", "der"], binary=True)],
    "single precision": [TfidfVectorizer(dtype=np.float32, sublinear_tf=True, norm="l1")],
    "hashed": [HashingVectorizer(n_features=2**12)],
    "weighed afterwards": [CountVectorizer(strip_accents="ascii"), TfidfTransformer(sublinear_tf=True)],
    "hashed and weighed": [HashingVectorizer(n_features=2**12, norm=None, alternate_sign=False), TfidfTransformer()],
    "the best": [TfidfVectorizer(), SelectKBest(chi2, k=4)],
    "scaled": [CountVectorizer(), SelectKBest(chi2, k=6), MaxAbsScaler(), StandardScaler(with_mean=False)],
    "fewer dimensions": [TfidfVectorizer(), TruncatedSVD(3, random_state=0)],
    "words and characters": [FeatureUnion([("w", TfidfVectorizer()), ("c", CountVectorizer(analyzer="char"))])],
}


@pytest.mark.parametrize("beginning", BEGINNINGS.values(), ids=BEGINNINGS)
def test_whatever_stands_between_texts_and_coefficients_is_gathered_with_them(
    beginning: list[Any], tmp_path: Path
) -> None:
    model = make_pipeline(*beginning, LogisticRegression(max_iter=500)).fit(texts(), kinds(texts()))
    served, draft = converted(model, tmp_path / "out", texts(), kinds(texts()))

    assert takes_matrix(draft) == [False] * (2 if isinstance(beginning[0], FeatureUnion) else 1)
    check_answers(model, served, [*FRESH, *texts(1)])


def beside_columns() -> ColumnTransformer:
    both = FeatureUnion([("words", TfidfVectorizer()), ("characters", TfidfVectorizer(analyzer="char"))])
    return make_column_transformer(
        (both, "report"), (CountVectorizer(), "history"), (StandardScaler(), ["age"]), (OneHotEncoder(), ["ward"])
    )


@pytest.mark.parametrize(
    "last", [LogisticRegression(max_iter=500), RandomForestClassifier(10, random_state=0)], ids=["linear", "forest"]
)
def test_texts_beside_numbers_and_categories_are_answered_as_the_model_does(last: Any, tmp_path: Path) -> None:  # noqa: ANN401
    model = make_pipeline(beside_columns(), last).fit(records(texts()), kinds(texts()))
    served, draft = converted(model, tmp_path / "out", records(texts()), kinds(texts()))

    assert takes_matrix(draft) == [isinstance(last, RandomForestClassifier)] * 3
    assert [spec.name for spec in served.signatures["columns"].inputs] == ["report", "history", "age", "ward"]
    check_answers(model, served, records([*FRESH, *texts(1)]))


def test_a_column_that_is_a_category_too_is_read_by_both(tmp_path: Path) -> None:
    rows = pd.DataFrame({"report": [text.split()[0] for text in texts()]})
    encoder = OneHotEncoder(handle_unknown="ignore")
    both = make_column_transformer((CountVectorizer(), "report"), (encoder, ["report"]))
    model = make_pipeline(both, LogisticRegression()).fit(rows, kinds(texts()))
    served, _ = converted(model, tmp_path / "out", rows, kinds(texts()))
    check_answers(model, served, pd.DataFrame({"report": ["Herd", "herd", "HERD Herd", "pain", ""]}))


def test_several_targets_read_the_text_once(tmp_path: Path) -> None:
    target = np.stack([kinds(texts()) % 2, kinds(texts()) // 2], axis=1)
    model = make_pipeline(TfidfVectorizer(), MultiOutputClassifier(LogisticRegression())).fit(texts(), target)
    served, draft = converted(model, tmp_path / "out", texts(), target)
    assert len(takes_matrix(draft)) == 1
    answers = served.predict({"text": np.array(FRESH, dtype=object)}, "columns")
    told = np.stack([answers["label_target0"], answers["label_target1"]], axis=1)
    assert told.tolist() == model.predict(FRESH).tolist()


def test_searches_and_votes_of_pipelines_of_texts_convert(tmp_path: Path) -> None:
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1.0]}, cv=2).fit(texts(), kinds(texts()))
    vote = VotingClassifier(
        [("a", pipeline), ("b", make_pipeline(CountVectorizer(), MultinomialNB()))], voting="soft"
    ).fit(texts(), kinds(texts()))
    for name, model in (("search", search), ("vote", vote)):
        served, _ = converted(model, tmp_path / name, texts(), kinds(texts()))
        check_answers(model, served, FRESH)


def test_texts_are_taken_from_files_series_and_frames(tmp_path: Path) -> None:
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts(), kinds(texts()))
    file = trained.write_csv(
        tmp_path / "reports.csv", ["report", "kind"], list(zip(texts(), kinds(texts()), strict=True))
    )
    given: dict[str, tuple[Any, Any]] = {
        "file": (file, "kind"),
        "series": (pd.Series(texts(), name="report"), kinds(texts())),
        "frame": (pd.DataFrame({"report": texts()}), kinds(texts())),
        "array": (np.array(texts()), kinds(texts())),
    }
    for name, (data, target) in given.items():
        served, _ = converted(model, tmp_path / name, data, target)
        column = "text" if name == "array" else "report"
        answers = served.predict({column: np.array(FRESH, dtype=object)}, "columns")
        assert answers["label"].tolist() == model.predict(FRESH).tolist()


def test_texts_that_look_like_numbers_are_texts(tmp_path: Path) -> None:
    codes = [str(100 + number % 7) for number in range(ROWS)]
    target = np.arange(ROWS) % 7 > 3
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(codes, target)
    served, _ = converted(model, tmp_path / "out", pd.DataFrame({"code": codes}), target)
    answers = served.predict({"code": np.array(["101", "105", ""], dtype=object)}, "columns")
    assert answers["label"].tolist() == model.predict(["101", "105", ""]).tolist()


def test_a_model_of_texts_takes_one_column(tmp_path: Path) -> None:
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(texts(), kinds(texts()))
    with pytest.raises(InvalidInputError, match="reads one column of texts, the data have 'report', 'history'"):
        convert(model, tmp_path / "out", data=records(texts())[["report", "history"]], target=kinds(texts()))


class Stemming(CountVectorizer):  # type: ignore[misc]
    """Somebody's own."""

    def build_analyzer(self) -> Any:  # noqa: ANN401
        """Another one."""
        return lambda text: [word[:4] for word in text.split()]


def shout(text: str) -> str:
    return text.upper()


@pytest.mark.parametrize(
    ("vectorizer", "named"),
    [
        (CountVectorizer(tokenizer=str.split, token_pattern=None), "function for tokenizer, 'split'"),
        (TfidfVectorizer(preprocessor=shout), "function for preprocessor, 'shout'"),
        (TfidfVectorizer(analyzer=str.split), "function for analyzer, 'split'"),
        pytest.param(
            HashingVectorizer(strip_accents=shout), "function for strip_accents, 'shout'", marks=pytest.mark.long
        ),
        (Stemming(), "Stemming is a class that scikit-learn does not have"),
    ],
    ids=["tokenizer", "preprocessor", "analyzer", "accents", "class"],
)
def test_code_of_ones_own_is_refused_by_name_with_the_way_out(vectorizer: Any, named: str, tmp_path: Path) -> None:  # noqa: ANN401
    model = make_pipeline(vectorizer, LogisticRegression()).fit(texts(), kinds(texts()))
    with pytest.raises(ConversionError, match=rf"{named}.*token_pattern") as refusal:
        convert(model, tmp_path / "out", data=texts(), target=kinds(texts()))
    assert type(vectorizer).__name__ in refusal.value.detail


def test_texts_that_were_prepared_are_the_way_out(tmp_path: Path) -> None:
    prepared = [" ".join(word[:4] for word in text.split()) for text in texts()]
    vectorizer = CountVectorizer(token_pattern=r"\S+")  # noqa: S106 - no password
    model = make_pipeline(vectorizer, LogisticRegression()).fit(prepared, kinds(texts()))
    served, _ = converted(model, tmp_path / "out", prepared, kinds(texts()))
    check_answers(model, served, FRESH)


def test_vectorizers_that_read_files_or_count_in_bytes_are_refused(tmp_path: Path) -> None:
    files = []
    for number, text in enumerate(texts()):
        (tmp_path / f"{number}.txt").write_text(text)
        files.append(str(tmp_path / f"{number}.txt"))
    reading = make_pipeline(CountVectorizer(input="filename"), LogisticRegression()).fit(files, kinds(texts()))
    with pytest.raises(ConversionError, match=r"reads texts from files .*input='content'"):
        convert(reading, tmp_path / "out", data=files, target=kinds(texts()))
    counting = make_pipeline(CountVectorizer(dtype=np.uint8), LogisticRegression()).fit(texts(), kinds(texts()))
    with pytest.raises(ConversionError, match="counts in uint8: fit it with dtype"):
        convert(counting, tmp_path / "out", data=texts(), target=kinds(texts()))


# --- the version ------------------------------------------------------------------------------------------------------


def published(store: Store, folder: Path) -> Predictor:
    """The model that is verified and published, with production routed to it."""
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts(), kinds(texts()))
    convert(model, folder / "out", data=texts(), target=kinds(texts()))
    contract = verify(folder / "out", data=texts(), target=kinds(texts()))
    assert contract.holds
    assert next(each for each in contract.findings if each.name == "wrong_probing_rows").ok
    registry = Registry(store, who="tests")
    manifest = registry.publish("triage", *prepare(folder / "out", folder / "work"))
    registry.promote("triage", manifest.version)
    return Predictor(store, Settings(cache_dir=str(folder / "cache")))


def test_a_version_of_texts_is_verified_published_and_told_of(store: Store, tmp_path: Path) -> None:
    served = published(store, tmp_path).served(parse_ref("triage"))
    manifest = served.model.manifest
    assert "words0.json" in [artifact.path for artifact in manifest.artifacts]
    assert manifest.golden is not None
    assert manifest.golden.cases == 4
    assert manifest.probing is not None
    assert manifest.probing.rows
    told = format_blocks(describe_version(manifest, served.digest))
    assert "text: words, lowered, 17 columns, norm l2" in told


def test_golden_cases_hold_the_reading_of_texts_too(store: Store, tmp_path: Path) -> None:
    published(store, tmp_path)
    directory = tmp_path / "out"
    cases = json.loads((directory / "golden.json").read_bytes())["cases"]
    assert all(case["sent"]["text"]["strings"] for case in cases)
    # the same words in another order: the graph itself still gives its golden answers
    words = json.loads((directory / "words0.json").read_bytes())
    (directory / "words0.json").write_bytes(msgspec.json.encode(words | {"words": words["words"][::-1]}))
    registry = Registry(store, who="tests")
    version = registry.publish("triage", *prepare(directory, tmp_path / "again")).version
    registry.promote("triage", version)
    with pytest.raises(GoldenMismatchError, match="golden case 1"):
        Predictor(store, Settings(cache_dir=str(tmp_path / "other"))).load(parse_ref(f"triage:{version}"))
