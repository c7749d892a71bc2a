"""Write docs/cli.md, errors.md, registry.md and settings.md from the code; with `--check`, fail if they differ."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from onnxlet.cli import cli
from onnxlet.controlplane.app import create_app
from onnxlet.controlplane.problem import STATUS
from onnxlet.dataplane import answering
from onnxlet.dataplane.protocols.tensorflow_serving import protocol as tensorflow_serving
from onnxlet.errors import OnnxletError
from onnxlet.registry.registry import Registry
from onnxlet.settings import Settings, variable
from onnxlet.store import open_store

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


COMPLETION = r"""
Shells complete commands and options with Tab, after one line in the file that they read when they start:

| shell | file | line |
|---|---|---|
| bash (4.4 or newer) | `~/.bashrc` | `eval "$(_ONNXLET_COMPLETE=bash_source onnxlet)"` |
| zsh | `~/.zshrc` | `eval "$(_ONNXLET_COMPLETE=zsh_source onnxlet)"` |
| fish | `~/.config/fish/completions/onnxlet.fish` | `_ONNXLET_COMPLETE=fish_source onnxlet \| source` |
"""


def cli_page() -> str:
    """Every command's help."""
    return f"{HEAD}\n# Commands\n{COMPLETION}" + "\n".join(commands(cli, "onnxlet")) + "\n"


REGISTRY = """
The registry over HTTP, as `onnxlet serve` and the function Api answer it. `/openapi.json` says the same to programs,
`/docs` to people; from Python `onnxlet.connect(url)` asks it.

**Errors** are problem documents (RFC 9457, `application/problem+json`); [their types](errors.md) have statuses.
**Conditional requests**: documents have an `ETag`. Send it as `If-None-Match` to get 304 while nothing has changed, and
as `If-Match` to change an alias only if it is still as you saw it: 412 if not, 428 if you do not say.
**Who may**: on AWS [three rights](deploy.md#who-may-do-what); the local server asks for a token if it has one, and
takes changes as JSON or with a header `X-Requested-With`.

```sh
curl http://127.0.0.1:8080/registry/models
curl http://127.0.0.1:8080/registry/models/diagnosis/aliases/production
curl http://127.0.0.1:8080/registry/models/diagnosis:rollback --json '{"why": "recall fell"}'
curl http://127.0.0.1:8080/registry/models/diagnosis/aliases/candidate -X PUT --json '{"version": 1}'
curl http://127.0.0.1:8080/registry/models/diagnosis/versions/2?force=true -X DELETE -H 'X-Requested-With: curl'
```
"""
TOLD_ELSEWHERE = {"Manifest": "[the manifest](concepts.md), as `onnxlet show --json` prints it"}

Json = dict[str, Any]


def registry_page() -> str:
    """Every operation of the control plane, and the documents that it takes and gives."""
    document = create_app(Settings(), Registry(open_store("memory://docs"))).openapi()
    schemas, paths = document["components"]["schemas"], document["paths"]
    own = {path: methods for path, methods in paths.items() if path.startswith(("/registry", "/batch", "/problems"))}
    parts = [
        operation(method.upper(), path, described)
        for path, methods in own.items()
        for method, described in methods.items()
    ]
    names = list(referenced(own, schemas))
    parts.append("\n## Documents")
    parts += [fields(name, schemas[name]) for name in sorted(names) if name not in TOLD_ELSEWHERE]
    return f"{HEAD}\n# The registry's HTTP API\n{REGISTRY}" + "\n".join(parts) + "\n"


def operation(method: str, path: str, described: Json) -> str:
    """An operation: what it does, what it takes, what it answers."""
    text = [f"\n## {method} {path}\n\n{cleandoc(described['description'])}\n"]
    rows = [
        (f"`{it['name']}`", it["in"], kind_of(it["schema"]), one_line(it.get("description")))
        for it in described.get("parameters", [])
    ]
    if rows:
        text.append(table("| parameter | in | type | means |", rows) + "\n")
    if "requestBody" in described:
        text.append(f"Body: {kind_of(described['requestBody']['content']['application/json']['schema'])}.\n")
    answers = (
        f"{status} {kind_of(content(answer)) if content(answer) else 'without a body'}"
        + (", with an `ETag`" if "headers" in answer else "")
        for status, answer in sorted(described["responses"].items())
        if status != "default"
    )
    text.append(f"Answers: {'; '.join(answers)}; else a {kind_of({'$ref': '/Problem'})}.")
    return "\n".join(text)


def content(answer: Json) -> Json | None:
    """The schema of an answer's body, if it has one."""
    return next((it["schema"] for it in answer.get("content", {}).values()), None)


def fields(name: str, schema: Json) -> str:
    """A document's members."""
    rows = (
        (
            f"`{member}`",
            kind_of(it),
            "yes" if member in schema.get("required", []) else "",
            one_line(it.get("description")),
        )
        for member, it in schema["properties"].items()
    )
    return f"\n### {name}\n\n{one_line(schema.get('description'))}\n\n" + table(
        "| member | type | always | means |", rows
    )


def kind_of(schema: Json) -> str:
    """A schema in a few words, with a link to what it names."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return TOLD_ELSEWHERE.get(name) or f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(kind_of(it) for it in schema["anyOf"] if it.get("type") != "null")
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {kind_of(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {kind_of(schema['additionalProperties'])} by name"
    return str(schema.get("type", "any"))


def referenced(part: object, schemas: Json) -> Iterator[str]:
    """The names of the documents that a part of the OpenAPI document names, and of those inside them."""
    found: dict[str, None] = {}
    waiting = [part]
    while waiting:
        it = waiting.pop()
        if isinstance(it, dict):
            name = str(it.get("$ref", "")).rpartition("/")[2]
            if name and name not in found:
                found[name] = None
                waiting += [] if name in TOLD_ELSEWHERE else [schemas[name]]
            waiting += it.values()
        elif isinstance(it, list):
            waiting += it
    yield from found


def main() -> int:
    """Write the pages, or check them."""
    pages = {
        "cli.md": cli_page(),
        "errors.md": errors_page(),
        "registry.md": registry_page(),
        "settings.md": settings_page(),
    }
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
