"""What goes into layers and functions: pins, trimming, bytecode, and that nothing stale is shipped."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import packager
import pytest
import weigh
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
LAYERS = REPOSITORY / "layers"
PINNED = ("engine", "web", "media", "tabular")
BUILT = [LAYERS / "core", *(LAYERS / name for name in PINNED), *sorted((REPOSITORY / "functions").glob("*/"))]


def _pins(layer: str, architecture: str) -> dict[str, str]:
    text = (LAYERS / layer / architecture / "requirements.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+) \\\n    --hash=sha256:[0-9a-f]{64}$", text, re.MULTILINE))
    assert len(pins) == text.count("==") == text.count("--hash=")
    return pins


@pytest.fixture(scope="module")
def lambda_python() -> str:
    try:
        return packager.find_python()
    except packager.PackagingError as error:
        pytest.skip(str(error))


def _package(python: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(LAYERS / "packager.py"), *map(str, arguments)]
    environ = {**os.environ, "PATH": f"{Path(python).parent}:{os.environ['PATH']}"}
    return subprocess.run(command, capture_output=True, text=True, env=environ, check=False)


@pytest.mark.parametrize("layer", PINNED)
def test_both_architectures_have_the_same_versions(layer: str) -> None:
    assert _pins(layer, "x86_64") == _pins(layer, "arm64")


def test_layers_agree_on_what_they_share() -> None:
    engine, web = _pins("engine", "x86_64"), _pins("web", "x86_64")
    assert {name: engine[name] for name in engine.keys() & web.keys()} == {
        name: web[name] for name in engine.keys() & web.keys()
    }


@pytest.mark.parametrize("layer", PINNED)
def test_pins_are_within_what_the_package_asks_for(layer: str) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = [*project["dependencies"], *extras["image"], *extras["text"], *extras["tabular"]]
    asked = {canonicalize_name(it.name): it.specifier for it in map(Requirement, named)}
    for name, version in _pins(layer, "x86_64").items():
        assert name not in asked or version in asked[canonicalize_name(name)], name


@pytest.mark.parametrize("layer", PINNED)
def test_a_layer_names_no_place_to_get_wheels_from(layer: str) -> None:
    for path in (LAYERS / layer).rglob("requirements.*"):
        assert "://" not in path.read_text()


def test_the_engine_layer_holds_what_the_data_plane_may_import_and_no_more() -> None:
    assert _pins("engine", "x86_64").keys() == {"msgspec", "numpy", "obstore", "onnxruntime", "orjson", "pysimdjson"}


def test_the_tabular_layer_holds_what_reads_parquet_without_what_only_type_checkers_read() -> None:
    assert _pins("tabular", "x86_64").keys() == {"arro3-core", "arro3-io"}


def test_the_media_layer_holds_pillow_and_tokenizers_without_what_the_latter_downloads_with() -> None:
    assert _pins("media", "x86_64").keys() == {"pillow", "tokenizers"}


@pytest.mark.parametrize("directory", BUILT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_whatever_a_build_depends_on_lies_where_sam_looks_for_changes(directory: Path) -> None:
    assert (directory / "Makefile").is_file()
    assert (directory / "packager").is_symlink()
    assert (directory / "packager").resolve() == LAYERS / "packager.py"
    assert ".." not in (directory / "Makefile").read_text().replace("../packager", "")


def test_the_core_layer_leaves_the_toolchain_and_the_command_behind(lambda_python: str, tmp_path: Path) -> None:
    environ = {**os.environ, "ARTIFACTS_DIR": str(tmp_path), "PATH": _path(lambda_python)}
    subprocess.run(["make", "build-CoreLayer"], cwd=LAYERS / "core", env=environ, check=True, capture_output=True)
    built = tmp_path / "python" / "onnxlet"
    modules = {path.stem for path in built.iterdir()}
    assert not modules & {"cli", "local", "toolchain"}
    assert {"dataplane", "controlplane", "registry", "serving", "batch"} <= modules
    assert {path.name.split(".")[1] for path in tmp_path.rglob("*.pyc")} == {"cpython-313"}
    assert (built / "LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()


def test_what_shall_stay_behind_must_exist(tmp_path: Path) -> None:
    (tmp_path / "library").mkdir()
    with pytest.raises(packager.PackagingError, match="'renamed' that could stay behind"):
        packager.copy_code(tmp_path / "library", tmp_path / "built", ["renamed"])


def _path(python: str) -> str:
    return f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"


def test_bytecode_is_believed_whatever_unzipping_does_to_times(lambda_python: str, tmp_path: Path) -> None:
    source = tmp_path / "app.py"
    source.write_text("WORD = 'compiled'\n")
    done = _package(lambda_python, "code", source, "--into", tmp_path / "built", "--prefix", "/var/task")
    assert done.returncode == 0, done.stderr
    (tmp_path / "built" / "app.py").write_text("WORD = 'changed'\n")
    said = subprocess.run(
        [lambda_python, "-c", "import app; print(app.WORD)"], cwd=tmp_path / "built", capture_output=True, check=True
    )
    assert said.stdout == b"compiled\n"


def test_trimming_drops_what_is_named_and_what_is_never_needed(tmp_path: Path) -> None:
    kept = ["pkg/__init__.py", "pkg/core.so", "pkg/LICENSE", "pkg/ThirdPartyNotices.txt"]
    records = ["METADATA", "licenses/LICENSE", "licenses/vendored/COPYING", "sboms/pkg.cyclonedx.json"]
    records += ["LICENSE", "LICENCE.md", "COPYING.LESSER", "NOTICE", "AUTHORS.rst"]
    kept += [f"pkg-1.dist-info/{record}" for record in records]
    dropped = ["pkg/tests/test_x.py", "pkg/x.pyi", "pkg/big/data.bin", "pkg-1.dist-info/RECORD", "bin/tool"]
    for name in kept + dropped:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    packager.trim(tmp_path, ["pkg/big"])
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_a_python_that_does_not_run_is_no_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\necho 'python3.13: command not found' >&2\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("LAMBDA_PYTHON", str(shim))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(packager.PackagingError, match=r"put python3\.13 on PATH, or install one under pyenv"):
        packager.find_python()


def test_a_package_that_cannot_be_imported_is_refused(lambda_python: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nowhere_to_be_found\n")
    with pytest.raises(packager.PackagingError, match="nowhere_to_be_found"):
        packager.try_imports(lambda_python, tmp_path, ["broken"])


def test_functions_are_weighed_with_their_layers(tmp_path: Path) -> None:
    for name, size in (("CoreLayer", 1_000_000), ("EngineLayer", 2_000_000), ("Predict", 500_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content").write_bytes(bytes(size))
    (tmp_path / "MediaLayer").mkdir()
    base = [{"Ref": "CoreLayer"}, {"Ref": "EngineLayer"}]
    media = [*base, {"Ref": "MediaLayer"}]
    traced = {"Fn::If": ["HasTraces", [*media, {"Ref": "OpenTelemetryLayer"}], media]}
    layers = {"Fn::If": ["ReadsMedia", traced, base]}
    resources = {"Predict": {"Type": "AWS::Serverless::Function", "Properties": {"Layers": layers}}}
    assert weigh.weights(resources, tmp_path) == [
        ("CoreLayer + EngineLayer", 3.0, 116.0),
        ("Predict + CoreLayer + EngineLayer + MediaLayer", 3.5, 180.0),
    ]


def test_the_functions_import_nothing_that_the_engine_layer_leaves_out() -> None:
    dropped = re.findall(r"(?<= )\w+/\w+(?=[ \n])", (LAYERS / "engine" / "Makefile").read_text())
    assert "numpy/typing" in dropped
    code = """
import importlib, pkgutil, sys
for name in sys.argv[1:]:
    sys.modules[name] = None
for plane in ("dataplane", "batch", "serving", "steps", "store", "registry"):
    package = importlib.import_module(f"onnxlet.{plane}")
    for module in pkgutil.walk_packages(package.__path__, f"onnxlet.{plane}."):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name in sys.argv:
                raise
"""
    names = [path.replace("/", ".") for path in dropped]
    subprocess.run([sys.executable, "-c", code, *names], check=True, timeout=120)
