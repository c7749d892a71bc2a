"""The life of a model, scene by scene, told by the commands that make it.

Everything happens in one directory: models are trained there, converted, quantized, published to a store in it,
promoted, served over HTTP, asked, scored with, replaced and rolled back to.
"""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import click

from onnxlet.cli.demo.command_runner import CommandRunner
from onnxlet.cli.demo.local_server import LocalServer
from onnxlet.values.headers import MODEL_VERSION
from onnxlet.values.tables import format_facts, format_size, format_table

WARM_REQUESTS = 300


class Story:
    """The demo's scenes, in the current directory."""

    def __init__(self) -> None:
        self.commands = CommandRunner(Path("store").absolute().as_uri())
        self._patient: dict[str, Any] = {}

    def train(self) -> None:
        """Three models are fitted, the second too briefly."""
        from onnxlet.cli.demo.training import train_all

        click.echo("training three models on data that scikit-learn ships")
        _echo_indented(format_facts((name, model.words) for name, model in train_all(Path()).items()))

    def convert_and_publish(self) -> None:
        """Two become ONNX, one of them of 8-bit integers, and the first versions of two names."""
        self._convert("diagnosis", "diagnosis")
        # under 256 kB a graph stays exact unless a method is named: this one is small, and shows what quantizing does
        draft = self.commands.run(
            "optimize", "diagnosis", *_data_options("diagnosis", "diagnosis"), "--method", "dynamic-int8"
        )
        _echo_indented(_format_sizes(draft))
        _echo_indented(
            _format_contract(self.commands.run("verify", "diagnosis", *_data_options("diagnosis", "diagnosis")))
        )
        self._convert("progression", "progression")
        for name in ("diagnosis", "progression"):
            self._publish(name, name)

    def ask(self, server: LocalServer) -> None:
        """The server's first answer loads the model; those after do not."""
        row = _read_rows(Path("diagnosis-held-out.csv"))[0]
        truth = row.pop("diagnosis")
        self._patient = {"instances": [{name: float(value) for name, value in row.items()}]}
        Path("patient.json").write_text(json.dumps(self._patient))
        path = "/v1/models/diagnosis:predict"
        click.echo(f"$ onnxlet serve\n    {server.url}\n$ curl {server.url}{path} -d @patient.json")
        cold, answer, headers = server.ask(path, self._patient)
        warm = statistics.median(server.ask(path, self._patient)[0] for _ in range(WARM_REQUESTS))
        (prediction,) = answer["predictions"]
        facts = (
            ("answer", f"{prediction['label']}, probability {prediction['probability']:.4f} (truly {truth})"),
            ("version", headers[MODEL_VERSION]),
            ("cold", f"{cold * 1000:.1f} ms ({_format_timing(headers['Server-Timing'])})"),
            ("warm", f"{warm * 1000:.2f} ms, the median of {WARM_REQUESTS} requests over HTTP"),
        )
        _echo_indented(format_facts(facts))

    def score(self) -> None:
        """A file with two rows that nobody could score."""
        rows = _read_rows(Path("diagnosis-held-out.csv"))
        rows[2]["mean radius"], rows[5]["worst area"] = "", "n/a"
        with Path("patients.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        counts = self.commands.run("score", "patients.csv", "--model", "diagnosis", "-o", "scored.csv")["rows"]
        right = sum(row["diagnosis"] == row["label"] for row in _read_rows(Path("scored.csv")))
        read, scored, errors = counts["read"], counts["scored"], counts["errors"]
        _echo_indented(f"{read} rows = {scored} scored ({right} of them right) + {errors} set aside")
        _echo_indented(Path("scored.csv.errors.jsonl").read_text())

    def replace_and_roll_back(self, server: LocalServer) -> None:
        """A worse version goes live and leaves again, without a restart; the history keeps both."""
        self._convert("diagnosis-2", "diagnosis")
        self._publish("diagnosis-2", "diagnosis")
        seconds = server.wait_for_version("diagnosis", "2", self._patient)
        _echo_indented(f"the running server answers with version 2 after {seconds:.1f} s")
        self.commands.run("rollback", "diagnosis", "--why", "accuracy fell")
        seconds = server.wait_for_version("diagnosis", "1", self._patient)
        _echo_indented(f"the running server answers with version 1 after {seconds:.1f} s")
        entries = self.commands.run("history", "diagnosis", "--verify")
        rows = (
            (
                entry["sequence"],
                entry["when"][:19] + "Z",
                entry["who"],
                entry["action"],
                *_format_move(entry),
                entry["why"],
            )
            for entry in entries
        )
        _echo_indented(format_table(("ENTRY", "WHEN", "WHO", "ACTION", "FROM", "TO", "WHY"), rows))
        _echo_indented(
            f"every entry names the digest of the one before it, the last one {entries[-1]['predecessor'][:23]}…"
        )

    def leave_running(self, server: LocalServer) -> None:
        """Three things to type, until Ctrl-C."""
        row = _read_rows(Path("progression-held-out.csv"))[0]
        patient = {name: float(value) for name, value in row.items() if name != "progression"}
        click.echo("\nThe server runs until Ctrl-C. Try in another terminal:\n")
        click.echo(f"curl {server.url}/v1/models/diagnosis:predict -d '@{Path('patient.json').absolute()}'")
        click.echo(f"curl {server.url}/v1/models/progression:predict -d '{json.dumps({'instances': [patient]})}'")
        click.echo(f"curl {server.url}/registry/models/diagnosis/history")
        server.wait()

    def _convert(self, name: str, target: str) -> None:
        draft = self.commands.run("convert", f"{name}.joblib", "--trust", *_data_options(name, target))
        (stage,) = (stage for stage in draft["evaluations"] if stage["stage"] == "onnx")
        shown = {"accuracy", "auc", "rmse", "r2"}
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in stage["metrics"].items() if name in shown)
        _echo_indented(f"answers as the estimator did; on {stage['rows']} held-out rows: {metrics}")

    def _publish(self, directory: str, name: str) -> None:
        version = self.commands.run("publish", directory, name)["version"]
        _echo_indented(f"{name}:{version}")
        self.commands.run("promote", f"{name}:{version}")


