"""Packages: weighed where they were built, or as they were recorded."""

from __future__ import annotations

from pathlib import Path

from measurements import PRICES, measured
from onnxlet.toolchain.fit import sizing
from onnxlet.toolchain.fit.fitting import compute
from onnxlet.toolchain.fit.package import PARTS, built_bytes, recorded_weights


def test_layers_are_weighed_where_they_were_built_for_the_same_processor(tmp_path: Path) -> None:
    assert built_bytes(tmp_path, "x86_64") is None
    build = tmp_path / ".aws-sam" / "build"
    for part, name in zip(
        PARTS,
        ("app.py", "python/onnxlet/errors.py", "python/numpy/_core/core.cpython-313-aarch64-linux-gnu.so"),
        strict=True,
    ):
        file = build / part / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"12345")
    assert built_bytes(tmp_path, "x86_64") is None
    assert built_bytes(tmp_path, "arm64") == {"Predict": 5, "CoreLayer": 5, "EngineLayer": 5}


def test_what_was_recorded_of_the_layers_fits_and_is_dated() -> None:
    recorded = recorded_weights()
    for architecture in ("x86_64", "arm64"):
        weight = recorded.weight(architecture)
        assert sizing.packaging(weight, "").kind == "zip"
        assert weight.zipped < weight.unzipped
    assert str(recorded.recorded) in compute(measured(), PRICES).packaging.source
