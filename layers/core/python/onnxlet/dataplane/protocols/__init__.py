"""Wire protocols: how a request becomes tensors, and how tensors or an error become an answer.

`PROTOCOLS` is the table of them, and nothing else knows its members. A protocol is a package of two modules:

protocol   `answer` and `refuse`, as `interface` says; imported when a path first wants it
openapi    `PATHS` and `SCHEMAS`, its part of the OpenAPI document: plain data, which the control plane imports

A new protocol is such a package and a line in the table.
"""

from __future__ import annotations

import msgspec


class ProtocolEntry(msgspec.Struct, frozen=True):
    """A protocol's package, and the paths that are its own: all that begin with a prefix, and single ones.

    `immediate` are those of them whose answer waits neither for the store nor for a model. Below `health` balancers and
    watchdogs ask whether the server lives; they know its address alone.
    """

    package: str
    prefixes: tuple[str, ...]
    paths: frozenset[str] = frozenset()
    immediate: frozenset[str] = frozenset()
    health: tuple[str, ...] = ()


PROTOCOLS: list[ProtocolEntry] = [
    # TensorFlow Serving matches its paths without regard to case
    ProtocolEntry(f"{__name__}.tensorflow_serving", ("/v1/", "/V1/")),
    ProtocolEntry(
        f"{__name__}.open_inference",
        ("/v2/",),
        frozenset({"/v2"}),
        immediate=frozenset({"/v2", "/v2/health/live"}),
        health=("/v2/health/",),
    ),
]
"""The first entry that owns a path answers it."""

_RESERVED_PREFIXES = ("/models/", "/openai/v1/")
_RESERVED_PATHS = frozenset({"/v1", "/models", "/invocations", "/ping", "/health", "/version", "/execution-parameters"})


def entry_at(path: str) -> ProtocolEntry | None:
    """The protocol that answers at `path`, if any does."""
    for entry in PROTOCOLS:
        if path.startswith(entry.prefixes) or path in entry.paths:
            return entry
    return None


def owns_path(path: str) -> bool:
    """Whether a path is the data plane's to answer; the others are the control plane's.

    Some are reserved for protocols to come: the data plane answers there that nothing is found.
    """
    return entry_at(path) is not None or path.startswith(_RESERVED_PREFIXES) or path in _RESERVED_PATHS


def answers_immediately(path: str) -> bool:
    """Whether what is answered at `path` waits for nothing."""
    entry = entry_at(path)
    return entry is not None and path in entry.immediate


def checks_health(path: str) -> bool:
    """Whether what is asked at `path` is whether the server lives."""
    entry = entry_at(path)
    return entry is not None and path.startswith(entry.health)
