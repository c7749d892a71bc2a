"""The package's public face: few names, and none of them costs anything until it is used."""

from __future__ import annotations

import subprocess
import sys
from inspect import signature

import pytest

import onnxlet
from onnxlet.client import connect

HOMES = {
    "Registry": "lifecycle.registry",
    "Scorer": "lifecycle.scorer",
    "connect": "client.client",
    "convert": "lifecycle.toolchain",
    "export": "lifecycle.toolchain",
    "load": "lifecycle.loading",
    "optimize": "lifecycle.toolchain",
    "promote": "lifecycle.releasing",
    "publish": "lifecycle.releasing",
    "rollback": "lifecycle.releasing",
    "ship": "lifecycle.shipping",
    "verify": "lifecycle.toolchain",
}


def test_the_public_names_are_these() -> None:
    assert set(onnxlet.__all__) == {"__version__", *HOMES}
    assert set(onnxlet.__all__) <= set(dir(onnxlet))
    assert onnxlet.connect is connect
    assert {name: getattr(onnxlet, name).__module__ for name in HOMES} == {
        name: f"onnxlet.{home}" for name, home in HOMES.items()
    }


def test_connect_takes_what_it_says() -> None:
    assert str(signature(onnxlet.connect)) == (
        "(url: 'str', auth: 'str | None' = None, *, timeout: 'float' = 60.0, retries: 'int' = 4) -> 'Client'"
    )


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'onnxlet' has no attribute 'serve'"):
        _ = onnxlet.serve  # type: ignore[attr-defined] # that is the point


def test_importing_the_package_loads_nothing_but_itself() -> None:
    program = "import sys; before = set(sys.modules); import onnxlet; print(sorted(set(sys.modules) - before))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "['onnxlet', 'onnxlet.version']\n"


def test_what_is_shipped_with_and_looked_at_loads_nothing_heavy_before_it_is_called() -> None:
    program = """
import sys, onnxlet
for name in sorted(set(onnxlet.__all__) - {"load"}):
    getattr(onnxlet, name)
print(sorted({"numpy", "onnxruntime", "onnx", "tqdm", "sklearn", "pandas", "obstore", "click"} & set(sys.modules)))
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"
