"""Which store is meant, and what is said of names that it does not have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import onnxlet
from command_line import Run
from models import tiny
from onnxlet.errors import AliasNotFoundError, InvalidInputError, ModelNotFoundError, NotFoundError
from onnxlet.lifecycle.workspace import resolve_url
from onnxlet.store import open_store


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("s3:/models/prod", "s3://models/prod"),
        ("s3:models", "s3://models"),
        ("s3//models", "s3://models"),
        ("S3://models/prod", "s3://models/prod"),
        ("s3;//models", "s3://models"),
        ("s3:\\\\models", "s3://models"),
        ("file:/srv/models", "file:///srv/models"),
        ("FILE:///srv/models", "file:///srv/models"),
        (Path("s3://models/prod"), "s3://models/prod"),
    ],
)
def test_a_url_that_is_none_is_not_taken_for_a_directory(written: str | Path, meant: str) -> None:
    with pytest.raises(InvalidInputError, match=f"write '{meant}'"):
        resolve_url(written)


@pytest.mark.parametrize("written", ["gs://models", "https://bucket.s3.amazonaws.com", "s4://models", "http:/models"])
def test_schemes_that_no_store_has_are_refused_with_those_that_some_have(written: str) -> None:
    with pytest.raises(InvalidInputError, match="use s3://bucket/prefix, file:///directory, memory://name or a path"):
        resolve_url(written)


@pytest.mark.parametrize("written", ["models", "./models", "/srv/models", "../a b/ü", "s3", "models/s3", "C:/models"])
def test_paths_are_directories(written: str) -> None:
    assert resolve_url(written) == Path(written).absolute().as_uri()


def test_a_directory_of_such_a_name_that_is_there_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "models").mkdir(parents=True)

    assert resolve_url("s3:/models") == (tmp_path / "s3:" / "models").as_uri()


def test_the_command_says_so_too(run: Run) -> None:
    result = run("--store", "s3:/models", "list")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "write 's3://models'" in result.stderr


@pytest.fixture
def store(directory_url: str, tmp_path: Path) -> str:
    """A store with the model `diagnosis`, whose first version is in production and a candidate."""
    package = tiny.classifier_package(tmp_path / "package")
    tiny.publish(open_store(directory_url), "diagnosis", package)
    onnxlet.promote("diagnosis:1", alias="candidate", store=directory_url)
    tiny.publish(open_store(directory_url), "staging", package, alias=None)
    return directory_url


MODEL_CALLS: dict[str, Callable[[str], object]] = {
    "load": lambda store: onnxlet.load("diagnosys", store=store),
    "promote": lambda store: onnxlet.promote("diagnosys:1", store=store),
    "rollback": lambda store: onnxlet.rollback("Diagnosis2", store=store),
    "list": lambda store: onnxlet.Registry(store).list("diagnose"),
    "show": lambda store: onnxlet.Registry(store).show("diagnossis:1"),
    "compare": lambda store: onnxlet.Registry(store).compare("diagnossis"),
    "history": lambda store: onnxlet.Registry(store).history("dignosis"),
}


@pytest.mark.parametrize("name", MODEL_CALLS)
def test_a_misspelt_model_gets_the_one_that_may_be_meant(store: str, name: str) -> None:
    with pytest.raises(ModelNotFoundError, match=r"; did you mean 'diagnosis'\?$"):
        MODEL_CALLS[name](store)


def test_a_model_like_no_other_gets_none(store: str) -> None:
    with pytest.raises(ModelNotFoundError, match=r"^no model named 'weather'$"):
        onnxlet.load("weather", store=store)


def test_a_misspelt_alias_gets_the_one_that_may_be_meant_or_all(store: str) -> None:
    with pytest.raises(
        AliasNotFoundError, match=r"^model 'diagnosis' has no alias 'prodution'; did you mean 'production'\?$"
    ):
        onnxlet.load("diagnosis@prodution", store=store)
    with pytest.raises(AliasNotFoundError, match=r"has no alias 'eu'; it has 'candidate', 'production'$"):
        onnxlet.load("diagnosis@eu", store=store)
    with pytest.raises(AliasNotFoundError, match=r"^model 'staging' has no alias 'production'; it has none yet$"):
        onnxlet.load("staging", store=store)


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    "words",
    [
        ("show", "staging"),
        ("predict", "staging", "rows.csv"),
        ("history", "staging"),
        ("export", "staging", "out", "--to", "savedmodel"),
    ],
)
def test_commands_that_read_do_not_advise_to_promote(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "rows.csv").write_text("x\n1\n")

    result = run(*words)

    assert result.exit_code == 1
    assert "has no alias 'production'; it has none yet" in result.stderr
    assert "promote" not in result.stderr
    assert "`onnxlet list NAME`" in result.stderr


def test_over_http_no_name_is_suggested(store: str, tmp_path: Path) -> None:
    from command_line import serving

    with serving(store, tmp_path) as url, pytest.raises(NotFoundError) as caught:
        onnxlet.connect(url).predict("stagin", [[1.0]])
    assert "staging" not in caught.value.detail
