"""Prediction bodies as TensorFlow Serving's REST API v1 has them: `instances` row by row, `inputs` tensor by tensor.

Three things go beyond it. Numbers for floating point inputs may be any that fit; TensorFlow Serving itself refuses
whole ones above 2**24. Where a model knows named columns, objects with the columns' names are rows of them, without a
`signature_name`; a column that a row leaves out, or has as null, gets its default, and null is a missing value to a
model that can do with one. And `explain` asks for explanations beside the predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import orjson

from onnxlet.dataplane.answering import choose_signature
from onnxlet.dataplane.codec.decoding import (
    Decoder,
    copy_matrix,
    decode_columns,
    decode_encoded,
    decode_tensor,
    list_matrix,
    lists_in,
)
from onnxlet.dataplane.codec.documents import (
    LARGE,
    brackets,
    is_last_word,
    is_list,
    is_object,
    json_name,
    members,
    name_some,
    parse_exact,
    parse_fast,
    place_in,
    place_in_rows,
    read_large,
    sole_member,
    strings,
)
from onnxlet.dataplane.codec.encoding import encode_records, encode_rows, encode_tensor
from onnxlet.dataplane.codec.proxies import proxies
from onnxlet.errors import InvalidInputError
from onnxlet.serving.model import Model
from onnxlet.values.signature import IMAGES, SERVING_DEFAULT, Signature, TensorSpec
from onnxlet.values.tensors import Tensor, Tensors

BYTES_SUFFIX = "_bytes"
"""Outputs of strings whose name ends so are written in base64."""

_HEAD = 64
"""Bytes in which rows that are objects show their first brace."""
_LONG = 256
"""Bytes a list, above which simdjson is better at its numbers."""
_SMALL = 4096
"""Bytes up to which orjson beats simdjson at numbers too."""
_U, _F = b"uf"
"""As integers, for which `in` is ten times as fast."""
_ONLY_KEY = len('"instances"') - 1
"""From the first to the last quote of a body whose only string this is."""
_WITH_NUMPY = orjson.OPT_SERIALIZE_NUMPY


class Call(msgspec.Struct, gc=False):
    """What a body asks for: inputs for one of the model's signatures, and the form it wants the answer in."""

    signature: str
    inputs: Tensors
    rows: bool
    lists: int
    """How many lists the inputs were written with."""
    finite: bool = False
    """Whether the reading excludes that a number is NaN or infinite."""
    explain: Any = None
    """What is asked of an explanation beside the prediction; None: nothing."""


