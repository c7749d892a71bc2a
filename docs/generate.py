"""Write docs/cli.md, docs/errors.md and docs/settings.md from the code; with `--check`, fail if they differ from it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from inspect import cleandoc
from pathlib import Path

import click

from onnxlet.cli import cli
from onnxlet.controlplane.problem import STATUS
from onnxlet.dataplane import answering
from onnxlet.dataplane.protocols.tensorflow_serving import protocol as tensorflow_serving
from onnxlet.errors import OnnxletError
from onnxlet.settings import Settings, variable

DOCS = Path(__file__).parent
HEAD = "<!-- Written by `make docs` from the code. -->"


def commands(command: click.Command, path: str, parent: click.Context | None = None) -> Iterator[str]:
    """The help of a command and of those below it, as the terminal shows it."""
    context = click.Context(command, info_name=path.rsplit(" ", 1)[-1], parent=parent, max_content_width=100)
    yield f"\n## {path}\n\n```text\n{command.get_help(context)}\n```"
    if isinstance(command, click.Group):
        for name, child in sorted(command.commands.items()):
            if not child.hidden:
                yield from commands(child, f"{path} {name}", context)


def kinds(kind: type[OnnxletError]) -> Iterator[type[OnnxletError]]:
    """An error class and those below it."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == OnnxletError.__module__:
            yield from kinds(child)


def inherited(statuses: Mapping[type[OnnxletError], int], kind: type[OnnxletError]) -> int:
    """The status of the nearest of a kind's parents that has one."""
    return int(next(statuses[parent] for parent in kind.__mro__ if parent in statuses))


def one_line(text: str | None) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join(cleandoc(text or "").split("\n\n")[0].split())


def table(head: str, rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table; `head` has the columns' names between bars."""
    lines = [head, "|" + "---|" * (head.count("|") - 1)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def errors_page() -> str:
    """Every error: its problem type, its statuses, what it means."""
    tables = (STATUS, tensorflow_serving.STATUSES, answering.STATUSES)
    rows = (
        (f"`{kind.slug()}`", kind.title, *(inherited(table, kind) for table in tables), one_line(kind.__doc__))
        for kind in sorted(kinds(OnnxletError), key=lambda kind: kind.slug())
    )
    return (
        f"{HEAD}\n# Errors\n\n`/problems/<type>` explains each; the command line prints the detail and exits 1.\n\n"
        + table("| problem type | title | registry API | TensorFlow Serving | Open Inference | means |", rows)
        + "\n"
    )


def settings_page() -> str:
    """Every environment variable, its default and meaning."""
    source = Path(sys.modules[Settings.__module__].__file__ or "").read_text().splitlines()
    meanings = {
        line.split(":")[0].strip(): source[number + 1].strip().strip('"') for number, line in enumerate(source[:-1])
    }
    rows = (
        (f"`{variable(field)}`", f"`{getattr(Settings(), field)}`", meanings[field])
        for field in Settings.__struct_fields__
    )
    return (
        f"{HEAD}\n# Settings\n\nRead once, when a function or the local server starts. A function without "
        "`ONNXLET_STORE` does not start. The command, `onnxlet serve` included, and Python have a default for it, a "
        "directory in your own data folder (`~/.local/share/onnxlet/store` on Linux), and take `--store` and `store=` "
        "in its place.\n\n" + table("| variable | default | means |", rows) + "\n"
    )


def cli_page() -> str:
    """Every command's help."""
    return f"{HEAD}\n# Commands\n" + "\n".join(commands(cli, "onnxlet")) + "\n"


def main() -> int:
    """Write the pages, or check them."""
    pages = {"cli.md": cli_page(), "errors.md": errors_page(), "settings.md": settings_page()}
    stale = [name for name, text in pages.items() if not (DOCS / name).is_file() or (DOCS / name).read_text() != text]
    if "--check" in sys.argv:
        for name in stale:
            print(f"docs/{name} is not what the code says: run 'make docs'", file=sys.stderr)  # noqa: T201
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(pages[name])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
