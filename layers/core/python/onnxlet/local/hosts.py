"""Hosts: the names that a server answers to.

A web page can let its own name point at 127.0.0.1 and then ask as if it were the server's own page ("DNS rebinding").
The Host header tells: it has the page's name. An address cannot be pointed anywhere, and loopback names are nobody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from onnxlet.errors import InvalidInputError

ANY = "*"
KNOWN = 1024
"""Host headers that are remembered with what was thought of them."""

_HOST = rb"(?P<host>\[[0-9A-Za-z:.%]+\]|[0-9A-Za-z._-]+)(?::[0-9]{0,5})?"
_HEADER = re.compile(_HOST)
_NAME = re.compile(r"(?:\*\.)?[0-9a-z_-]+(?:\.[0-9a-z_-]+)*")


class Hosts:
    """Which hosts a server answers to: every address, loopback names, and the names that it was told."""

    def __init__(self, names: Iterable[str]) -> None:
        """`names` are hosts without ports; `*.example.com` is any name below example.com, `*` any at all.

        Raises InvalidInputError for what is no host.
        """
        allowed = [_check(name) for name in names]
        self._any = ANY in allowed
        self._names = frozenset({"localhost", *allowed})
        self._suffixes = (".localhost", *(name.removeprefix(ANY) for name in allowed if name.startswith("*.")))
        self.accept = lru_cache(KNOWN)(self._accept)

    def _accept(self, header: bytes) -> bool:
        """Whether a Host header has one of them, on whatever port."""
        host = host_of(header)
        if host is None:
            return False
        return self._any or is_address(host) or host in self._names or host.endswith(self._suffixes)


def host_of(header: bytes) -> str | None:
    """The host of a Host header in lower case, without port and final dot; None if the header has none."""
    match = _HEADER.fullmatch(header)
    return match["host"].decode("ascii").lower().removesuffix(".") if match else None


def is_address(host: str) -> bool:
    """Whether a host is an IPv4 address, or an IPv6 address in brackets."""
    try:
        if host.startswith("[") and host.endswith("]"):
            IPv6Address(host[1:-1])
        else:
            IPv4Address(host)
    except AddressValueError:
        return False
    return True


def _check(name: str) -> str:
    """A name as it is compared."""
    known = name.lower().removesuffix(".")
    literal = known if known.startswith("[") or ":" not in known else f"[{known}]"
    if known == ANY or _NAME.fullmatch(known) or is_address(literal):
        return known
    raise InvalidInputError(
        f"{name!r} is no host: give a name without a port, as 'models.example.com', '*.example.com' or '*'", host=name
    )
