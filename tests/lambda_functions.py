"""Lambda functions as Lambda runs them, in this process: their own app.py, its environment, and what they print."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "functions"


class Function:
    """One function, imported as a cold start imports it; `lines` is all that it printed."""

    def __init__(self, folder: str, environment: Mapping[str, str]) -> None:
        self.name = f"onnxlet-{folder.capitalize()}"
        self.lines: list[str] = []
        before = dict(os.environ)
        os.environ.update({"AWS_LAMBDA_FUNCTION_NAME": self.name, **environment})
        try:
            spec = importlib.util.spec_from_file_location(f"{folder}_app", FOLDER / folder / "app.py")
            assert spec is not None
            assert spec.loader is not None
            self._app: Any = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self._app)
        finally:
            os.environ.clear()
            os.environ.update(before)

    def invoke(self, event: dict[str, Any]) -> dict[str, Any]:
        """Answer an event."""
        printed = io.StringIO()
        with redirect_stdout(printed):
            answer: dict[str, Any] = self._app.handler(event, None)
        self.lines += printed.getvalue().splitlines()
        return answer
