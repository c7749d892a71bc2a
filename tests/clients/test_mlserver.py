"""MLServer's own command for inference requests from a file: `mlserver infer`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clients.environment import run_client


def test_it_infers_line_by_line(server: str, tmp_path: Path) -> None:
    rows = [[number / 10 for number in range(30)], [float(number) for number in range(30)]]
    requests: list[dict[str, Any]] = [
        {
            "id": str(index),
            "inputs": [{"name": "features", "shape": [1, 30], "datatype": "FP32", "data": row}],
            "outputs": [{"name": "probabilities"}],
        }
        for index, row in enumerate(rows)
    ]
    asked, answered = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    asked.write_text("".join(json.dumps(request) + "\n" for request in requests))
    host = server.removeprefix("http://")
    run_client("mlserver", ["mlserver", "infer", "-u", host, "-m", "diagnosis", "-i", asked, "-o", answered, "-w", "1"])
    answers = sorted((json.loads(line) for line in answered.read_text().splitlines()), key=lambda one: str(one["id"]))
    assert [answer["id"] for answer in answers] == ["0", "1"]
    for answer in answers:
        assert (answer["model_name"], answer["model_version"]) == ("diagnosis", "1")
        [output] = answer["outputs"]
        assert (output["name"], output["datatype"], output["shape"]) == ("probabilities", "FP32", [1, 2])
        assert abs(sum(output["data"]) - 1) < 1e-6
