"""The `onnxlet` command: one file per group of commands, and what they share.

frame       the group itself: errors become one line and an exit code, 0 done, 1 our error, 2 usage, 130 Ctrl-C
access      the store that `--store` names, and what stands on it
output      data on stdout, as text or with `--json` as JSON; talk and progress on stderr
options     arguments and options that several commands share
publication one publish on its way, and what of it was done where it ends early

No command's help loads numpy, ONNX Runtime, FastAPI or scikit-learn: what a command needs it imports when it runs.
"""

from __future__ import annotations

from onnxlet.cli.root import cli, main

__all__ = ["cli", "main"]
