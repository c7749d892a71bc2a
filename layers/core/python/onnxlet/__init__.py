"""Serve ONNX models from object storage, on AWS Lambda or a laptop.

A folder is a plane. Each may import those above it in this list, and never one below; what stands on one line is
independent:

errors, version       what everything may use; starting: what a function does first
settings, telemetry   what the environment sets; logs and metrics
values                the nouns: datatypes, tensors, signatures, refs, keys, manifests, aliases
store                 the port for bytes by key: S3, a directory, memory
registry              names to versions: reading, writing
steps                 what stands before and after a graph
monitor               what a model meets in production, in counts: baseline, sketches, drift
explain               how much each column of a row moves an answer; loaded by the first who asks
serving               from a ref to a loaded model: fetch, verify, open, keep, run
dataplane             one HTTP request in, one answer out: wire protocols, JSON, Lambda events
jobs                  what one scoring of a file is asked by, and the state machine that does large ones
controlplane, batch   the registry over HTTP; files of rows in, files of predictions out
toolchain             convert, optimize, verify, prepare, export, fit
client                a server of ours, from Python
local, lifecycle      the laptop's server; what the command does, in Python, with the model in hand
cli                   the `onnxlet` command

What is public here is loaded by the first who asks for it, so that `import onnxlet` costs nothing.
"""

from onnxlet.version import __version__

__all__ = [
    "Registry",
    "Scorer",
    "__version__",
    "connect",
    "convert",
    "export",
    "load",
    "optimize",
    "promote",
    "publish",
    "rollback",
    "ship",
    "verify",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from onnxlet.client import connect
    from onnxlet.lifecycle.loading import load
    from onnxlet.lifecycle.registry import Registry
    from onnxlet.lifecycle.releasing import promote, publish, rollback
    from onnxlet.lifecycle.scorer import Scorer
    from onnxlet.lifecycle.shipping import ship
    from onnxlet.lifecycle.toolchain import convert, export, optimize, verify
else:
    _HOMES = {
        "Registry": "onnxlet.lifecycle.registry",
        "Scorer": "onnxlet.lifecycle.scorer",
        "connect": "onnxlet.client",
        "load": "onnxlet.lifecycle.loading",
        "ship": "onnxlet.lifecycle.shipping",
        **dict.fromkeys(("promote", "publish", "rollback"), "onnxlet.lifecycle.releasing"),
        **dict.fromkeys(("convert", "export", "optimize", "verify"), "onnxlet.lifecycle.toolchain"),
    }

    def __getattr__(name: str) -> object:
        """A public name, from the module that it comes from."""
        if name not in _HOMES:
            raise AttributeError(f"module 'onnxlet' has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value


def __dir__() -> list[str]:
    """The names in sight, and those that are public but not loaded yet."""
    return sorted({*globals(), *__all__})
