"""From JSON values to tensors: strict about types, exact in 64 bits, and plain about what is wrong where."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import chain
from math import prod
from typing import Any, NoReturn, Protocol

import numpy as np

from onnxlet.dataplane.codec.documents import Place, UncertainError, is_list, json_name, members, place_in
from onnxlet.dataplane.codec.proxies import proxies
from onnxlet.errors import InvalidInputError
from onnxlet.values.datatypes import VARIABLE, Datatype
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor, Tensors

MAX_RANK = 32
"""Dimensions that a tensor in JSON may have: far more than any model's, a bound for nesting bombs."""

_LEAVES: dict[str, tuple[frozenset[type], str]] = {
    "b": (frozenset({bool}), "true or false"),
    "i": (frozenset({int}), "an integer"),
    "f": (frozenset({int, float}), "a number"),
    "s": (frozenset({str}), 'a string or {"b64": …}'),
}


class Decoder(Protocol):
    """`decode_tensor`, or `decode_encoded` for inputs that are bytes."""

    def __call__(self, value: Any, spec: TensorSpec, place: Place, *, exact: bool) -> Tensor:  # noqa: ANN401
        """A JSON value as the tensor that `spec` declares."""


def lists_in(shape: Sequence[int]) -> int:
    """How many lists JSON needs for a tensor of this shape."""
    lists, width = 0, 1
    for dimension in shape:
        lists += width
        width *= dimension
    return lists


def decode_encoded(value: Any, spec: TensorSpec, place: Place, *, exact: bool) -> Tensor:  # noqa: ANN401 - a JSON value
    """Bytes, bare or as {"b64": …}, as texts in base64 of the shape that `spec` declares: whoever takes them decodes.

    Raises InvalidInputError as `decode_tensor` does.
    """
    if not exact:
        # objects may have had keys twice
        raise UncertainError("bytes")
    shape, flat = _flattened(value, place)
    tensor = np.empty(len(flat), dtype=object)
    for at, leaf in enumerate(flat):
        tensor[at] = leaf if type(leaf) is str else _base64_of(leaf, partial(_placed, place, at, shape))
    tensor = tensor.reshape(shape)
    check_shape(tensor, spec)
    return tensor


def decode_tensor(value: Any, spec: TensorSpec, place: Place, *, exact: bool) -> Tensor:  # noqa: ANN401 - a JSON value
    """A JSON value as the tensor that `spec` declares.

    Raises InvalidInputError for ragged lists, other types, numbers beyond the datatype and shapes that do not fit.
    """
    if not exact:
        outline, leaf = outline_of(value)
        if spec.shape and len(outline) > len(spec.shape):
            raise _shape_error(spec, outline)
        if spec.type.kind in "if" and isinstance(leaf, proxies.Object):
            raise InvalidInputError(f"{place([0] * len(outline))} must be {_LEAVES[spec.type.kind][1]}, not an object")
    if isinstance(value, proxies.Array):
        tensor = _copied(value, spec.type)
    elif isinstance(value, list) and value and isinstance(value[0], proxies.Array):
        tensor = _stacked(value, spec.type)
    else:
        tensor = _converted(value, spec.type, place, exact=exact)
    check_shape(tensor, spec)
    return tensor


def outline_of(value: Any) -> tuple[list[int], Any]:  # noqa: ANN401 - a JSON value
    """The shape that nested lists have by the first element of each, and the first that is none: enough to refuse what
    lies too deep, or is something else, at no price.

    Past `MAX_RANK` it is not followed.
    """
    outline: list[int] = []
    while is_list(value) and len(outline) <= MAX_RANK:
        outline.append(len(value))
        value = value[0] if outline[-1] else None
    return outline, value


def check_shape(tensor: Tensor, spec: TensorSpec) -> None:
    """Raise InvalidInputError if a tensor has another shape than `spec` declares."""
    # a graph input of unknown shape declares none: the engine judges
    if spec.shape and not _fits(tensor.shape, spec.shape):
        raise _shape_error(spec, tensor.shape)


