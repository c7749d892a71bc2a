"""What commands print: data on stdout, as aligned text or as JSON; talk and progress on stderr."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from onnxlet.values.plain_text import escape

PATIENCE = 1.0
"""Seconds that a command may work before it says what it is doing."""

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is."""


class Output:
    """One command's output, in the form that its `--json` asks for."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def show(self, value: object, text: str) -> None:
        """The command's data: `value` as JSON, or `text` for people."""
        if self.as_json:
            show_json(value)
        elif text:
            click.echo(text)

    def announce(self, text: str, verb: str) -> None:
        """What people and scripts should have at once, though the data comes later: with `--json` as talk."""
        if self.as_json:
            self.say(f"{verb} {text}")
        else:
            click.echo(text)

    def say(self, text: str) -> None:
        """Something for people to know that is not the data."""
        click.echo(text, err=True)

    @contextmanager
    def working(self, text: str) -> Iterator[Callable[[str], None]]:
        """Say what is being done, if it takes longer than a second; call what is given with what is done next."""
        timers: list[threading.Timer] = []

        def begin(text: str) -> None:
            end()
            timers.append(threading.Timer(PATIENCE, self.say, [text + " …"]))
            timers[-1].daemon = True
            timers[-1].start()

        def end() -> None:
            for timer in timers:
                timer.cancel()
            timers.clear()

        begin(text)
        try:
            yield begin
        finally:
            end()

    @contextmanager
    def progress(self, text: str, unit: str = "") -> Iterator[Progress]:
        """A bar on stderr for work that tells how far it is; it appears after a second, and seldom moves in a log."""
        from tqdm import tqdm

        bar = tqdm(
            desc=text,
            unit=unit or "it",
            unit_scale=True,
            delay=PATIENCE,
            mininterval=0.1 if sys.stderr.isatty() else 10.0,
            leave=False,
            file=sys.stderr,
        )

        def advance(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        with bar:
            yield advance


def show_json(value: object) -> None:
    """`value`, anything that JSON can say, as indented JSON on stdout."""
    import msgspec

    lines = msgspec.json.format(msgspec.json.encode(value), indent=2).decode().split("\n")
    click.echo("\n".join(map(escape, lines)))