def _data_options(name: str, target: str) -> tuple[str, ...]:
    return "--data", f"{name}-held-out.csv", "--target", target


def _echo_indented(text: str) -> None:
    click.echo("\n".join("    " + line for line in text.splitlines()))


def _read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _format_sizes(draft: dict[str, Any]) -> str:
    """Sizes and held-out metrics of the graph as converted and as optimized, or why it was left alone."""
    done, names = draft["optimization"], ("accuracy", "f1", "auc")
    stages = {stage["stage"]: stage for stage in draft["evaluations"]}
    if "optimized" not in stages:
        return f"left as it was: {done['reason']}"
    rows = [
        (weights, format_size(done[count]), *(f"{stages[stage]['metrics'][name]:.4f}" for name in names))
        for weights, count, stage in (("float32", "bytes_before", "onnx"), ("int8", "bytes_after", "optimized"))
    ]
    return format_table(("WEIGHTS", "SIZE", *map(str.upper, names)), rows)


def _format_contract(contract: dict[str, Any]) -> str:
    """The accuracy contract in a line."""
    last = contract["stages"][-1]
    accuracy, kept = last["metrics"]["accuracy"], last["distances"]["label_agreement"]
    return (
        f"the accuracy contract {'holds' if contract['holds'] else 'does not hold'}: {kept:.1%} of {contract['rows']} "
        f"labels stay, accuracy {accuracy['value']:.3f} ({accuracy['low']:.3f} to {accuracy['high']:.3f})"
    )


def _format_timing(header: str) -> str:
    """`fetch;dur=3.2, load;dur=9.1` as people read it."""
    parts = (part.strip().split(";dur=") for part in header.split(","))
    return ", ".join(f"{name} {float(duration):.1f}" for name, duration in parts)


def _format_move(entry: dict[str, Any]) -> tuple[str, str]:
    """From which versions to which an entry of the history moved the alias."""
    before, after = (", ".join(str(route["version"]) for route in entry[end]) or "-" for end in ("from", "to"))
    return before, after
