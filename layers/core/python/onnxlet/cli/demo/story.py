"""`make demo`: the life of a model, told by the commands that make it. Hidden from the list of commands.

Everything happens in one directory: models are trained there, converted, quantized, published to a store in it,
promoted, served over HTTP, asked, scored with, replaced and rolled back to.
"""

from __future__ import annotations

import csv
import json
import shutil
import signal
import statistics
import sys
import time
from contextlib import chdir
from pathlib import Path
from typing import Any

import click

from onnxlet.cli.demo.local_server import Commands, LocalServer
from onnxlet.cli.options import json_option
from onnxlet.cli.output import Output, facts, size, table
from onnxlet.version import __version__

WARM_REQUESTS = 300
ALIAS_TTL = 1.0
"""Seconds that the demo's server believes an alias: short, for an impatient audience."""


@click.command("demo-models", hidden=True)
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@json_option
def demo_models(directory: Path, output: Output) -> None:
    """Train the demo's models and write them, with their held-out rows, into DIRECTORY."""
    from onnxlet.cli.demo.training import train_all

    with output.working("training"):
        models = train_all(directory)
    document = {
        name: {"model": str(trained.model), "held_out": str(trained.held_out), "target": trained.target}
        for name, trained in models.items()
    }
    output.show(document, "\n".join(str(trained.model) for trained in models.values()))


@click.command(hidden=True)
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), default=".demo", show_default=True)
@click.option("--keep", is_flag=True, help="Leave the server running until Ctrl-C.")
def demo(directory: Path, keep: bool) -> None:
    """Show a model's life, from training to rollback, in DIRECTORY, which is emptied first."""
    # ended by a signal, the demo ends its server as well
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    started = time.perf_counter()
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    click.echo(f"onnxlet {__version__}: the life of a model, from training to rollback\n")
    click.echo(f"$ cd {directory}; export ONNXLET_STORE=store")
    with chdir(directory):
        story = Story()
        story.train()
        story.convert_and_publish()
        with LocalServer(story.commands.store, Path("server.log"), alias_ttl=ALIAS_TTL) as server:
            story.ask(server)
            story.score()
            story.replace_and_roll_back(server)
            click.echo(f"\nAll of it is in {directory}/. Done in {time.perf_counter() - started:.0f} s.")
            if keep:
                story.leave_running(server)
            else:
                click.echo("`make demo KEEP=1` leaves the server running for you to try.")


