"""The source archive and the wheel, as an installer gets them: what is in them, and that they work by themselves."""

from __future__ import annotations

import os
import subprocess
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = "layers/core/python/onnxlet/"
SHIP = """
import numpy as np
import onnxlet
from sklearn.linear_model import LogisticRegression

random = np.random.default_rng(0)
rows = random.normal(size=(200, 3))
target = np.where(rows[:, 0] + random.normal(size=200) / 5 > 0, "ill", "well")
model = LogisticRegression().fit(rows[:100], target[:100])
shipped = onnxlet.ship(model, "diagnosis", data=rows[100:], target=target[100:], promote=True, store="store")
loaded = onnxlet.load("diagnosis", store="store")
print(shipped, (loaded.predict(rows) == model.predict(rows)).all(), onnxlet.__file__)
"""
EXPECTED = """
import joblib, numpy as np, pandas as pd, pyarrow as pa, pyarrow.parquet as pq
import onnxlet
from sklearn.linear_model import LogisticRegression

random = np.random.default_rng(0)
rows = pd.DataFrame(random.normal(size=(200, 3)), columns=["a", "b", "c"])
target = np.where(rows["a"] + random.normal(size=200) / 5 > 0, "ill", "well")
model = LogisticRegression().fit(rows, target)
columns = {"label": model.predict(rows), **dict(zip(model.classes_, model.predict_proba(rows).T))}
pq.write_table(pa.table(columns), "expected.parquet")
converted = onnxlet.convert(
    model, "converted", data=rows.assign(state=target), target="state", expected="expected.parquet"
)
print(converted.draft.reference.kind, converted.draft.evaluations[-1].metrics["label_agreement"])
"""


def run(*words: str | Path, cwd: Path) -> str:
    """What a command prints, without this environment's variables of Python."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(words, cwd=cwd, env=environ, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_environment(folder: Path) -> Path:
    """The folder of an empty environment's commands."""
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and the wheel that was built of that."""
    folder = tmp_path_factory.mktemp("built")
    binaries = make_environment(folder / "builder")
    run(binaries / "pip", "install", "--quiet", "--disable-pip-version-check", "build==1.5.0", cwd=folder)
    run(binaries / "python", "-m", "build", "--outdir", folder / "dist", ROOT, cwd=folder)
    return folder / "dist"


def tracked() -> set[str]:
    """The library's files that Git keeps, as paths below it."""
    listed = run("git", "ls-files", "-z", LIBRARY, cwd=ROOT).split("\0")
    return {path.removeprefix(LIBRARY) for path in listed if path and (ROOT / path).exists()}


def test_the_source_archive_holds_the_library_and_what_a_build_needs(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}

    beside = {name for name in names if not name.startswith(LIBRARY)}
    assert {name.removeprefix(LIBRARY) for name in names - beside} == tracked()
    assert beside == {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}


def test_the_wheel_holds_the_library_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        text = opened.read(metadata).decode()

    folder = metadata.partition("/")[0]
    assert {name.removeprefix("onnxlet/") for name in names if name.startswith("onnxlet/")} == tracked()
    assert {name.removeprefix(folder) for name in names if not name.startswith("onnxlet/")} == {
        "/METADATA",
        "/RECORD",
        "/WHEEL",
        "/entry_points.txt",
        "/licenses/LICENSE",
    }
    assert "# onnxlet" in text


@pytest.fixture(scope="module")
def binaries(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that has the wheel with its extra for scikit-learn, and pyarrow."""
    (wheel,) = built.glob("*.whl")
    folder = tmp_path_factory.mktemp("installed")
    binaries = make_environment(folder)
    words = ("install", "--quiet", "--disable-pip-version-check", f"{wheel}[sklearn]", "pyarrow")
    run(binaries / "pip", *words, cwd=folder)
    return binaries


def test_it_works_where_nothing_else_is_installed(binaries: Path, built: Path, tmp_path: Path) -> None:
    assert "Turn a trained model into a prediction service" in run(binaries / "onnxlet", "--help", cwd=tmp_path)
    version = run(binaries / "python", "-c", "import onnxlet; print(onnxlet.__version__)", cwd=tmp_path).strip()
    assert f"onnxlet-{version}-" in next(built.glob("*.whl")).name
    printed = run(binaries / "python", "-c", SHIP, cwd=tmp_path).split()
    assert printed[:2] == ["diagnosis:1", "True"]
    assert Path(printed[2]).is_relative_to(binaries.parent)
    assert "diagnosis" in run(binaries / "onnxlet", "--store", "store", "list", cwd=tmp_path)


def test_parquet_that_pyarrow_wrote_is_read_as_expected_answers(binaries: Path, tmp_path: Path) -> None:
    assert run(binaries / "python", "-c", EXPECTED, cwd=tmp_path).split() == ["expected", "1.0"]


def test_extras_are_installed_by_the_name_that_errors_say_though_no_index_has_it(
    binaries: Path, tmp_path: Path
) -> None:
    run(binaries / "pip", "install", "--quiet", "--disable-pip-version-check", "onnxlet[libsvm]", cwd=tmp_path)
    run(binaries / "pip", "check", cwd=tmp_path)
