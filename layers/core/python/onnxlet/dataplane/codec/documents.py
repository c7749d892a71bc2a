"""JSON documents, read fast or read exactly, behind one way of looking into them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from onnxlet.dataplane.codec.proxies import proxies
from onnxlet.errors import InvalidInputError

_LISTED = 3
"""Names that an error spells out before it only counts."""
_SMALL = 4096
"""Bytes below which bytes.count beats numpy at counting."""
_KEPT = 2**20
"""Bytes of a body up to which its parser is kept: it holds on to a dozen times as many."""
_INFINITE = (float("inf"), float("-inf"))

_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a decimal number",
    str: "a string",
    type(None): "null",
}


Place = Callable[[Sequence[int]], str]
"""Says where the element with this index stands in the body: `instances[2].age`."""


class UncertainError(InvalidInputError):
    """The fast reading cannot vouch for its result: read exactly instead. It never leaves the doors."""


class RepeatedKeys(dict[str, Any]):
    """A JSON object that has `repeated` more than once: refused when it is looked into, as the fast reading does."""

    repeated: str = ""


_thread = threading.local()
"""Each thread's parser. It keeps its buffers: made anew, they cost 300 us of page faults for 150 kB."""


def parse_fast(body: bytes) -> Any | None:  # noqa: ANN401 - a JSON value or simdjson's proxy of one
    """The document as simdjson reads it, or None if it will not: NaN, numbers out of range, more than one document."""
    parser = _kept_parser() if len(body) <= _KEPT else proxies.parser()
    try:
        return parser.parse(body)
    except ValueError:
        return None
    except RuntimeError:
        # a proxy of the last document still lives, in an error's traceback say: it keeps the old parser
        _thread.parser = proxies.parser()
        return None


def _kept_parser() -> Any:  # noqa: ANN401 - simdjson.Parser, whose package has no types
    try:
        return _thread.parser
    except AttributeError:
        _thread.parser = proxies.parser()
        return _thread.parser


def parse_exact(body: bytes) -> Any:  # noqa: ANN401 - a JSON value
    """The first JSON document of a body; what follows it is ignored, as TensorFlow Serving does.

    Raises InvalidInputError if there is none, or one nested too deeply or with a number out of range.
    """
    import json

    try:
        text = body.decode().lstrip("\ufeff \t\r\n")
        return json.JSONDecoder(object_pairs_hook=_object, parse_float=_finite).raw_decode(text)[0]
    except RecursionError:
        raise InvalidInputError("the JSON is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:]
        raise InvalidInputError(f"the body is not JSON: {reason} at character {error.pos}") from None
    except ValueError as error:
        raise InvalidInputError(f"the JSON has a number that cannot be read: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    if len(parsed) == len(pairs):
        return parsed
    repeated = RepeatedKeys(parsed)
    names = [name for name, _ in pairs]
    repeated.repeated = next(name for name in names if names.count(name) > 1)
    return repeated


def _finite(text: str) -> float:
    number = float(text)
    if number in _INFINITE:
        raise ValueError("a number is out of range")
    return number


def brackets(body: bytes) -> int:
    """How often `[` stands in a body: no more than the lists that are known, or it hides one (simdjson flattens: to its
    buffers `[[1, 2], [[3], 4]]` is as good as two by two).
    """
    return _count(body, b"[", len(body))


def strings(body: bytes) -> int:
    """How many strings, keys included, stand in a body without escapes."""
    return _count(body, b'"', body.rfind(b'"') + 1) // 2


def _count(body: bytes, character: bytes, end: int) -> int:
    if end < _SMALL:
        return body.count(character, 0, end)
    return int(np.count_nonzero(np.frombuffer(body, np.uint8, end) == ord(character)))


def is_list(value: object) -> bool:
    """Whether a JSON value is a list."""
    return isinstance(value, (list, proxies.Array))


def as_list(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """A list of the document as Python's own; any other value as it is."""
    return value.as_list() if isinstance(value, proxies.Array) else value


def is_object(value: object) -> bool:
    """Whether a JSON value is an object, other than a binary value {"b64": …}."""
    if not isinstance(value, (dict, proxies.Object)):
        return False
    return not (len(value) == 1 and "b64" in value and isinstance(value["b64"], str))


def members(value: Any, place: str) -> dict[str, Any]:  # noqa: ANN401 - a JSON value
    """The members of a JSON object. Raises InvalidInputError if it is none, or has a key twice."""
    if isinstance(value, proxies.Object):
        # not by items(), which makes Python objects of whole lists
        proxied = {name: value[name] for name in value.keys()}  # noqa: SIM118 - a proxy is no Mapping
        if len(proxied) != len(value):
            raise UncertainError("a key appears twice")
        return proxied
    if isinstance(value, RepeatedKeys):
        raise InvalidInputError(f"the key {value.repeated!r} appears twice in {place}")
    if not isinstance(value, dict):
        raise InvalidInputError(f"{place} must be an object, not {json_name(value)}")
    return value


def sole_member(value: Any, name: str) -> Any | None:  # noqa: ANN401 - a JSON value
    """The value of an object's only member, if simdjson read it and it has this name; None otherwise."""
    if type(value) is proxies.Object and len(value) == 1:
        return value.get(name)
    return None


def json_name(value: object) -> str:
    """What JSON calls the kind of a value: `a string`, `an object`."""
    return "a list" if is_list(value) else _NAMES.get(type(value), "an object")


def name_some(names: Iterable[str]) -> str:
    """A few names in quotes, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - _LISTED} more" if len(listed) > _LISTED else ""
    return ", ".join(f"'{name[:80]}'" for name in listed[:_LISTED]) + more


def place_in(prefix: str) -> Place:
    """Elements of one nested list: `inputs[1][2]`."""
    return lambda index: prefix + "".join(f"[{position}]" for position in index)


def place_in_rows(prefix: str, name: str) -> Place:
    """Elements of one member of each row: `instances[1].image[2]`."""

    def place(index: Sequence[int]) -> str:
        return f"{prefix}[{index[0]}].{name}" + "".join(f"[{i}]" for i in index[1:]) if index else prefix

    return place