def _shape_error(spec: TensorSpec, shape: Sequence[int]) -> InvalidInputError:
    return InvalidInputError(f"input '{spec.name}' takes shape {list(spec.shape)}, not {list(shape)}", input=spec.name)


def decode_columns(columns: dict[str, list[Any]], specs: Sequence[TensorSpec], prefix: str, *, exact: bool) -> Tensors:
    """Columns of single values as one [N] tensor each. Raises InvalidInputError as `decode_tensor` does."""
    alike: dict[str, list[TensorSpec]] = {}
    for spec in specs:
        alike.setdefault(spec.datatype, []).append(spec)
    tensors: Tensors = {}
    for group in alike.values():
        names = [spec.name for spec in group]
        place = _place_in_columns(prefix, names)
        tensor = _converted([columns[name] for name in names], group[0].type, place, exact=exact)
        if tensor.ndim != 2:  # noqa: PLR2004 - columns of single values
            raise InvalidInputError(f"{place([0, 0])} must be one value, not a list")
        tensors.update(zip(names, tensor, strict=True))
    return tensors


def _place_in_columns(prefix: str, names: list[str]) -> Place:
    return lambda index: f"{prefix}[{index[1]}].{names[index[0]]}" if len(index) > 1 else prefix


def _fits(shape: tuple[int, ...], declared: tuple[int, ...]) -> bool:
    if len(shape) != len(declared):
        return False
    for size, declared_size in zip(shape, declared, strict=True):  # noqa: SIM110 - a generator costs as much as all the rest
        if declared_size not in (VARIABLE, size):
            return False
    return True


# The fast way. It only ever raises UncertainError, and whoever uses it must still count the brackets.


def _copied(value: Any, datatype: Datatype) -> Tensor:  # noqa: ANN401 - simdjson.Array, whose elements have no one type
    if datatype.kind not in "if":
        return _converted(value.as_list(), datatype, place_in(""), exact=False)
    shape = _shape(value)
    wide, code = _WIDEST["UINT64" if datatype.name == "UINT64" else datatype.kind]
    try:
        flat = np.frombuffer(value.as_buffer(of_type=code), wide)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UncertainError("not a list of such numbers") from error
    if flat.size != prod(shape):
        raise UncertainError("ragged")
    return _narrowed(flat, datatype).reshape(shape)


def copy_matrix(rows: Any, spec: TensorSpec) -> Tensor | None:  # noqa: ANN401 - a JSON value
    """Rows of numbers as the matrix of 32 bit floats that most models take; None where they are anything else.

    The fast way again, in as few steps as can be, for a single row pays for each. Brackets must be counted here too.
    """
    if type(rows) is not proxies.Array or spec.datatype != "FP32" or len(spec.shape) != 2:  # noqa: PLR2004
        return None
    height, width = len(rows), spec.shape[1]
    first: Any = rows[0] if height else None
    if type(first) is not proxies.Array or len(first) != width or spec.shape[0] not in (VARIABLE, height):
        return None
    each: Any = rows
    try:
        if height > 1 and set(map(len, each)) != {width}:
            return None
        wide = np.frombuffer(rows.as_buffer(of_type="d"))
    except (ValueError, TypeError, RuntimeError):
        return None
    if wide.size != height * width:
        return None
    return _narrowed(wide, spec.type).reshape(height, width)


def list_matrix(rows: Any, spec: TensorSpec) -> Tensor | None:  # noqa: ANN401 - a JSON value
    """Rows of numbers as orjson reads them, for the input of a model that has a `matrix`, as `copy_matrix` says; the
    caller knows that no leaf is true or false.

    A small body is faster read so: one library less, and `struct` costs a third of numpy's own conversion of lists.
    """
    height, width = spec.shape
    try:
        count, pack = len(rows), _packer(width)
        packed = pack(*rows[0]) if count == 1 else b"".join([pack(*row) for row in rows])
    except (struct.error, TypeError, OverflowError):  # other than numbers, of another length; no list; beyond 32 bits
        return None
    if height not in (VARIABLE, count) or not packed:
        return None
    # numpy tries first whether it may write: bytes cost it an exception
    return np.ndarray((count, width), _FP32, bytearray(packed))


