"""Refs: how a person or a URL names a version: `diagnosis`, `diagnosis:7`, `diagnosis@production`."""

import msgspec

from onnxlet.errors import InvalidNameError

MAX_VERSION = 2**63 - 1

_MAX_NAME = 128
_MAX_ALIAS = 63
# sets and not patterns, which take a cold start longer to compile than all the names it reads
_ALPHANUMERIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_IN_ALIASES = _ALPHANUMERIC | frozenset("_-")
_IN_NAMES = _IN_ALIASES | frozenset(".")


class Ref(msgspec.Struct, frozen=True, cache_hash=True):
    """A model and at most one of a version and an alias; neither means the alias `production`."""

    model: str
    version: int | None = None
    alias: str | None = None

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.model}:{self.version}"
        return self.model if self.alias is None else f"{self.model}@{self.alias}"


def check_model_name(name: str) -> str:
    """Return `name` if it can be a model's: ASCII letters, digits, `.`, `_`, `-`; at most 128; never `..`.

    Raises InvalidNameError.
    """
    fits = 0 < len(name) <= _MAX_NAME and _IN_NAMES.issuperset(name)
    if not fits or name[0] not in _ALPHANUMERIC or name[-1] == "." or ".." in name:
        raise InvalidNameError(
            f"{name!r} cannot be a model name: use letters, digits, '.', '_' and '-', starting with a letter or digit",
            name=name,
        )
    return name


def check_alias_name(name: str) -> str:
    """Return `name` if it can be an alias: ASCII letters, digits, `_`, `-`; at most 63. Raises InvalidNameError."""
    if not 0 < len(name) <= _MAX_ALIAS or name[0] == "-" or not _IN_ALIASES.issuperset(name):
        raise InvalidNameError(f"{name!r} cannot be an alias: use letters, digits, '_' and '-'", name=name)
    return name


def check_version(text: str) -> int:
    """Return the version that `text` writes in decimal digits. Raises InvalidNameError unless 1 <= it < 2**63."""
    if text.isascii() and text.isdigit() and len(text) <= len(str(MAX_VERSION)) and 1 <= int(text) <= MAX_VERSION:
        return int(text)
    raise InvalidNameError(f"{text!r} is not a version: versions are 1, 2, 3 …", version=text)


def parse_ref(text: str) -> Ref:
    """Read `NAME`, `NAME:VERSION` or `NAME@ALIAS`. Raises InvalidNameError."""
    model, colon, version = text.partition(":")
    if colon:
        return Ref(check_model_name(model), version=check_version(version))
    model, at, alias = text.partition("@")
    if at:
        return Ref(check_model_name(model), alias=check_alias_name(alias))
    return Ref(check_model_name(model))
