"""Package a layer or a function for AWS Lambda: copy or install, trim, compile to bytecode, try the imports.

Each makefile that `sam build` runs calls this file through a link named `packager` beside it. A link, because the cache
of `sam build --cached` watches only the directory that a layer or function is built from, and a link's target counts.
The architecture of a layer with compiled wheels is the name of the directory that `make` runs in (WorkingDirectory in
template.yaml), because SAM passes it in no other way.

Standard library only: any Python 3.9 or newer runs it. The bytecode is made by a Python of the functions' runtime.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

RUNTIME = "3.13"
"""The Python of the functions, as in template.yaml."""
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Lambda's names of architectures to those of wheels."""
GLIBC = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_24", "manylinux_2_17", "manylinux2014")
"""Every tag that Lambda's Amazon Linux 2023 runs: with fewer, pip takes an ancient version or none."""
METADATA = ("METADATA", "entry_points.txt", "sboms", "licenses", "LICEN[CS]E*", "COPYING*", "NOTICE*", "AUTHORS*")
"""What stays of a wheel's own records: what importlib.metadata reads, what it was made of (PEP 770), the licences."""
ALWAYS_DROPPED = ("**/*.pyi", "**/*.pxd", "**/*.h", "**/*.a", "**/tests", "**/__pycache__", "bin")


class PackagingError(Exception):
    """The package cannot be made; the message says what to do."""


def find_python() -> str:
    """A Python of the runtime's version that really runs: a pyenv shim on PATH may not. Raises PackagingError."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = sorted(pyenv.glob(f"{RUNTIME}.*/bin/python{RUNTIME}"), key=_patch, reverse=True)
    for candidate in (
        os.environ.get("LAMBDA_PYTHON"),
        sys.executable,
        f"python{RUNTIME}",
        "python3",
        *map(str, installed),
    ):
        if candidate and _version(candidate) == RUNTIME:
            return candidate
    raise PackagingError(
        f"no Python {RUNTIME} runs here, and bytecode needs the functions' own: put python{RUNTIME} on PATH, "
        f"or install one under pyenv (looked in {pyenv})"
    )


def _patch(python: Path) -> int:
    patch = python.parents[1].name.rpartition(".")[2]
    return int(patch) if patch.isdecimal() else -1


def _version(python: str) -> str:
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([python, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


def pip_platform(architecture: str) -> list[str]:
    """The options that make pip choose wheels for Lambda, whatever machine it runs on."""
    tags = [f"--platform={glibc}_{MACHINES[architecture]}" for glibc in GLIBC]
    return ["--only-binary=:all:", "--implementation=cp", f"--python-version={RUNTIME}", *tags]


def install_wheels(python: str, requirements: Path, architecture: str, target: Path) -> None:
    """Install exactly the pinned wheels, each held to its digest. Raises PackagingError."""
    command = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--root-user-action=ignore"]
    command += ["--no-deps", "--no-compile", "--require-hashes", *pip_platform(architecture)]
    _run([*command, f"--target={target}", f"--requirement={requirements}"])


def copy_code(source: Path, target: Path, without: list[str]) -> None:
    """Copy a file or a directory of sources; `without` are paths inside it that stay behind. Raises PackagingError."""
    if source.is_file():
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target / source.name)
        return
    shutil.copytree(source, target / source.name, dirs_exist_ok=True)
    for path in without:
        if not (target / source.name / path).exists():
            raise PackagingError(f"{source} has no {path!r} that could stay behind: was it renamed?")
        _remove(target / source.name / path)


def trim(target: Path, drop: list[str]) -> None:
    """Remove what no function imports; patterns are relative to `target`."""
    for pattern in (*ALWAYS_DROPPED, *drop):
        for path in list(target.glob(pattern)):
            _remove(path)
    for records in target.glob("*.dist-info"):
        for entry in records.iterdir():
            if not any(fnmatchcase(entry.name, pattern) for pattern in METADATA):
                _remove(entry)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def compile_bytecode(python: str, target: Path, prefix: str) -> None:
    """Compile all sources. Unchecked hashes: unzipping changes times, and nothing can be written on Lambda."""
    where = ["-s", str(target), "-p", prefix]
    _run([python, "-m", "compileall", "-q", "-f", "--invalidation-mode=unchecked-hash", *where, str(target)])


def try_imports(python: str, target: Path, modules: list[str]) -> None:
    """Import the modules from the package alone, with nothing else installed in sight. Raises PackagingError."""
    program = f"import sys; sys.path.insert(0, {str(target)!r}); import {', '.join(modules)}"
    _run([python, "-I", "-S", "-B", "-c", program], ORT_DISABLE_TELEMETRY="1")


def _run(command: list[str], **environ: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ})
    if done.returncode != 0:
        raise PackagingError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    wheels = verbs.add_parser("wheels", help="a layer of pinned wheels")
    wheels.add_argument("requirements", type=Path)
    wheels.add_argument("--architecture", choices=sorted(MACHINES), default=Path.cwd().name)
    wheels.add_argument("--drop", nargs="*", default=[], metavar="PATTERN")
    wheels.add_argument("--imports", nargs="*", default=[], metavar="MODULE")
    code = verbs.add_parser("code", help="a layer or function of sources")
    code.add_argument("source", type=Path)
    code.add_argument("--without", nargs="*", default=[], metavar="PATH")
    for verb in (wheels, code):
        verb.add_argument("--into", type=Path, required=True, metavar="DIRECTORY")
        verb.add_argument("--prefix", required=True, help="where Lambda mounts the directory")
    return parser.parse_args()


def main() -> None:
    """Package what the command line names."""
    arguments = _arguments()
    target: Path = arguments.into.absolute()
    target.mkdir(parents=True, exist_ok=True)
    python = find_python()
    if arguments.verb == "code":
        copy_code(arguments.source, target, arguments.without)
        trim(target, [])
        compile_bytecode(python, target, arguments.prefix)
        return
    install_wheels(python, arguments.requirements, arguments.architecture, target)
    trim(target, arguments.drop)
    compile_bytecode(python, target, arguments.prefix)
    if arguments.imports and platform.machine() == MACHINES[arguments.architecture]:
        try_imports(python, target, arguments.imports)


if __name__ == "__main__":
    try:
        main()
    except PackagingError as error:
        sys.exit(f"packager: {error}")