def read_body(body: bytes, model: Model) -> Call:
    """Read the JSON of a request. Raises InvalidInputError for whatever is wrong with it.

    A small `{"instances": [[number, …], …]}` for a matrix goes through orjson, which is better at few numbers than
    simdjson, in as few steps as can be: a single row pays for each.
    """
    spec = model.matrix
    # neither true nor false nor null is left when "instances" is the only string
    if (
        spec is not None
        and len(body) < _SMALL
        and body.rfind(b'"') - body.find(b'"') == _ONLY_KEY
        and _U not in body
        and _F not in body
    ):
        try:
            rows = orjson.loads(body)["instances"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            rows = None
        tensor = list_matrix(rows, spec)
        if tensor is not None:
            return Call(SERVING_DEFAULT, {spec.name: tensor}, True, 1 + len(rows), True)
    return _read_body(body, model) if len(body) < LARGE else read_large(_read_body, body, model)


def _read_body(body: bytes, model: Model) -> Call:
    document = None
    try:
        if len(body) < _SMALL or _has_small_objects(body):
            call = _read_plain(body, model)
            if call is not None:
                return call
        document = parse_fast(body)
        if document is not None:
            call = _read_matrix(document, model) or _read(document, model, exact=False)
            if call.lists == brackets(body):
                return call
    except InvalidInputError as error:
        # the exact reading says what is wrong, if anything is
        if is_last_word(body, error):
            raise
    return _read(parse_exact(body, in_range=document is not None), model, exact=True)


def _has_small_objects(body: bytes) -> bool:
    """Whether rows are objects without long lists, which orjson is better at."""
    start = body.find(b"{", 1, _HEAD)
    if start < 0 or body.find(b"[", 1, start) < 0:
        return False
    if len(body) > LARGE and body.find(b"{", start + 1, LARGE) < 0:  # one large object: it may have too many members
        return False
    lists = brackets(body)
    return lists == 1 or lists * _LONG > len(body)


def _read_plain(body: bytes, model: Model) -> Call | None:
    """Read `{"instances": [{name: value, …}, …]}`, or any small body, through orjson, which is better at objects and at
    few numbers than simdjson's proxies; or leave it to the others. Of equal keys it keeps the last, so all strings must
    be known.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    rows = document.get("instances") if type(document) is dict and len(document) == 1 else None
    if type(rows) is not list:
        return None
    call = _read(document, model, exact=True)
    keys = sum(map(len, rows)) if type(rows[0]) is dict else 0
    values = sum(tensor.size for tensor in call.inputs.values() if tensor.dtype.kind == "O")
    return call if strings(body) == 1 + keys + values else None


def _read_matrix(document: Any, model: Model) -> Call | None:  # noqa: ANN401 - a JSON value
    """Read `{"instances": [[number, …], …]}`, the commonest body by far, or leave it to the others."""
    inputs = model.signatures[SERVING_DEFAULT].inputs
    if len(inputs) == 1:
        tensor = copy_matrix(sole_member(document, "instances"), inputs[0])
        if tensor is not None:
            return Call(SERVING_DEFAULT, {inputs[0].name: tensor}, rows=True, lists=1 + len(tensor), finite=True)
    return None


def read_document(document: Mapping[str, Any], model: Model) -> Call:
    """Read a request that was parsed already. Raises InvalidInputError for whatever is wrong with it."""
    return _read(document, model, exact=True)


def call_of_pictures(pictures: list[bytes], model: Model) -> Call:
    """What a body of pictures asks for, a row each. Raises InvalidInputError where the model takes more than these."""
    specs = model.signatures[IMAGES].inputs
    if len(specs) != 1:
        raise InvalidInputError(f"pictures alone are not enough: the model has the inputs {name_some(_names(specs))}")
    tensor = np.empty(len(pictures), dtype=object)
    tensor[:] = pictures
    return Call(IMAGES, {specs[0].name: tensor}, rows=True, lists=0)


def _read(document: Any, model: Model, *, exact: bool) -> Call:  # noqa: ANN401 - a JSON value
    top = members(document, "the body")
    call = _read_call(top, model, exact=exact)
    explain = top.get("explain")
    if isinstance(explain, (dict, proxies.Object)):
        members(explain, "'explain'")  # it has no key twice, and not too many
        explain = explain.as_dict() if isinstance(explain, proxies.Object) else explain
    if explain is not None and explain is not False:
        call.explain = explain
    return call


def _read_call(top: Mapping[str, Any], model: Model, *, exact: bool) -> Call:
    name = top.get("signature_name", "")
    if not isinstance(name, str):
        raise InvalidInputError(f"'signature_name' must be a string, not {json_name(name)}")
    if name and name not in model.signatures:
        raise InvalidInputError(f"the model has no signature '{name[:80]}', only {name_some(model.signatures)}")
    if "instances" in top:
        if "inputs" in top:
            raise InvalidInputError("the body must have one of 'instances' and 'inputs', not both")
        return _read_rows(top["instances"], model, name, exact=exact)
    if "inputs" in top:
        return _read_inputs(top["inputs"], model, name, exact=exact)
    raise InvalidInputError("the body must have 'instances' or 'inputs'")


def _signature_of(rows: Any, model: Model) -> str:  # noqa: ANN401 - a JSON value
    """The signature that rows without names are for: bytes are pictures, where the model takes such."""
    if IMAGES in model.signatures and is_list(rows) and len(rows) and isinstance(rows[0], (dict, proxies.Object)):
        return IMAGES
    return SERVING_DEFAULT


def _decoder(spec: TensorSpec, model: Model) -> Decoder:
    return decode_encoded if spec.name in model.encoded else decode_tensor


# --- instances: a list of rows ----------------------------------------------------------------------------------------


def _read_rows(rows: Any, model: Model, name: str, *, exact: bool) -> Call:  # noqa: ANN401 - a JSON value
    if not is_list(rows):
        raise InvalidInputError(f"'instances' must be a list, not {json_name(rows)}")
    if not len(rows):
        raise InvalidInputError("'instances' is empty: send at least one row")
    if is_object(rows[0]):
        return _read_objects(rows, model, name, exact=exact)
    name = name or _signature_of(rows, model)
    inputs = model.signatures[name].inputs
    if len(inputs) != 1:
        raise InvalidInputError(
            f"'instances' must be a list of objects: the model has {len(inputs)} inputs, {name_some(_names(inputs))}"
        )
    tensor = _decoder(inputs[0], model)(rows, inputs[0], place_in("instances"), exact=exact)
    return Call(name, {inputs[0].name: tensor}, rows=True, lists=lists_in(tensor.shape))


def _read_objects(rows: Any, model: Model, name: str, *, exact: bool) -> Call:  # noqa: ANN401 - a JSON list
    first = members(rows[0], "instances[0]")
    name = name or choose_signature(model, first)
    signature = model.signatures[name]
    named = model.columns.get(name)
    _check_rows([first], signature, {} if named is None else named.defaults)
    table = _read_table(rows)
    if named is None:
        _check_rows(table, signature, {})
        tensors = {
            spec.name: _decoder(spec, model)(
                [row[spec.name] for row in table], spec, place_in_rows("instances", spec.name), exact=exact
            )
            for spec in signature.inputs
        }
        written = sum(len(table) * lists_in(tensor.shape[1:]) for tensor in tensors.values())
        return Call(name, tensors, rows=True, lists=1 + written)
    complete = _check_rows(table, signature, named.defaults)
    fillers = named.fillers
    columns = {
        column: [row[column] for row in table]
        if complete and column not in fillers
        else _filled_column(table, column, fillers.get(column))
        for column in _names(signature.inputs)
    }
    return Call(name, decode_columns(columns, signature.inputs, "instances", exact=exact), rows=True, lists=1)


def _read_table(rows: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a JSON list
    """All rows, read as the first was. Raises InvalidInputError for one that is no object."""
    if set(map(type, rows)) == {dict}:
        return list(rows)
    table = []
    for index, row in enumerate(rows):
        if not isinstance(row, (dict, proxies.Object)):
            raise InvalidInputError(f"instances[{index}] must be an object as those before it, not {json_name(row)}")
        table.append(members(row, f"instances[{index}]"))
    return table


def _filled_column(table: list[dict[str, Any]], name: str, filler: Any) -> list[Any]:  # noqa: ANN401 - a JSON value
    """A column with what stands for values that are left out, or null."""
    return [filler if (value := row.get(name)) is None else value for row in table]


def _check_rows(table: list[dict[str, Any]], signature: Signature, defaults: Mapping[str, Any]) -> bool:
    """Whether every row has every input. Raises InvalidInputError if one lacks a name or has one too many."""
    names = _names(signature.inputs)
    wanted = set(names)
    required = wanted - defaults.keys()
    complete = True
    for index, row in enumerate(table):
        if row.keys() != wanted:
            complete = False
            if required <= row.keys() <= wanted:
                continue
            missing = [name for name in names if name not in row and name not in defaults]
            unknown = [name for name in row if name not in wanted]
            raise InvalidInputError(f"instances[{index}] {_wrong_names(missing, unknown)}")
    return complete


def _wrong_names(missing: list[str], unknown: list[str]) -> str:
    lacks = f"lacks {name_some(missing)}" if missing else ""
    has = f"has {name_some(unknown)}, which the model does not know" if unknown else ""
    return " and ".join(filter(None, (lacks, has)))


def _names(inputs: tuple[TensorSpec, ...]) -> list[str]:
    return [spec.name for spec in inputs]


# --- inputs: whole tensors --------------------------------------------------------------------------------------------


def _read_inputs(value: Any, model: Model, name: str, *, exact: bool) -> Call:  # noqa: ANN401 - a JSON value
    if not is_object(value):
        name = name or _signature_of(value, model)
        inputs = model.signatures[name].inputs
        if len(inputs) != 1:
            raise InvalidInputError(
                f"'inputs' must be an object: the model has {len(inputs)} inputs, {name_some(_names(inputs))}"
            )
        tensor = _decoder(inputs[0], model)(value, inputs[0], place_in("inputs"), exact=exact)
        return Call(name, {inputs[0].name: tensor}, rows=False, lists=lists_in(tensor.shape))
    given = members(value, "'inputs'")
    name = name or choose_signature(model, given)
    signature = model.signatures[name]
    named = model.columns.get(name)
    defaults = named.defaults if named is not None else {}
    wanted = set(_names(signature.inputs))
    missing = [name for name in _names(signature.inputs) if name not in given and name not in defaults]
    unknown = [name for name in given if name not in wanted]
    if missing or unknown:
        raise InvalidInputError(f"'inputs' {_wrong_names(missing, unknown)}")
    tensors = {
        spec.name: _decoder(spec, model)(given[spec.name], spec, place_in(f"inputs.{spec.name}"), exact=exact)
        for spec in signature.inputs
        if spec.name in given
    }
    return Call(name, tensors, rows=False, lists=sum(lists_in(tensor.shape) for tensor in tensors.values()))


# --- answers ----------------------------------------------------------------------------------------------------------


def write_answer(outputs: Tensors, rows: bool) -> bytes:
    """The JSON of an answer: `predictions` for rows, else `outputs`; one output stands bare, several in objects.

    Raises InvalidInputError if rows are wanted of outputs that have none, or not as many.
    """
    if not rows:
        return _write_outputs(outputs)
    # a single row goes into one call of orjson, where it can say it alone: a third of the price of the general way
    row, value = {}, None
    try:
        for name, tensor in outputs.items():
            row[name] = value = tensor[0]
            if len(tensor) > 1 or (isinstance(value, str) and name.endswith(BYTES_SUFFIX)):
                return _write_rows(outputs)
        written = orjson.dumps(row if len(row) > 1 else value, None, _WITH_NUMPY)
    except (TypeError, IndexError):  # no rows at all, strings in more than one dimension, rows that are not contiguous
        return _write_rows(outputs)
    # `in` tries it as an integer first, at ten times the price
    return b'{"predictions":[' + written + b"]}" if written.find(b"null") < 0 else _write_rows(outputs)


def _write_outputs(outputs: Tensors) -> bytes:
    """Whole tensors."""
    if len(outputs) == 1:
        [(name, tensor)] = outputs.items()
        return b'{"outputs":' + encode_tensor(tensor, binary=_binary(name, tensor)) + b"}"
    written = {name: [encode_tensor(tensor, binary=_binary(name, tensor))] for name, tensor in outputs.items()}
    return b'{"outputs":' + encode_records(written)[1:-1] + b"}"


def _write_rows(outputs: Tensors) -> bytes:
    """Any number of rows."""
    _check_batch(outputs)
    if len(outputs) == 1:
        [(name, tensor)] = outputs.items()
        return b'{"predictions":' + encode_tensor(tensor, binary=_binary(name, tensor)) + b"}"
    columns = {name: encode_rows(tensor, binary=_binary(name, tensor)) for name, tensor in outputs.items()}
    return b'{"predictions":' + encode_records(columns) + b"}"


def _check_batch(outputs: Tensors) -> None:
    rows = -1
    for name, tensor in outputs.items():
        if not tensor.ndim:
            raise InvalidInputError(
                f"output '{name}' is a single value, not rows: send 'inputs' instead of 'instances'"
            )
        if rows not in (-1, len(tensor)):
            counts = ", ".join(f"'{name}' {len(tensor)}" for name, tensor in outputs.items() if tensor.ndim)
            raise InvalidInputError(f"the outputs differ in rows ({counts}): send 'inputs' instead of 'instances'")
        rows = len(tensor)


def _binary(name: str, tensor: Tensor) -> bool:
    return name.endswith(BYTES_SUFFIX) and tensor.dtype.kind not in "biuf"
