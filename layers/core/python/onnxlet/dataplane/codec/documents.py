"""JSON documents, read fast or read exactly, behind one way of looking into them."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from onnxlet.dataplane.codec.proxies import proxies
from onnxlet.dataplane.memory import map_large_blocks
from onnxlet.errors import InvalidInputError

_LISTED = 3
"""Names that an error spells out before it only counts."""
_SMALL = 4096
"""Bytes below which bytes.count beats numpy at counting."""
_KEPT = 2**20
"""Bytes of a body up to which its parser is kept: it holds on to as many as fifteen times these."""
_INFINITE = (float("inf"), float("-inf"))

MAX_OBJECTS = 2**16
"""Objects that a body may have: each costs the exact reading as much as a hundred bytes of numbers."""
MAX_LISTS = 2**16
"""Lists that a body may have which is read exactly."""
MAX_MEMBERS = 2**14
"""Members that an object may have: more than any model has columns."""
MAX_DIAGNOSED = 2**17
"""Bytes of a wrong body up to which it is read once more, exactly, to say what a person would call its first fault."""
LARGE = 2**16
"""Bytes from which a body is read by `read_large`."""
_MAX_LOOKED_UP = 128
"""Members of an object up to which simdjson looks them up: it searches for each from the beginning."""

_NAMES: dict[type, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a decimal number",
    str: "a string",
    type(None): "null",
}


_Model = TypeVar("_Model")
_Call = TypeVar("_Call")

Place = Callable[[Sequence[int]], str]
"""Says where the element with this index stands in the body: `instances[2].age`."""


class UncertainError(InvalidInputError):
    """The fast reading cannot vouch for its result: read exactly instead. It never leaves the doors."""


class RepeatedKeys(dict[str, Any]):
    """A JSON object that has a key more than once: refused when it is looked into, as the fast reading does."""

    def __init__(self, members: dict[str, Any], pairs: list[tuple[str, Any]]) -> None:
        super().__init__(members)
        self._pairs = pairs

    @property
    def repeated(self) -> str:
        """The first key that appears again."""
        seen = set[str]()
        for name, _ in self._pairs:
            if name in seen:
                return name
            seen.add(name)
        raise AssertionError("no key appears twice")


_thread = threading.local()
"""Each thread's parser. It keeps its buffers: made anew, they cost 300 us of page faults for 150 kB."""


def parse_fast(body: bytes) -> Any | None:  # noqa: ANN401 - a JSON value or simdjson's proxy of one
    """The document as simdjson reads it, or None if it will not: NaN, numbers out of range, more than one document."""
    if len(body) <= _KEPT:
        try:
            return _kept_parser().parse(body)
        except ValueError:
            return None
        except RuntimeError:
            # it is nested too deeply, or a proxy of the last document still lives, in an error's traceback say: that
            # keeps the old parser
            _thread.parser = proxies.parser()
    try:
        return proxies.parser().parse(body)
    except (ValueError, RuntimeError):
        return None


def _kept_parser() -> Any:  # noqa: ANN401 - simdjson.Parser, whose package has no types
    try:
        return _thread.parser
    except AttributeError:
        _thread.parser = proxies.parser()
        return _thread.parser


def parse_exact(body: bytes, *, alone: bool = False, in_range: bool = False) -> Any:  # noqa: ANN401 - a JSON value
    """The first JSON document of a body. What follows it is ignored, as TensorFlow Serving does, unless it must stand
    `alone`. `in_range`: no number can be too large for 64 bits, for `parse_fast` has read them all.

    Raises InvalidInputError if there is none, one that does not stand alone and must, or one nested too deeply, with a
    number out of range or too many lists.
    """
    import json

    _check_count(body, b"[", MAX_LISTS, "lists")
    try:
        text = body.decode().lstrip("\ufeff \t\r\n")
        parse_float = None if in_range or _is_in_range(body) else _finite
        decoder = json.JSONDecoder(object_pairs_hook=_object, parse_float=parse_float)
        document, end = decoder.raw_decode(text)
    except RecursionError:
        raise InvalidInputError("the JSON is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        reason = error.msg[:1].lower() + error.msg[1:]
        raise InvalidInputError(f"the body is not JSON: {reason} at character {error.pos}") from None
    except ValueError as error:  # Python's own words on digits are for those who may change its settings
        reason = "it has too many digits" if "digits" in str(error) else str(error)
        raise InvalidInputError(f"the JSON has a number that cannot be read: {reason}") from None
    if alone and text[end:].strip():
        raise InvalidInputError(f"the body goes on behind its JSON document, at character {end}")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    parsed = dict(pairs)
    return parsed if len(parsed) == len(pairs) else RepeatedKeys(parsed, pairs)


def _is_in_range(body: bytes) -> bool:
    """Whether no number of a large body is out of range: simdjson reads it once NaN and the infinities are numbers."""
    if len(body) < LARGE:
        return False
    named = body.replace(b"NaN", b"0.0").replace(b"Infinity", b"0.000000")
    return named != body and parse_fast(named) is not None


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
    """How many strings, keys included, stand in a body of JSON."""
    plain = _without_escapes(body)
    return _count(plain, b'"', plain.rfind(b'"') + 1) // 2


def _check_count(body: bytes, character: bytes, most: int, name: str) -> None:
    """Raise InvalidInputError if a body has more of a kind than are read: they are counted before any is."""
    if len(body) <= most or _count(body, character, len(body)) <= most:
        return
    from onnxlet.dataplane.codec.outside import count_outside_strings

    outside = count_outside_strings(_without_escapes(body), character)
    if outside > most:
        raise InvalidInputError(
            f"the body has {outside:,} {name}, and at most {most:,} are read: send fewer rows per call, "
            "whole tensors as 'inputs', or score a file in batch"
        )


def read_large(read: Callable[[bytes, _Model], _Call], body: bytes, model: _Model) -> _Call:
    """Read a large body with bounds: one of too many objects or lists not at all, in memory that is kept for the next
    one, and without the garbage collector.

    It would look through all lists and objects made so far, again and again, for cycles that JSON does not have: three
    quarters of the time for a million of them.
    """
    if body.rfind(b"{") > 0:  # numbers alone are not counted for nothing
        _check_count(body, b"{", MAX_OBJECTS, "objects")
    collecting = gc.isenabled()
    gc.disable()
    map_large_blocks(allowed=False)
    try:
        return read(body, model)
    finally:
        map_large_blocks(allowed=True)
        if collecting:
            gc.enable()


def is_last_word(body: bytes, error: InvalidInputError) -> bool:
    """Whether the fast reading is sure of what it says of a body that is too large to be read twice."""
    # to be raised where it was caught: an error that a function raises from an argument holds that function's frame,
    # which holds the error, so that the document stays in memory until the garbage collector comes
    return len(body) > MAX_DIAGNOSED and not isinstance(error, UncertainError)


def _without_escapes(body: bytes) -> bytes:
    """The body without the quotes that its strings escape."""
    # `in` is ten times as fast with an integer
    return body.replace(b"\\\\", b"").replace(b'\\"', b"") if ord("\\") in body else body


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
    if isinstance(value, (dict, proxies.Object)) and len(value) > MAX_MEMBERS:
        raise InvalidInputError(f"{place} has {len(value):,} members, and at most {MAX_MEMBERS:,} are read")
    if isinstance(value, proxies.Object):
        if len(value) > _MAX_LOOKED_UP:
            raise UncertainError("many members")
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