_FP32 = np.dtype("<f4")
"""To name the class costs numpy a microsecond."""


@lru_cache(maxsize=16)
def _packer(width: int) -> Callable[..., bytes]:
    return struct.Struct(f"<{width}f").pack  # in the machine's own order it would make infinities of large numbers


_WIDEST = {"f": (np.dtype(np.float64), "d"), "i": (np.dtype(np.int64), "i"), "UINT64": (np.dtype(np.uint64), "u")}
"""numpy's and simdjson's widest type of a kind."""


def _stacked(values: list[Any], datatype: Datatype) -> Tensor:
    if not all(isinstance(value, proxies.Array) for value in values):
        raise UncertainError("ragged")
    tensors = [_copied(value, datatype) for value in values]
    if any(tensor.shape != tensors[0].shape for tensor in tensors):
        raise UncertainError("ragged")
    return np.stack(tensors)


def _shape(value: Any) -> list[int]:  # noqa: ANN401 - simdjson.Array
    shape = [len(value)]
    first = value[0] if shape[0] else None
    level: Any = [first] if shape[0] == 1 else value
    while isinstance(first, proxies.Array):
        try:
            sizes = set(map(len, level))
        except TypeError:
            raise UncertainError("ragged") from None
        if len(sizes) != 1 or len(shape) == MAX_RANK:
            raise UncertainError("ragged")
        shape.append(sizes.pop())
        first = first[0] if shape[-1] else None
        if isinstance(first, proxies.Array):
            level = list(chain.from_iterable(level))
    if not shape[-1]:
        raise UncertainError("empty")
    return shape


# The exact way, element by element.


def _converted(value: Any, datatype: Datatype, place: Place, *, exact: bool) -> Tensor:  # noqa: ANN401 - a JSON value
    shape, flat = _flattened(value, place)
    allowed, expected = _LEAVES[datatype.kind]
    if not allowed.issuperset(map(type, flat)):
        if not exact:
            # objects among strings may have had keys twice
            raise UncertainError("other leaves than expected")
        if datatype.kind == "s":
            flat = _texts(flat, shape, place)
        else:
            position = next(at for at, leaf in enumerate(flat) if type(leaf) not in allowed)
            where = _placed(place, position, shape)
            raise InvalidInputError(f"{where} must be {expected}, not {json_name(flat[position])}")
    if datatype.kind == "s":
        return _strings(flat, shape, place)
    try:
        wide = np.array(flat, dtype=np.float64 if datatype.kind == "f" else datatype.numpy)
        return _narrowed(wide, datatype).reshape(shape)
    except (OverflowError, UncertainError):
        position = _first_failing(flat, partial(_in_range, datatype=datatype))
        raise InvalidInputError(f"{_placed(place, position, shape)} is beyond {datatype.name}") from None


def _flattened(value: Any, place: Place) -> tuple[list[int], list[Any]]:  # noqa: ANN401 - a JSON value
    shape: list[int] = []
    level = [value]
    while level and type(level[0]) is list:
        size = len(level[0])
        if set(map(type, level)) != {list} or set(map(len, level)) != {size}:
            raise _ragged_error(level, shape, place)
        if len(shape) == MAX_RANK:
            raise InvalidInputError(f"{place([])} is nested more than {MAX_RANK} levels deep")
        shape.append(size)
        level = list(chain.from_iterable(level))
    return shape, level


def _ragged_error(level: list[Any], shape: Sequence[int], place: Place) -> InvalidInputError:
    size = len(level[0])
    position = next(at for at, item in enumerate(level) if type(item) is not list or len(item) != size)
    item = level[position]
    got = f"one of {len(item)}" if type(item) is list else json_name(item)
    where = _placed(place, position, shape)
    return InvalidInputError(f"ragged: {where} must be a list of {size} like those before it, not {got}")


def _placed(place: Place, position: int, shape: Sequence[int]) -> str:
    return place(_index(position, shape))


