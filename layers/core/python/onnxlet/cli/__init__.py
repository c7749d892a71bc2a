"""The `onnxlet` command: one file per group of commands, and what they share.

root              which commands there are
command_group     their group: errors become one line and an exit code, 0 done, 1 our error, 2 usage, 130 Ctrl-C
hints             what to type next, by kind of error
workspace         the store that `--store` names, and what stands on it
output            data on stdout, as text or with `--json` as JSON; talk and progress on stderr
options           arguments and options that several commands share
contracts         the same for accuracy contracts
dependence        how answers depend on columns, over files
explaining        why a model answers so; importance prints it of whole files, explain_options ask for it beside scores
prediction        one question to a model, here or over HTTP; request_body is what it sends
publish_attempt   one publish, and how far it got where it ends early
demo/             a model's life, played by the commands

No command's help loads numpy, ONNX Runtime, FastAPI or scikit-learn: what a command needs it imports when it runs.
"""

from __future__ import annotations

from onnxlet.cli.root import cli, main

__all__ = ["cli", "main"]
