"""What telemetry lets a cold start import."""

from __future__ import annotations

import subprocess
import sys

HEAVY = "fastapi starlette mangum boto3 botocore pydantic click onnx tqdm uvicorn logging tempfile concurrent obstore"
LATER = "tallies metrics embedded request_log extension shutdown runtime_api"


def imported(code: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-I", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_predictor_imports_none_of_what_the_data_plane_must_not() -> None:
    code = f"import sys, onnxlet.serving.predictor\nprint([name for name in {HEAVY.split()} if name in sys.modules])"
    assert imported(code) == "[]\n"


def test_what_folds_and_writes_is_imported_after_the_first_answer() -> None:
    code = f"""
import sys
from onnxlet.settings import Settings
from onnxlet.telemetry.on_lambda import observe_function
observe_function(Settings(function_name="predict", request_log=True), {{}})
later = [f"onnxlet.telemetry.{{name}}" for name in {LATER.split()}]
print([name for name in [*later, "numpy", "logging", "socket", "http", "ssl", "signal"] if name in sys.modules])
"""
    assert imported(code) == "[]\n"


def test_registering_imports_neither_ssl_nor_http_nor_socket() -> None:
    code = """
import sys
import onnxlet.telemetry.extension, onnxlet.telemetry.shutdown
print([name for name in "socket http ssl signal numpy logging".split() if name in sys.modules])
"""
    assert imported(code) == "[]\n"
