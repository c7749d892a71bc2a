"""The telemetry's extension under Lambda's own emulator: registration, order, errors, a hang, and the end.

The emulator answers its caller only once the extension is done, and never freezes: tests/telemetry/test_extension.py
shows these against a stand-in.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from e2e.emulator import Emulated, emulated
from e2e.stage import BUILD, Stage, http_event
from telemetry.embedded_metric_format import check

LINE = '{"_aws"'
POLLING = [{}, {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.13"}]
"""The runtime waits for invocations in its main thread, or beside it."""
HANGING = """
import importlib.util, pathlib, time
spec = importlib.util.spec_from_file_location("predict", "{function}/app.py")
predict = importlib.util.module_from_spec(spec)
spec.loader.exec_module(predict)
handler = predict.handler
hung = pathlib.Path("{hung}")

class Hanging:
    def fold(self, records):
        if not hung.exists():
            hung.touch()
            time.sleep(600)

    def flush(self, *, final):
        pass

predict.telemetry.watch_with(Hanging)
"""


def ask(stage: Stage, function: Emulated, model: str = "diagnosis") -> Any:  # noqa: ANN401 - JSON
    """The answer for one row."""
    return function.invoke(http_event(f"/v1/models/{model}:predict", {"instances": stage.rows[:1]}))


def documents(function: Emulated) -> list[dict[str, Any]]:
    """What CloudWatch reads of the log."""
    return [check(line) for line in function.lines() if line.startswith(LINE)]


def total(function: Emulated, metric: str) -> float:
    """The sum of a metric of the function."""
    return sum(float(each.get(metric, 0)) for each in documents(function) if "kind" not in each)


def limits(rows: int) -> dict[str, str]:
    """A flush after so many rows."""
    return {"ONNXLET_TELEMETRY_ROWS": str(rows), "ONNXLET_TELEMETRY_SECONDS": "600"}


def test_the_extension_registers_for_invocations(emulator: Path, stage: Stage) -> None:
    with emulated(emulator, stage, "Predict", level="info") as function:
        ask(stage, function)
        (registered,) = [line for line in function.lines() if "onnxlet-telemetry" in line]
    assert "registered, subscribed to [INVOKE]" in registered


def test_metrics_of_an_invocation_are_written_before_the_next(emulator: Path, stage: Stage) -> None:
    with emulated(emulator, stage, "Predict", environ=limits(1)) as function:
        for number in range(1, 6):
            assert ask(stage, function)["statusCode"] == 200
            assert total(function, "Requests") == number


def test_errors_are_counted_and_the_next_invocation_is_answered(emulator: Path, stage: Stage) -> None:
    with emulated(emulator, stage, "Predict", environ=limits(1)) as function:
        assert function.invoke({"model": "nobody", "instances": [[1.0]]})["errorType"] == "ModelNotFoundError"
        assert function.invoke({"junk": 1})["errorType"] == "InvalidInputError"
        assert ask(stage, function, "nobody")["statusCode"] == 404
        assert ask(stage, function)["statusCode"] == 200
        kinds = [each["kind"] for each in documents(function) if "kind" in each]
    assert kinds == ["model-not-found", "model-not-found"]


def test_an_extension_that_hangs_costs_its_invocation_and_the_next_is_answered(
    emulator: Path, stage: Stage, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(HANGING.format(function=BUILD / "Predict", hung=tmp_path / "hung"))
    environ = limits(1) | {"AWS_LAMBDA_FUNCTION_TIMEOUT": "5"}
    with emulated(emulator, stage, "Predict", folder=tmp_path, environ=environ) as function:
        row = http_event("/v1/models/diagnosis:predict", {"instances": stage.rows[:1]})
        assert "timed out after 5.00 seconds" in function.say(row)
        assert (tmp_path / "hung").exists()
        assert ask(stage, function)["statusCode"] == 200


@pytest.mark.parametrize("polling", POLLING, ids=["main-thread", "beside"])
def test_sigterm_writes_what_is_left(emulator: Path, stage: Stage, polling: dict[str, str]) -> None:
    with emulated(emulator, stage, "Predict", environ=limits(1000) | polling) as function:
        for _ in range(4):
            ask(stage, function)
        assert total(function, "Requests") == 0
        function.process.send_signal(signal.SIGTERM)
        function.process.wait(30)
        assert total(function, "Requests") == 4
