"""What the steps of a draft say, for tests that look into one."""

from __future__ import annotations

from typing import TypeVar

from onnxlet.steps import Classification, Step, Tabular, decode_steps
from onnxlet.values.manifest import Draft

Kind = TypeVar("Kind", bound=Step)


def tabular_of(draft: Draft) -> Tabular:
    """The step that reads its columns."""
    return _only(draft, Tabular)


def classification_of(draft: Draft) -> Classification:
    """The step that tells its one target."""
    return _only(draft, Classification)


def _only(draft: Draft, kind: type[Kind]) -> Kind:
    (step,) = (step for step in decode_steps(draft.steps).each if isinstance(step, kind))
    return step
