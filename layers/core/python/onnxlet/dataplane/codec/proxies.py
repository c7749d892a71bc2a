"""simdjson's types, loaded with the first body that is large enough for it: a cold start with a small one goes without.

Until then no value can be of its types, and the names stand for a type that no value has.
"""

from __future__ import annotations

from typing import Any


class _Unloaded:
    """A type without values."""


class Proxies:
    """`Array` and `Object`: what simdjson gives for lists and objects of a document."""

    Array: Any = _Unloaded
    Object: Any = _Unloaded

    def parser(self) -> Any:  # noqa: ANN401 - simdjson.Parser, whose package has no types
        """A new parser."""
        import simdjson

        self.Array, self.Object = simdjson.Array, simdjson.Object
        return simdjson.Parser()


proxies = Proxies()
