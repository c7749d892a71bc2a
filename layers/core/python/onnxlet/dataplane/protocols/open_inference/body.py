"""Inference requests and responses in JSON, as the Open Inference Protocol has them.

A body is read fast where that can be vouched for, else exactly, as `codec` says. `data` may be flat or nested. Which
of a model's signatures is asked follows from the names of the inputs: the graph's tensors, or the named columns, each
with a value a row as [N] or [N, 1].
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Any

import msgspec
import orjson

from onnxlet.dataplane.answering import choose_signature
from onnxlet.dataplane.codec.decoding import (
    MAX_RANK,
    Decoder,
    check_shape,
    decode_encoded,
    decode_tensor,
    encodable,
    lists_in,
    outline_of,
)
from onnxlet.dataplane.codec.documents import (
    LARGE,
    as_list,
    brackets,
    is_last_word,
    is_list,
    json_name,
    members,
    name_some,
    parse_exact,
    parse_fast,
    place_in,
    read_large,
)
from onnxlet.dataplane.codec.encoding import encode_tensor
from onnxlet.errors import InvalidInputError
from onnxlet.serving.model import Model
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensor, Tensors

_SMALL = 4096
"""Bytes below which the exact reading is quick enough, and needs no library more."""
_NAMED = 64
"""Inputs or outputs that a body may have beyond those that the model has, if only to be told which are not known."""
_REFUSED = ("binary_data", "binary_data_output", "binary_data_size", "classification", "shared_memory_region")
"""Parameters of extensions that would change what data means, and are not spoken here."""


class Call(msgspec.Struct):
    """What a body asks for: inputs for one of the model's signatures, the outputs it names (None: all), and its id."""

    signature: str
    inputs: Tensors
    outputs: list[str] | None
    identifier: str | None
    lists: int
    """How many lists the body was written with, as far as it was understood."""
    explain: bool
    """Whether explanations are wanted beside the outputs."""
    parameters: Mapping[str, Any]
    """Of the request as a whole."""


class Explained(msgspec.Struct):
    """What explains an answer: tensors, their datatypes, and parameters."""

    tensors: Tensors
    datatypes: dict[str, str]
    parameters: dict[str, Any]


class _Input(msgspec.Struct):
    """A tensor of a request, not decoded yet. `place` is where it stands: `inputs[0]`."""

    name: str
    datatype: str
    shape: list[int]
    data: Any
    place: str


def read_body(body: bytes, model: Model) -> Call:
    """Read the JSON of a request. Raises InvalidInputError for whatever is wrong with it."""
    return _read_body(body, model) if len(body) < LARGE else read_large(_read_body, body, model)


def _read_body(body: bytes, model: Model) -> Call:
    document = None
    if len(body) >= _SMALL:
        try:
            document = parse_fast(body)
            if document is not None:
                call = _read(document, model, exact=False)
                if call.lists == brackets(body):
                    return call
        except InvalidInputError as error:
            # the exact reading says what is wrong, if anything is
            if is_last_word(body, error):
                raise
    return _read(parse_exact(body, alone=True, in_range=document is not None), model, exact=True)


def _read(document: Any, model: Model, *, exact: bool) -> Call:  # noqa: ANN401 - a JSON value
    top = members(document, "the body")
    parameters = _check_parameters(top, "the body")
    if "inputs" not in top:
        raise InvalidInputError("the body must have 'inputs'")
    given = _read_inputs(top["inputs"], max(len(signature.inputs) for signature in model.signatures.values()))
    served = len(model.manifest.signature.outputs)
    outputs = None if top.get("outputs") is None else _read_outputs(top["outputs"], served)
    signature = choose_signature(model, given)
    inputs, lists = _decode_inputs(given, model, signature, exact=exact)
    return Call(
        signature,
        inputs,
        outputs or None,
        _read_id(top.get("id")),
        1 + lists + (outputs is not None),
        parameters.get("explain", False) is True,
        parameters,
    )


def _read_id(value: Any) -> str | None:  # noqa: ANN401 - a JSON value
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidInputError(f"'id' must be a string, not {json_name(value)}")
    if not encodable(value):
        raise InvalidInputError("'id' has half of a surrogate pair")
    return value


