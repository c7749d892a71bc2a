"""Starts the processes of the fault run, kills and restarts them, asks a server meanwhile, and counts in the end."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

import requests

from command_line import ONNXLET, environment
from fault_run.judge import Judge, Served
from fault_run.proxy import Weather, failing
from fault_run.workers import FILES, MODEL, Job, begin, make_event, work
from onnxlet.batch.events import handle
from onnxlet.errors import OnnxletError
from onnxlet.serving.predictor import Predictor
from onnxlet.settings import Settings
from onnxlet.store import Store, open_store
from s3_server import s3_server
from vandals import S3Vandal

CREW = {"publisher": 2, "promoter": 2, "deleter": 1, "collector": 1, "scorer": 2}
LIFE = (1.0, 6.0)
"""Seconds between two kills of a worker, any of them."""
SERVER_LIFE = (10.0, 30.0)
PATIENCE = 20
"""How often is tried, in the end, what a busy machine may fail at."""
PAUSE = 3.0
PREFIX = "some/prefix"
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["onnxlet.batch.objects", "onnxlet.store.s3", "models.tiny"])


@dataclass
class Outcome:
    """What became of a run."""

    seconds: float
    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    mended: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def undone(self) -> list[str]:
        """What never happened, so that the run says nothing of it."""
        return [what for what in ("published", "moved", "deleted", "scored", "predictions") if not self.counts[what]]

    @property
    def good(self) -> bool:
        """Whether nothing was lost, mixed or left over, and everything was done at all."""
        return not (self.undone or self.findings or self.complaints)


def run(seconds: float, seed: int, folder: Path) -> Outcome:
    """A fault run of so many seconds; what it leaves to look at lies in the folder."""
    outcome = Outcome(seconds, seed)
    weather = Weather(seed)
    with s3_server() as real, failing(real, weather) as proxied:
        bucket = f"{real}/fault-run"
        requests.put(bucket, timeout=60).raise_for_status()
        url = f"s3://fault-run/{PREFIX}"
        os.environ.update(_credentials(real))
        begin(Job("publisher", CREW["publisher"], 0, seed, url, folder, _credentials(real)))
        crew = Crew(url, folder, seed, _credentials(proxied), outcome.kills)
        with Asker(url, folder, seed, _credentials(proxied), outcome) as asker:
            crew.run_for(seconds)
        outcome.faults = weather.counted
        settle(url, folder, outcome)
        judge = Judge(S3Vandal(real, "fault-run", PREFIX), folder / "journals", asker.served)
        outcome.counts, outcome.complaints = judge.counts, judge.complaints()
    return outcome


class Crew:
    """The workers: killed at random moments, and replaced at once."""

    def __init__(self, url: str, folder: Path, seed: int, credentials: dict[str, str], kills: Counter[str]) -> None:
        self._url, self._folder, self._seed, self._credentials = url, folder, seed, credentials
        self._dice = random.Random(seed)  # noqa: S311 - no secret
        self._generations: Counter[tuple[str, int]] = Counter()
        self._kills = kills
        self._minutes = 0.0

    def run_for(self, seconds: float) -> None:
        """Let everybody work, and kill one after the other; in the end all."""
        started = time.monotonic()
        names = [(role, number) for role, count in CREW.items() for number in range(count)]
        running = {name: self._start(name) for name in names}
        try:
            while (done := time.monotonic() - started) < seconds:
                self._tell(done)
                time.sleep(min(seconds - done, self._dice.uniform(*LIFE)))
                name = self._dice.choice(names)
                if not running[name].is_alive():
                    raise RuntimeError(f"{name} ended by itself: its error stands above")
                self._kill(name, running[name])
                running[name] = self._start(name)
        finally:
            for name, process in running.items():
                self._kill(name, process)

    def _tell(self, done: float) -> None:
        """How far it is, once a minute."""
        if done // 60 > self._minutes:
            self._minutes = done // 60
            sys.stderr.write(f"{done:.0f} s, {self._kills.total()} processes killed\n")

    def _start(self, name: tuple[str, int]) -> BaseProcess:
        role, number = name
        generation = self._generations[name]
        self._generations[name] += 1
        job = Job(role, number, generation, self._seed, self._url, self._folder, self._credentials)
        process = _PROCESSES.Process(target=work, args=(job,))
        process.start()
        return process

    def _kill(self, name: tuple[str, int], process: BaseProcess) -> None:
        process.kill()
        process.join()
        self._kills[name[0]] += 1


class Asker:
    """`onnxlet serve`, killed and started again, and somebody who asks it: within the block, in a thread."""

    def __init__(self, url: str, folder: Path, seed: int, credentials: dict[str, str], outcome: Outcome) -> None:
        self.served: list[Served] = []
        self._log = folder / "server.log"
        self._environment = environment(url, folder, **credentials, ONNXLET_ALIAS_TTL="1")
        self._dice = random.Random(seed)  # noqa: S311 - no secret
        self._outcome = outcome
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask_until_the_end)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask_until_the_end(self) -> None:
        while not self._ended.is_set():
            with self._log.open("wb") as file:
                command = [*ONNXLET, "serve", "--port", "0"]
                server = subprocess.Popen(command, env=self._environment, stdout=file, stderr=file)
            try:
                address = self._wait_for_address(server)
                until = time.monotonic() + self._dice.uniform(*SERVER_LIFE)
                while address and time.monotonic() < until and not self._ended.is_set():
                    self._ask(address)
                    time.sleep(0.02)
            finally:
                server.kill()
                server.wait()
                self._outcome.kills["server"] += 1

    def _wait_for_address(self, server: subprocess.Popen[bytes]) -> str:
        while server.poll() is None and not self._ended.is_set():
            if printed := re.search(rb"http://\S+:\d+", self._log.read_bytes()):
                return printed[0].decode()
            time.sleep(0.1)
        return ""

    def _ask(self, address: str) -> None:
        row = (self._dice.randrange(8), self._dice.randrange(8))
        body = {"instances": [{"x0": row[0], "x1": row[1]}]}
        with suppress(requests.ConnectionError, requests.Timeout):
            answer = requests.post(f"{address}/v1/models/{MODEL}:predict", json=body, timeout=10)
            self._outcome.statuses[str(answer.status_code)] += 1
            if answer.status_code == requests.codes.ok:
                (prediction,) = answer.json()["predictions"]
                version = int(answer.headers["X-Onnxlet-Model-Version"])
                self.served.append(Served(version, row, float(prediction)))


def settle(url: str, folder: Path, outcome: Outcome) -> None:
    """What an operator does when the storm is over: clear up, let the queue run empty, look the store through."""
    command(url, folder, "gc", "--older-than", "0s")
    deliver_all(url, folder)
    findings = find(url, folder)
    for finding in [each for each in findings if each["kind"] == "deleted-but-there"]:
        _, model, version, _ = finding["key"].split("/")
        command(url, folder, "delete", f"{model}:{version}", "--force")
        outcome.mended.append(f"{finding['kind']} {finding['key']}")
    outcome.findings = [f"{each['kind']} {each['key']}: {each['detail']}" for each in find(url, folder)]


def find(url: str, folder: Path) -> list[dict[str, str]]:
    """What `onnxlet fsck` finds."""
    found: list[dict[str, str]] = json.loads(command(url, folder, "fsck", "--json", "--older-than", "0s"))["findings"]
    return found


def command(url: str, folder: Path, *words: str) -> str:
    """What a command prints, in a process of its own. A busy machine's S3 may not answer in time: then again."""
    for _ in range(PATIENCE):
        done = subprocess.run(
            [*ONNXLET, *words], env=environment(url, folder), capture_output=True, text=True, check=False
        )
        if not done.stderr.startswith("error: ") and "\nerror: " not in done.stderr:
            return done.stdout
        time.sleep(PAUSE)
    raise RuntimeError(done.stderr)


def deliver_all(url: str, folder: Path) -> None:
    """Deliver every file once more, as the queue does with what was not acknowledged."""
    store = open_store(url)
    predictor = Predictor(store, Settings(store=url, cache_dir=str(folder / "cache-settle")))
    for file in range(FILES):
        _deliver(store, predictor, make_event(url, f"batch/in/{MODEL}/{file}.csv"))


def _deliver(store: Store, predictor: Predictor, event: dict[str, Any]) -> None:
    for _ in range(PATIENCE - 1):
        try:
            handle(store, predictor, event)
        except OnnxletError:  # also one whose claimed version was deleted: it fails, and is delivered again
            time.sleep(PAUSE)
        else:
            return
    handle(store, predictor, event)


def _credentials(endpoint: str) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "ORT_DISABLE_TELEMETRY": "1",
    }
