"""The methods, in the order in which `auto` tries them. A method is a module with `plan`, and a line here.

It is imported when a version has what it needs, or when it is asked for by its name.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

import msgspec

from onnxlet.explain.interface import Explainer, Planning
from onnxlet.explain.request import Scale


class MethodEntry(msgspec.Struct, frozen=True):
    """A method: the module whose `plan(planning)` gives its Explainer, and what it needs.

    `needs` is the word under which manifests keep its table, "" if it needs none. `chosen`: `auto` may take it.
    `scales` are those that it may explain on.
    """

    module: str
    needs: str = ""
    background: bool = True
    chosen: bool = True
    scales: tuple[Scale, ...] = ("output",)


_BOTH: tuple[Scale, ...] = ("output", "raw")

METHODS: dict[str, MethodEntry] = {
    "linear": MethodEntry("onnxlet.explain.linear", needs="linear", scales=_BOTH),
    "trees": MethodEntry("onnxlet.explain.trees.by_path", needs="trees", background=False, scales=_BOTH),
    "trees-interventional": MethodEntry("onnxlet.explain.trees.by_background", needs="trees", scales=_BOTH),
    "exact": MethodEntry("onnxlet.explain.exact"),
    "sampled": MethodEntry("onnxlet.explain.sampled"),
    "words": MethodEntry("onnxlet.explain.texts.words", background=False, chosen=False),
    "tokens": MethodEntry("onnxlet.explain.texts.tokens", background=False, chosen=False),
    "sentences": MethodEntry("onnxlet.explain.texts.sentences", background=False, chosen=False),
}
"""By the name that requests and answers have for it."""


def add_method(name: str, entry: MethodEntry) -> None:
    """Let requests name another method; `auto` tries it before the others."""
    METHODS.update({name: entry} | {known: METHODS.pop(known) for known in list(METHODS) if known != name})


def plan_method(name: str, planning: Planning) -> Explainer:
    """The method's explainer. Raises what planning it raises: NotExplainableError, IntegrityError."""
    return cast("Explainer", import_module(METHODS[name].module).plan(planning))
