"""The capture policy of a version: what was declared is checked, and its baseline obeys it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from onnxlet.monitor.baseline import decode_baseline
from onnxlet.monitor.capture.publishing import check_policy, obeying
from onnxlet.steps import decode_steps
from onnxlet.steps.base import no_artifacts
from onnxlet.values.keys import BASELINE
from onnxlet.values.manifest import Draft


def declare_policy(
    draft: Draft, files: Mapping[str, Path], policy: Mapping[str, Any] | None, workdir: Path
) -> tuple[Draft, dict[str, Path]]:
    """The draft with the policy that is given, or with its own, and its files, the baseline without hidden columns.

    Raises InvalidInputError for a policy that does not fit the version.
    """
    document = draft.policy if policy is None else policy
    if document is None:
        return draft, dict(files)

    def read(path: str) -> bytes:
        return files[path].read_bytes() if path in files else no_artifacts(path)

    checked = check_policy(document, decode_steps(draft.steps, read), draft.graph, draft.signature)
    draft = msgspec.structs.replace(draft, policy=checked.document())
    if BASELINE not in files:
        return draft, dict(files)
    baseline = obeying(decode_baseline(files[BASELINE].read_bytes()), checked)
    (workdir / BASELINE).write_bytes(baseline.encode())
    return draft, {**files, BASELINE: workdir / BASELINE}