def _index(position: int, shape: Sequence[int]) -> list[int]:
    return [int(axis) for axis in np.unravel_index(position, shape)] if shape else []


def _first_failing(flat: list[Any], passes: Callable[[list[Any]], bool]) -> int:
    """Where the first element stands that does not pass, of which there is one; halves are tried, not each element."""
    start, end = 0, len(flat)
    while end - start > 1:
        middle = (start + end) // 2
        start, end = (middle, end) if passes(flat[start:middle]) else (start, middle)
    return start


def _in_range(numbers: list[float], datatype: Datatype) -> bool:
    try:
        _narrowed(np.array(numbers, dtype=np.float64 if datatype.kind == "f" else datatype.numpy), datatype)
    except (OverflowError, UncertainError):
        return False
    return True


def _strings(flat: list[str], shape: list[int], place: Place) -> Tensor:
    if not encodable("".join(flat)):
        position = _first_failing(flat, lambda leaves: encodable("".join(leaves)))
        raise InvalidInputError(f"{_placed(place, position, shape)} has half of a surrogate pair")
    tensor = np.empty(len(flat), dtype=object)
    tensor[:] = flat
    return tensor.reshape(shape)


def encodable(text: str) -> bool:
    """Whether UTF-8 can say a text: not where it has half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts(flat: list[Any], shape: Sequence[int], place: Place) -> list[str]:
    """Strings and {"b64": …} as strings: the common ones at a tenth of the price of what is less so, or wrong."""
    from binascii import a2b_base64

    texts: list[str] = []
    for at, leaf in enumerate(flat):
        if type(leaf) is dict and len(leaf) == 1:
            try:
                texts.append(a2b_base64(leaf["b64"], strict_mode=True).decode())
                continue
            except (KeyError, TypeError, ValueError):  # said, or mended, below
                pass
        texts.append(leaf if type(leaf) is str else _text(leaf, partial(_placed, place, at, shape)))
    return texts


def _text(leaf: Any, where: Callable[[], str]) -> str:  # noqa: ANN401 - a JSON value
    if type(leaf) is str:
        return leaf
    encoded = _base64_of(leaf, where)
    import binascii

    try:
        text = "".join(encoded.split()).rstrip("=")
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True).decode()
    except UnicodeDecodeError:
        _refuse(f"{where()} is not UTF-8: strings in ONNX are text")
    except ValueError as error:
        _refuse(f"{where()} is not base64: {str(error).lower()}")


def _base64_of(leaf: Any, where: Callable[[], str]) -> str:  # noqa: ANN401 - a JSON value
    if not isinstance(leaf, dict):
        _refuse(f"{where()} must be {_LEAVES['s'][1]}, not {json_name(leaf)}")
    encoded = members(leaf, where()).get("b64")
    if len(leaf) != 1 or not isinstance(encoded, str):
        _refuse(f'{where()} must have one member, "b64", a string')
    return encoded


def _refuse(detail: str) -> NoReturn:
    raise InvalidInputError(detail) from None


def _narrowed(wide: Tensor, datatype: Datatype) -> Tensor:
    """From the widest type of its kind to the tensor's own. Raises UncertainError for a number that does not fit."""
    dtype = datatype.numpy
    if wide.dtype == dtype:
        return wide
    if datatype.kind == "f":
        # no number is larger than the root of the sum of all squares, which costs a fifth of asking for overflows;
        # vdot because it does not warn of its own
        if wide.size < _FEW and np.vdot(wide, wide) < _SQUARES[datatype.name]:
            return wide.astype(dtype)
        try:
            with np.errstate(over="raise"):
                return wide.astype(dtype)
        except FloatingPointError:
            raise UncertainError("out of range") from None
    bounds = np.iinfo(dtype)
    if wide.size and not bounds.min <= wide.min() <= wide.max() <= bounds.max:
        raise UncertainError("out of range")
    return wide.astype(dtype)


_FEW = 8192
"""Numbers up to which BLAS multiplies in the calling thread."""
_SQUARES = {"FP16": 4e9, "FP32": 1e76}
"""Below the square of each type's largest number."""
