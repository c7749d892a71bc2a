"""What the steps of a draft say, and whose answers it is held to, for tests that look into one or change it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from onnxlet.steps import Classification, Step, Tabular, decode_steps
from onnxlet.toolchain.workbench.directory import read_draft, write_draft
from onnxlet.values.manifest import Draft, ReferenceOrigin

Kind = TypeVar("Kind", bound=Step)


def tabular_of(draft: Draft) -> Tabular:
    """The step that reads its columns."""
    return _only(draft, Tabular)


def classification_of(draft: Draft) -> Classification:
    """The step that tells its one target."""
    return _only(draft, Classification)


def hold_to_own_answers(directory: Path) -> None:
    """Let a converted graph be held to what it answered then, as if its user had expected just that."""
    draft, cases = read_draft(directory)
    write_draft(directory, msgspec.structs.replace(draft, reference=ReferenceOrigin("expected")), cases)


def _only(draft: Draft, kind: type[Kind]) -> Kind:
    (step,) = (step for step in decode_steps(draft.steps).each if isinstance(step, kind))
    return step
