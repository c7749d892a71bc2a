"""Telemetry: metrics as CloudWatch reads them on Lambda, log records elsewhere."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from onnxlet.telemetry import FALLBACK, FETCH_TIME, LOAD_TIME, Telemetry


def test_on_lambda_a_metric_is_one_line_of_embedded_metric_format(capsys: pytest.CaptureFixture[str]) -> None:
    Telemetry("predict").record({FETCH_TIME: 12.5, FALLBACK: 1}, model="diagnosis", version=3, alias=None)
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    metadata = told.pop("_aws")
    assert told == {"function": "predict", "model": "diagnosis", "version": 3, "FetchTime": 12.5, "Fallback": 1}
    assert isinstance(metadata["Timestamp"], int)
    assert metadata["CloudWatchMetrics"] == [
        {
            "Namespace": "Onnxlet",
            "Dimensions": [["function", "model"]],
            "Metrics": [{"Name": "FetchTime", "Unit": "Milliseconds"}, {"Name": "Fallback", "Unit": "Count"}],
        }
    ]


def test_elsewhere_a_metric_is_a_log_record(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        Telemetry("").record({LOAD_TIME: 3.0}, model="diagnosis", version=3)
    (record,) = caplog.records
    assert (record.message, record.__dict__["LoadTime"], record.__dict__["model"]) == ("LoadTime", 3.0, "diagnosis")
    assert capsys.readouterr().out == ""


def test_the_predictor_imports_none_of_what_the_data_plane_must_not() -> None:
    code = """
import sys
import onnxlet.serving.predictor
heavy = "fastapi starlette mangum boto3 botocore pydantic click onnx tqdm uvicorn logging tempfile concurrent obstore"
print([name for name in heavy.split() if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
