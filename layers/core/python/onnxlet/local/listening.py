"""Listening: sockets on one address, and the URL to ask there."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address

from onnxlet.errors import InvalidInputError, UnavailableError

BACKLOG = 2048
LAST_PORT = 65535

_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - names what such a host means


@contextmanager
def listen(host: str, port: int, workers: int) -> Iterator[list[socket.socket]]:
    """A socket for each worker, all on `host` and the same port (0: any free one).

    On Linux they are different sockets, over which the kernel spreads connections: of workers that share one, the first
    to wake takes most. Raises InvalidInputError for a host that is not this machine's, UnavailableError if the port is
    taken.
    """
    with ExitStack() as opened:
        first = opened.enter_context(_open(host, port))
        if sys.platform != "linux" or workers == 1:
            yield [first] * workers
            return
        # Only now, for a first socket that shares its port would do so with another program's.
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        port = first.getsockname()[1]
        more = [opened.enter_context(_open(host, port, shared=True)) for _ in range(workers - 1)]
        yield [first, *more]


def is_exposed(listening: socket.socket) -> bool:
    """Whether other machines can reach what listens there."""
    return not ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def url_of(host: str, listening: socket.socket) -> str:
    """The URL under which a socket that listens on `host` is reached from this machine."""
    literal = f"[{host}]" if ":" in host else host
    return f"http://{_ANYWHERE.get(host) or literal}:{listening.getsockname()[1]}"


def _open(host: str, port: int, *, shared: bool = False) -> socket.socket:
    if not 0 <= port <= LAST_PORT:
        raise InvalidInputError(f"there is no port {port}: they go from 0 (any that is free) to {LAST_PORT}", port=port)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            (host, port), family=family, backlog=BACKLOG, reuse_port=shared, dualstack_ipv6=host == "::"
        )
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise UnavailableError(
                f"port {port} of {host!r} is not to be had ({os.strerror(error.errno)}): choose another, or 0 for any "
                "that is free",
                port=port,
            ) from error
        raise InvalidInputError(f"cannot listen on host {host!r}: {error.strerror}", host=host) from error