def _check_parameters(holder: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """The parameters; those that change nothing here pass."""
    if holder.get("parameters") is None:
        return {}
    parameters = members(holder["parameters"], f"'parameters' of {place}")
    for name in _REFUSED:
        if parameters.get(name, False) is not False:
            raise InvalidInputError(
                f"{place} has the parameter '{name}', which belongs to an extension that is not spoken here: "
                'send and ask for tensors as JSON, with "binary_data": false'
            )
    return parameters


# --- inputs -----------------------------------------------------------------------------------------------------------


def _check_count(value: Any, known: int, kind: str) -> None:  # noqa: ANN401 - a JSON list
    """Refuse at once what is far more than the model has; names are compared only of fewer."""
    if len(value) > max(known, _NAMED):
        raise InvalidInputError(f"the body has {len(value):,} {kind}, and the model knows {known}")


def _read_inputs(value: Any, known: int) -> dict[str, _Input]:  # noqa: ANN401 - a JSON value
    if not is_list(value):
        raise InvalidInputError(f"'inputs' must be a list of tensors, not {json_name(value)}")
    _check_count(value, known, "inputs")
    given: dict[str, _Input] = {}
    for index, item in enumerate(value):
        one = _read_input(item, f"inputs[{index}]")
        if one.name in given:
            raise InvalidInputError(f"input '{one.name[:80]}' appears twice")
        given[one.name] = one
    return given


def _read_input(item: Any, place: str) -> _Input:  # noqa: ANN401 - a JSON value
    tensor = members(item, place)
    _check_parameters(tensor, place)
    name, datatype = _text(tensor, "name", place), _text(tensor, "datatype", place)
    shape: Any = tensor.get("shape")
    if is_list(shape) and len(shape) > MAX_RANK:
        raise InvalidInputError(f"{place}.shape has more than {MAX_RANK} dimensions")
    shape = as_list(shape)
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise InvalidInputError(f"{place}.shape must be a list of sizes")
    if "data" not in tensor:
        raise InvalidInputError(f"{place} lacks 'data'")
    if not is_list(tensor["data"]):
        raise InvalidInputError(f"{place}.data must be a list, not {json_name(tensor['data'])}")
    return _Input(name, datatype, shape, tensor["data"], place)


def _text(tensor: Mapping[str, Any], name: str, place: str) -> str:
    if name not in tensor:
        raise InvalidInputError(f"{place} lacks '{name}'")
    value = tensor[name]
    if not isinstance(value, str):
        raise InvalidInputError(f"{place}.{name} must be a string, not {json_name(value)}")
    return value


def _decode_inputs(given: dict[str, _Input], model: Model, signature: str, *, exact: bool) -> tuple[Tensors, int]:
    """The tensors by name, and how many lists they were written with, their shapes' included."""
    specs = {spec.name: spec for spec in model.signatures[signature].inputs}
    columns = model.columns.get(signature)
    _check_names(given, specs, columns.defaults if columns is not None else {})
    inputs: Tensors = {}
    lists = 0
    for name, one in given.items():
        decode = decode_encoded if name in model.encoded else decode_tensor
        tensor, written = _decode_input(one, specs[name], decode, column=columns is not None, exact=exact)
        inputs[name] = tensor
        lists += 1 + written
    return inputs, lists


def _check_names(given: Iterable[str], wanted: Mapping[str, TensorSpec], defaults: Mapping[str, Any]) -> None:
    unknown = [name for name in given if name not in wanted]
    if unknown:
        raise InvalidInputError(f"the model has no inputs {name_some(unknown)}, only {name_some(wanted)}")
    missing = [name for name in wanted if name not in given and name not in defaults]
    if missing:
        raise InvalidInputError(f"the inputs {name_some(missing)} are missing")


def _decode_input(one: _Input, spec: TensorSpec, decode: Decoder, *, column: bool, exact: bool) -> tuple[Tensor, int]:
    """An input as the model's tensor, and how many lists its data was written with."""
    if one.datatype != spec.datatype:
        known = "" if one.datatype in DATATYPES else ", which is no datatype here"
        raise InvalidInputError(
            f"{one.place}.datatype is '{one.datatype[:40]}'{known}: "
            f"the model's input '{spec.name}' takes {spec.datatype}"
        )
    outline = [] if exact else outline_of(one.data)[0]
    if len(outline) > max(len(one.shape), 1):
        raise _outline_error(one, outline)
    any_shape = TensorSpec(spec.name, spec.datatype, ())
    tensor = decode(one.data, any_shape, place_in(f"{one.place}.data"), exact=exact)
    lists = lists_in(tensor.shape)
    if list(tensor.shape) != one.shape:
        # sizes are compared before anything is made of them: a shape may claim more than there is memory
        if tensor.ndim != 1 or tensor.size != prod(one.shape):
            raise _outline_error(one, tensor.shape)
        tensor = tensor.reshape(one.shape)
    if column and tensor.ndim == 2 and tensor.shape[1] == 1:  # noqa: PLR2004 - [N, 1]
        tensor = tensor.reshape(-1)
    check_shape(tensor, spec)
    return tensor, lists


def _outline_error(one: _Input, shape: Sequence[int]) -> InvalidInputError:
    return InvalidInputError(
        f"{one.place}.data has shape {list(shape)}, which is not what its 'shape' says: {one.shape}"
    )


# --- outputs ----------------------------------------------------------------------------------------------------------


def _read_outputs(value: Any, known: int) -> list[str]:  # noqa: ANN401 - a JSON value
    if not is_list(value):
        raise InvalidInputError(f"'outputs' must be a list of outputs, not {json_name(value)}")
    _check_count(value, known, "outputs")
    names: list[str] = []
    for index, item in enumerate(value):
        place = f"outputs[{index}]"
        output = members(item, place)
        _check_parameters(output, place)
        name = _text(output, "name", place)
        if name in names:
            raise InvalidInputError(f"output '{name[:80]}' appears twice")
        names.append(name)
    return names


def write_answer(
    outputs: Tensors, call: Call, model: Model, *, model_name: str, version: int, explained: Explained | None = None
) -> bytes:
    """The JSON of an answer, with data flat in row-major order. What explains it stands behind the outputs."""
    datatypes = {spec.name: spec.datatype for spec in model.manifest.signature.outputs}
    head: dict[str, Any] = {"model_name": model_name, "model_version": str(version)}
    if explained is not None:
        head["parameters"] = explained.parameters
        outputs = outputs | explained.tensors
        datatypes |= explained.datatypes
    if call.identifier is not None:
        head["id"] = call.identifier
    tensors = b",".join(_write_tensor(name, datatypes[name], tensor) for name, tensor in outputs.items())
    return orjson.dumps(head)[:-1] + b',"outputs":[' + tensors + b"]}"


def _write_tensor(name: str, datatype: str, tensor: Tensor) -> bytes:
    head = orjson.dumps({"name": name, "datatype": datatype, "shape": tensor.shape})
    return head[:-1] + b',"data":' + encode_tensor(tensor.reshape(-1)) + b"}"
