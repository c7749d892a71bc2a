"""What publishing commands tell when they end early: Ctrl-C, failures after the version exists, lost answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

import trained
from onnxlet.cli import cli
from onnxlet.cli.command_group import Interrupted
from onnxlet.cli.output import Output
from onnxlet.cli.publish_attempt import PublishAttempt
from onnxlet.errors import AliasNotFoundError, ModelNotFoundError, OnnxletError, StoreUnavailableError
from onnxlet.registry.registry import Registry
from onnxlet.store import Blob, open_store
from onnxlet.store.memory import MemoryStore
from onnxlet.values.keys import alias_key
from registries import DRAFT, routed

ONNXLET = [sys.executable, "-c", "from onnxlet.cli import main; main()"]


class Interrupter:
    """A pickle that is interrupted while it is read, as by Ctrl-C."""

    def __reduce__(self) -> tuple[Callable[[signal.Signals], None], tuple[signal.Signals]]:
        return signal.raise_signal, (signal.SIGINT,)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """What ships a small model as `m`."""
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression

    folder = tmp_path_factory.mktemp("source")
    features, target = trained.blobs(classes=2)
    model = trained.saved(trained.fitted(LogisticRegression(), features, target), folder)
    data = trained.csv_of(folder / "data.csv", features, target)
    return "ship", str(model), "m", "--trust", "--data", str(data), "--target", "target"


def _wait(ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not ready() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert ready()


def _promoted(registry: Registry) -> bool:
    try:
        return bool(registry.alias("m")[0].routes)
    except (AliasNotFoundError, ModelNotFoundError):
        return False


@contextmanager
def _running(directory_url: str, *words: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "ONNXLET_STORE": directory_url}
    pipe = subprocess.PIPE
    with subprocess.Popen([*ONNXLET, *words], env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        yield process


@pytest.mark.toolchain
def test_ctrl_c_before_the_version_exists_says_that_nothing_was_published(
    words: tuple[str, ...], directory_url: str, tmp_path: Path
) -> None:
    import joblib

    joblib.dump(Interrupter(), tmp_path / "model.joblib")
    with _running(directory_url, "ship", str(tmp_path / "model.joblib"), *words[2:]) as process:
        out, talk = process.communicate(timeout=60)

    assert (process.returncode, out) == (130, "")
    assert talk.splitlines()[-1] == "interrupted: nothing was published"
    assert "Traceback" not in talk
    assert Registry(open_store(directory_url)).models() == []


@pytest.mark.toolchain
def test_ctrl_c_ends_any_command_with_one_line(directory_url: str, tmp_path: Path) -> None:
    import joblib

    joblib.dump(Interrupter(), tmp_path / "model.joblib")
    with _running(
        directory_url, "convert", str(tmp_path / "model.joblib"), "--trust", "-o", str(tmp_path / "o")
    ) as one:
        out, talk = one.communicate(timeout=60)

    assert (one.returncode, out) == (130, "")
    assert talk.splitlines()[-1] == "interrupted"
    assert "Traceback" not in talk
    assert "Aborted" not in talk


@pytest.mark.toolchain
def test_ctrl_c_after_it_exists_says_that_it_was_published(words: tuple[str, ...], directory_url: str) -> None:
    with _running(directory_url, *words) as process:
        assert process.stdout is not None
        # it is told while its measuring, which takes seconds, has yet to begin
        assert process.stdout.readline() == "m:1\n"
        process.send_signal(signal.SIGINT)
        out, talk = process.communicate(timeout=60)

    assert (process.returncode, out) == (130, "")
    assert talk.splitlines()[-1] == "interrupted: m:1 was published"
    assert "Traceback" not in talk


@pytest.mark.long
@pytest.mark.toolchain
def test_ctrl_c_after_promoting_says_so_and_the_document_is_whole(words: tuple[str, ...], directory_url: str) -> None:
    registry = Registry(open_store(directory_url))
    with _running(directory_url, *words, "--promote", "--json") as process:
        _wait(lambda: _promoted(registry))
        process.send_signal(signal.SIGINT)
        out, talk = process.communicate(timeout=60)

    assert process.returncode == 130
    assert talk.splitlines()[-1] == "interrupted: m:1 was published and promoted"
    assert "published m:1" in talk
    document = json.loads(out)
    assert document["version"]["version"] == 1
    assert document["alias"]["routes"][0]["version"] == 1
    assert (document["fit"], document["fit_failed"]) == (None, "it was not measured")


@pytest.mark.long
@pytest.mark.toolchain
def test_an_output_that_nobody_reads_ends_it_with_what_was_done(words: tuple[str, ...], directory_url: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*ONNXLET, *words, "--promote"],
        env={**os.environ, "ONNXLET_STORE": directory_url},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)

    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "nobody reads the output: m:1 was published")
    registry = Registry(open_store(directory_url))
    assert registry.models() == ["m"]
    assert not _promoted(registry)


@pytest.mark.toolchain
def test_what_cannot_be_measured_is_published_all_the_same(
    words: tuple[str, ...], directory_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("onnxlet.toolchain.fit.measuring.PROBE_SECONDS", 0.001)

    result = CliRunner().invoke(cli, ["--store", directory_url, *words, "--promote"])
    assert (result.exit_code, result.stdout) == (0, "m:1\n"), result.stderr
    assert "warning: whether it fits Lambda was not measured: the model was not done after 0.001 s" in result.stderr
    assert "onnxlet predict m rows.csv" in result.stderr

    document = json.loads(CliRunner().invoke(cli, ["--store", directory_url, *words, "--json"]).stdout)
    assert document["version"]["version"] == 2
    assert document["fit"] is None
    assert "not done after 0.001 s" in document["fit_failed"]


@pytest.mark.toolchain
def test_a_promote_that_fails_says_what_was_published_and_the_document_is_whole(
    words: tuple[str, ...], directory_url: str
) -> None:
    open_store(directory_url).put(alias_key("m", "production"), b"damaged")

    result = CliRunner().invoke(cli, ["--store", directory_url, *words, "--promote", "--json"])

    assert result.exit_code == 1
    assert "error: m:1 was published; whether it was promoted is not known, `onnxlet list m` tells: " in result.stderr
    document = json.loads(result.stdout)
    assert document["version"]["version"] == 1
    assert document["alias"] is None


def test_a_version_that_is_refused_as_production_is_said_to_be_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class ReadOnlyAlias(MemoryStore):
        def create(self, key: str, data: bytes | Path) -> str:
            if key.endswith("production.json"):
                raise StoreUnavailableError("access denied")
            return super().create(key, data)

    (tmp_path / "model.onnx").write_bytes(b"graph")
    attempt = PublishAttempt(Registry(ReadOnlyAlias(f"memory://{tmp_path.name}")), "m", Output(as_json=True))

    def ship() -> None:
        with attempt.reporting(lambda: {"alias": attempt.alias}):
            attempt.publish(DRAFT, {"model.onnx": tmp_path / "model.onnx"})
            attempt.promote(why="", force=False)

    with pytest.raises(StoreUnavailableError, match=r"^m:1 was published, not promoted: access denied$"):
        ship()
    out, talk = capsys.readouterr()
    assert json.loads(out) == {"alias": None}
    assert talk.startswith("published m:1\n")


class Faulty(MemoryStore):
    """A store that does what it is asked, then fails, once `fault` is there and the key ends with `ending`."""

    ending = ""
    fault: BaseException | None = None
    down = False
    silent = False

    def create(self, key: str, data: bytes | Path) -> str:
        etag = super().create(key, data)
        if self.fault is not None and key.endswith(self.ending):
            self.silent = self.down
            raise self.fault
        return etag

    def get(self, key: str) -> Blob:
        if self.silent:
            raise StoreUnavailableError("still no answer")
        return super().get(key)


LOST = StoreUnavailableError("no answer")


@pytest.mark.parametrize(
    ("ending", "fault", "down", "said"),
    [
        ("claim.json", KeyboardInterrupt(), False, "nothing was published"),
        ("model.onnx", KeyboardInterrupt(), False, "nothing was published"),
        ("manifest.json", KeyboardInterrupt(), False, "m:1 was published"),
        (
            "manifest.json",
            LOST,
            True,
            "whether m:1 was published is not known, `onnxlet list m` tells: still no answer",
        ),
        ("production.json", KeyboardInterrupt(), False, "m:1 was published and promoted"),
        ("production.json", LOST, False, "m:1 was published and promoted: no answer"),
        (
            *("production.json", LOST, True),
            "m:1 was published; whether it was promoted is not known, `onnxlet list m` tells: no answer",
        ),
    ],
)
def test_what_was_done_is_looked_up_where_an_answer_is_missing(
    *, tmp_path: Path, ending: str, fault: BaseException, down: bool, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"graph")
    store = Faulty(f"memory://{tmp_path.name}{ending}{down}{type(fault).__name__}")
    store.ending, store.fault, store.down = ending, fault, down
    attempt = PublishAttempt(Registry(store), "m", Output(as_json=False))

    def ship() -> None:
        with attempt.reporting(lambda: None):
            attempt.publish(DRAFT, {"model.onnx": tmp_path / "model.onnx"})
            attempt.promote(why="", force=False)

    with pytest.raises((Interrupted, OnnxletError)) as caught:
        ship()

    told = str(getattr(caught.value, "message", caught.value))
    assert told.removeprefix("interrupted: ").split("; `onnxlet gc")[0] == said
    assert capsys.readouterr().out == ("m:1\n" if "m:1 was published" in said and "whether m:1" not in said else "")
    assert attempt.alias is None or routed(attempt.alias) == [1]
