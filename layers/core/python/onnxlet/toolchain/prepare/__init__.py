"""Prepare a model for publishing: check the file, optimize the graph, try it out, and draw up what a version needs.

preparation   checks and draft; starts the trial
trial         loads, runs and optimizes the graph in a process of its own, with a deadline and a limit of memory: a
              file that hangs or crashes it is refused, and takes nothing down with it
folding       arithmetic that output steps declare becomes nodes of the graph
nodes         what is written for it
served_cases  what the steps that were declared make of the golden cases
policy        what is kept of the rows that it will answer, checked
tables        what explanations keep of models that they know: the coefficients of linear ones, in linear
parity        whether the optimized graph answers as the plain one, where there are no golden cases
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxlet.toolchain.workbench.progress import Progress, silent
from onnxlet.values.manifest import Draft

TRIAL_DEADLINE = 120.0
RUN_DEADLINE = 10.0


def prepare(
    path: Path,
    workdir: Path,
    *,
    trial_deadline: float = TRIAL_DEADLINE,
    run_deadline: float = RUN_DEADLINE,
    force: bool = False,
    policy: Mapping[str, Any] | None = None,
    on_progress: Progress | None = None,
) -> tuple[Draft, dict[str, Path]]:
    """Make what `Registry.publish` takes, of a bare .onnx file or a converted directory: the draft, and files by name.

    The files are written below `workdir`. The draft's notes say what to mind: that there are no golden cases, say. A
    bare graph that runs on none of the inputs that are tried is refused, unless it is forced. `policy` is
    the capture policy, as a document; without one, the directory's own holds.

    Raises RejectedModelError for a file that is no ONNX, uses other domains than ai.onnx, ai.onnx.ml and com.microsoft,
    has weights outside its folder or types that cannot be served, disagrees with its draft, fails, or answers otherwise
    once it is optimized; DeadlineExceededError where loading takes longer than `trial_deadline` or a run longer than
    `run_deadline` seconds; InvalidInputError for what is neither file nor converted directory, and for a policy that
    does not fit it.
    """
    from onnxlet.toolchain.prepare.policy import declare_policy
    from onnxlet.toolchain.prepare.preparation import Preparation

    preparation = Preparation(path, workdir, on_progress or silent)
    draft, files = preparation.finish(trial_deadline=trial_deadline, run_deadline=run_deadline, force=force)
    return declare_policy(draft, files, policy, workdir)
