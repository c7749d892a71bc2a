"""Serve ONNX models from object storage, on AWS Lambda or a laptop.

The rings, innermost first; a module imports only from its own ring and those before it:

values      errors, datatypes, tensors, signature, manifest, aliases, keys, refs, settings
ports       store (bytes by key), engine (ONNX Runtime sessions)
services    registry, cache, predictor, steps, golden, batch, telemetry
doors       protocols (wire formats), dataplane, gateway (Lambda events), app, problem, schemas
toolchain   convert, optimize, verify, prepare, synthesis, export, fit
command     cli, local
"""

__version__ = "0.1.0"
