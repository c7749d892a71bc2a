"""The month, lived day by day: requests by day, the watch by night, labels late."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from click.testing import CliRunner

import onnxlet
from lambda_functions import Function
from month.bus import Heard, Listener
from month.clock import DAYS, Clock
from month.hospital import FEATURES, LATE_BY, POLICY, patients, train
from onnxlet.cli.root import cli

REQUESTS = 10
ROWS = 32
"""Of each request."""
HELD_OUT = 4_000
OPENS, CLOSES = 7.0, 21.0
MODEL = "diagnosis"
EVENT = Path(__file__).parents[1] / "events" / "predict-http-api.json"


class Month:
    """A hospital, its store, and its functions."""

    def __init__(self, store: str, folder: Path, clock: Clock) -> None:
        self.store = store
        self.clock = clock
        self.heard: list[Heard] = []
        self.sent: list[pd.DataFrame] = []
        self._folder = folder
        self._publish()
        environment = {"ONNXLET_STORE": store, "ONNXLET_CACHE_DIR": str(folder / "cache")}
        self.predict = Function("predict", environment)
        self.watch = Function("watch", environment)
        self._listener = Listener()

    def live(self) -> Iterator[int]:
        """Live a day, and the night after it; say which."""
        for day in range(1, DAYS + 1):
            self._work(day)
            self._label(day)
            self._watch(day)
            yield day

    def _publish(self) -> None:
        self.clock.set(0, 12)
        held_out = patients(HELD_OUT, seed=2)
        onnxlet.convert(train(), self._folder / "out", data=held_out, target="diagnosis")
        onnxlet.publish(self._folder / "out", MODEL, store=self.store, policy=POLICY)
        onnxlet.promote(f"{MODEL}:1", store=self.store, why="the month begins")

    def _work(self, day: int) -> None:
        rows = patients(REQUESTS * ROWS, seed=1_000 + day, day=day)
        for number, hour in enumerate(np.linspace(OPENS, CLOSES, REQUESTS)):
            self.clock.set(day, float(hour))
            self._ask(f"visit-{day}-{number}", rows.iloc[number * ROWS : (number + 1) * ROWS])
        self.sent.append(rows)

    def _ask(self, request_id: str, rows: pd.DataFrame) -> None:
        instances = [_instance(row) for row in rows[list(FEATURES)].to_dict("records")]
        event = json.loads(EVENT.read_text())
        event["headers"]["x-onnxlet-request-id"] = request_id
        event["body"] = json.dumps({"instances": instances})
        answer = self.predict.invoke(event)
        assert answer["statusCode"] == 200, answer["body"]

    def _label(self, day: int) -> None:
        """Bring the diagnoses of some days ago, as a file that a hospital sends."""
        if day - LATE_BY < 1:
            return
        self.clock.set(day, 22)
        file = self._folder / "labels.csv"
        diagnoses = self.sent[day - LATE_BY - 1]["diagnosis"]
        lines = [f"visit-{day - LATE_BY}-{at // ROWS},{at % ROWS},{told}" for at, told in enumerate(diagnoses)]
        file.write_text("\n".join(["request_id,row,label", *lines]) + "\n")
        done = CliRunner().invoke(cli, ["--store", self.store, "label", str(file), "--json"])
        assert done.exit_code == 0, done.stderr

    def _watch(self, day: int) -> None:
        self.clock.set(day + 1, 1)
        self.watch.invoke({})
        self.heard += self._listener.hear(day)

    def names(self) -> Sequence[str]:
        """Every text that may be nowhere: the names in the notes that were sent."""
        return [note.split()[0] for rows in self.sent for note in rows["note"]]


def _instance(row: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in row.items()}