class Story:
    """The demo, scene by scene, in the current directory."""

    def __init__(self) -> None:
        self.commands = Commands(Path("store").absolute().as_uri())
        self._patient: dict[str, Any] = {}

    def train(self) -> None:
        """Three models are fitted, the second too briefly."""
        from onnxlet.cli.demo.training import train_all

        click.echo("training three models on data that scikit-learn ships")
        _tell(facts((name, model.words) for name, model in train_all(Path()).items()))

    def convert_and_publish(self) -> None:
        """Two become ONNX, one of them of 8-bit integers, and the first versions of two names."""
        self._convert("diagnosis", "diagnosis")
        # under 256 kB a graph stays exact unless a method is named: this one is small, and shows what quantizing does
        draft = self.commands.run("optimize", "diagnosis", *_data("diagnosis", "diagnosis"), "--method", "dynamic-int8")
        _tell(_before_and_after(draft))
        _tell(_judged(self.commands.run("verify", "diagnosis", *_data("diagnosis", "diagnosis"))))
        self._convert("progression", "progression")
        for name in ("diagnosis", "progression"):
            self._publish(name, name)

    def ask(self, server: LocalServer) -> None:
        """The server's first answer loads the model; those after do not."""
        row = _rows(Path("diagnosis-held-out.csv"))[0]
        truth = row.pop("diagnosis")
        self._patient = {"instances": [{name: float(value) for name, value in row.items()}]}
        Path("patient.json").write_text(json.dumps(self._patient))
        path = "/v1/models/diagnosis:predict"
        click.echo(f"$ onnxlet serve\n    {server.url}\n$ curl {server.url}{path} -d @patient.json")
        cold, answer, headers = server.ask(path, self._patient)
        warm = statistics.median(server.ask(path, self._patient)[0] for _ in range(WARM_REQUESTS))
        (prediction,) = answer["predictions"]
        told = (
            ("answer", f"{prediction['label']}, probability {prediction['probability']:.4f} (truly {truth})"),
            ("version", headers["X-Onnxlet-Model-Version"]),
            ("cold", f"{cold * 1000:.1f} ms ({_timing(headers['Server-Timing'])})"),
            ("warm", f"{warm * 1000:.2f} ms, the median of {WARM_REQUESTS} requests over HTTP"),
        )
        _tell(facts(told))

    def score(self) -> None:
        """A file with two rows that nobody could score."""
        rows = _rows(Path("diagnosis-held-out.csv"))
        rows[2]["mean radius"], rows[5]["worst area"] = "", "n/a"
        with Path("patients.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
        counts = self.commands.run("score", "patients.csv", "--model", "diagnosis", "-o", "scored.csv")["rows"]
        right = sum(row["diagnosis"] == row["label"] for row in _rows(Path("scored.csv")))
        read, scored, errors = counts["read"], counts["scored"], counts["errors"]
        _tell(f"{read} rows = {scored} scored ({right} of them right) + {errors} set aside")
        _tell(Path("scored.csv.errors.jsonl").read_text())

    def replace_and_roll_back(self, server: LocalServer) -> None:
        """A worse version goes live and leaves again, without a restart; the history keeps both."""
        self._convert("diagnosis-2", "diagnosis")
        self._publish("diagnosis-2", "diagnosis")
        took = server.wait_for_version("diagnosis", "2", self._patient)
        _tell(f"the running server answers with version 2 after {took:.1f} s")
        self.commands.run("rollback", "diagnosis", "--why", "accuracy fell")
        took = server.wait_for_version("diagnosis", "1", self._patient)
        _tell(f"the running server answers with version 1 after {took:.1f} s")
        entries = self.commands.run("history", "diagnosis", "--verify")
        rows = (
            (entry["sequence"], entry["when"][:19] + "Z", entry["who"], entry["action"], *_moved(entry), entry["why"])
            for entry in entries
        )
        _tell(table(("ENTRY", "WHEN", "WHO", "ACTION", "FROM", "TO", "WHY"), rows))
        _tell(f"every entry names the digest of the one before it, the last one {entries[-1]['predecessor'][:23]}…")

    def leave_running(self, server: LocalServer) -> None:
        """Three things to type, until Ctrl-C."""
        row = _rows(Path("progression-held-out.csv"))[0]
        patient = {name: float(value) for name, value in row.items() if name != "progression"}
        click.echo("\nThe server runs until Ctrl-C. Try in another terminal:\n")
        click.echo(f"curl {server.url}/v1/models/diagnosis:predict -d '@{Path('patient.json').absolute()}'")
        click.echo(f"curl {server.url}/v1/models/progression:predict -d '{json.dumps({'instances': [patient]})}'")
        click.echo(f"curl {server.url}/registry/models/diagnosis/history")
        server.wait()

    def _convert(self, name: str, target: str) -> None:
        draft = self.commands.run("convert", f"{name}.joblib", "--trust", *_data(name, target))
        (stage,) = (stage for stage in draft["evaluations"] if stage["stage"] == "onnx")
        shown = {"accuracy", "auc", "rmse", "r2"}
        metrics = ", ".join(f"{name} {value:.4g}" for name, value in stage["metrics"].items() if name in shown)
        _tell(f"answers as the estimator did; on {stage['rows']} held-out rows: {metrics}")

    def _publish(self, directory: str, name: str) -> None:
        version = self.commands.run("publish", directory, name)["version"]
        _tell(f"{name}:{version}")
        self.commands.run("promote", f"{name}:{version}")


def _data(name: str, target: str) -> tuple[str, ...]:
    return "--data", f"{name}-held-out.csv", "--target", target


def _tell(text: str) -> None:
    click.echo("\n".join("    " + line for line in text.splitlines()))


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _before_and_after(draft: dict[str, Any]) -> str:
    """Sizes and held-out metrics of the graph as converted and as optimized, or why it was left alone."""
    done, names = draft["optimization"], ("accuracy", "f1", "auc")
    stages = {stage["stage"]: stage for stage in draft["evaluations"]}
    if "optimized" not in stages:
        return f"left as it was: {done['reason']}"
    rows = [
        (weights, size(done[count]), *(f"{stages[stage]['metrics'][name]:.4f}" for name in names))
        for weights, count, stage in (("float32", "bytes_before", "onnx"), ("int8", "bytes_after", "optimized"))
    ]
    return table(("WEIGHTS", "SIZE", *map(str.upper, names)), rows)


def _judged(contract: dict[str, Any]) -> str:
    """The accuracy contract in a line."""
    last = contract["stages"][-1]
    accuracy, kept = last["metrics"]["accuracy"], last["distances"]["label_agreement"]
    return (
        f"the accuracy contract {'holds' if contract['holds'] else 'does not hold'}: {kept:.1%} of {contract['rows']} "
        f"labels stay, accuracy {accuracy['value']:.3f} ({accuracy['low']:.3f} to {accuracy['high']:.3f})"
    )


def _timing(header: str) -> str:
    """`fetch;dur=3.2, load;dur=9.1` as people read it."""
    parts = (part.strip().split(";dur=") for part in header.split(","))
    return ", ".join(f"{name} {float(duration):.1f}" for name, duration in parts)


def _moved(entry: dict[str, Any]) -> tuple[str, str]:
    """From which versions to which an entry of the history moved the alias."""
    before, after = (", ".join(str(route["version"]) for route in entry[end]) or "-" for end in ("from", "to"))
    return before, after
