"""Boxes: how what is sent becomes what is served, one below the other, for terminals and notebooks."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from onnxlet.values.plain_text import escape as escape_control

if TYPE_CHECKING:
    from onnxlet.steps import Step, Steps
    from onnxlet.values.manifest import Manifest
    from onnxlet.values.signature import TensorSpec

WIDTH = 76
"""Characters of a line within a box, at most."""
MOST_NAMED = 12
"""Tensors or columns of a line that are named one by one."""


class Box(NamedTuple):
    """One stage: what it is, and what there is to say of it."""

    title: str
    lines: Sequence[str]


class Boxes(NamedTuple):
    """Stages in their order."""

    boxes: Sequence[Box]

    def text(self) -> str:
        """Boxes of lines with arrows between them; nothing if there are none."""
        drawn = [(escape_control(title), _wrapped(lines)) for title, lines in self.boxes]
        width = max((len(line) for title, lines in drawn for line in (f"{title}  ", *lines)), default=0)
        return f"\n{' ' * 4}▼\n".join(_draw(title, lines, width) for title, lines in drawn)

    def html(self) -> str:
        """The same text in HTML, escaped."""
        return f"<pre>{escape(self.text())}</pre>" if self.boxes else ""


def describe_pipeline(manifest: Manifest, steps: Steps) -> Boxes:
    """What is sent, the steps before the graph, the graph, the steps behind it, what is served."""
    graph = manifest.graph
    before = [step for step in steps.each if step.fills()]
    behind = [step for step in steps.each if not step.fills()]
    sent = [f"{name}: {_names(steps.inputs(name, graph))}" for name in steps.signature_names]
    given = list(graph.outputs)
    drawn = []
    for step in behind:
        made = step.outputs(tuple(given))
        given = [spec for spec in given if spec.name not in {each.name for each in made}] + list(made)
        drawn.append(_box_of(step, f"{', '.join(step.reads())} → {', '.join(spec.name for spec in made)}"))
    return Boxes(
        [
            Box("sent", sent),
            *(_box_of(step, f"→ {', '.join(step.fills()[:MOST_NAMED])}") for step in before),
            Box("graph", list(_of_graph(manifest))),
            *drawn,
            Box("served", [_names(manifest.signature.outputs)]),
        ]
    )


def _box_of(step: Step, otherwise: str) -> Box:
    from onnxlet.steps.base import kind_of

    return Box(kind_of(step), [step.describe() or otherwise])


def _of_graph(manifest: Manifest) -> Iterator[str]:
    yield f"{_names(manifest.graph.inputs)} → {_names(manifest.graph.outputs)}"
    if manifest.optimization is not None and manifest.optimization.method != "none":
        yield manifest.optimization.method


def _names(specs: Sequence[TensorSpec]) -> str:
    """`age FP32[-1], sex BYTES[-1]`; of very many the first ones."""
    named = [f"{spec.name} {spec.datatype}{list(spec.shape)}" for spec in specs[:MOST_NAMED]]
    return ", ".join([*named, *([f"and {len(specs) - MOST_NAMED} more"] if len(specs) > MOST_NAMED else [])])


def _wrapped(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(escape_control(line), WIDTH) or [""]]


def _draw(title: str, lines: Sequence[str], width: int) -> str:
    top = f"┌ {title} {'─' * (width - len(title))}┐"
    middle = [f"│ {line.ljust(width)} │" for line in lines]
    return "\n".join([top, *middle, f"└{'─' * (width + 2)}┘"])
