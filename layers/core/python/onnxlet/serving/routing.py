"""Routing: which of an alias's routes a request takes, and which it had before."""

from __future__ import annotations

from collections.abc import Iterator

from onnxlet.values.aliases import Alias, Route, Routes


def choose(routes: Routes, model: str, routing_key: str | None) -> Route:
    """One of the routes, by weight: always the same one for a routing key, a random one without.

    Routes keep their order when weights change, so that most keys stay where they are.
    """
    if routing_key is None:
        import random

        point = random.random()  # noqa: S311 - which route is no secret
    else:
        import hashlib

        hashed = hashlib.sha256(f"{model}\0{routing_key}".encode()).digest()
        point = int.from_bytes(hashed[:8]) / 2**64
    left = point * sum(route.weight for route in routes)
    for route in routes:
        left -= route.weight
        if left < 0:
            return route
    return routes[-1]


def earlier(alias: Alias) -> Iterator[Route]:
    """The routes before, newest first and heaviest first, each version once."""
    seen = {(route.version, route.digest) for route in alias.routes}
    for routes in alias.previous:
        for route in sorted(routes, key=lambda route: -route.weight):
            if (route.version, route.digest) not in seen:
                seen.add((route.version, route.digest))
                yield route
