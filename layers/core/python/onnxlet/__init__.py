"""Serve ONNX models from object storage, on AWS Lambda or a laptop.

A folder is a plane. Each may import those above it in this list, and never one below; what stands on one line is
independent:

errors, version       what everything may use
settings, telemetry   what the environment sets; logs and metrics
values                the nouns: datatypes, tensors, signatures, refs, keys, manifests, aliases
store                 the port for bytes by key: S3, a directory, memory
registry              names to versions: reading, writing
steps                 what stands before and after a graph
serving               from a ref to a loaded model: fetch, verify, open, keep, run
dataplane             one HTTP request in, one answer out: wire protocols, JSON, Lambda events
controlplane, batch   the registry over HTTP; files of rows in, files of predictions out
toolchain             convert, optimize, verify, prepare, export, fit
local                 the laptop's server
cli                   the `onnxlet` command
"""

from onnxlet.version import __version__

__all__ = ["__version__"]
