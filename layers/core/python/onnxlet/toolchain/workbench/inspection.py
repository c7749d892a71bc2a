"""Inspect an ONNX file without running it: operator domains, datatypes, and the files of its weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from onnxlet.errors import RejectedModelError
from onnxlet.values.datatypes import DATATYPES

DOMAINS = ("ai.onnx", "ai.onnx.ml", "com.microsoft")
"""The operator domains that are allowed; ONNX Runtime's optimizer writes com.microsoft."""
INTEGER_OPERATORS = {
    "ConvInteger",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "MatMulNBits",
    "QLinearConv",
    "QLinearMatMul",
}
"""Operators that compute with 8-bit integers, or that ONNX Runtime may fuse into such."""
CONSTANT_WEIGHTS = 4
"""The version of ONNX's files from which on weights need not be inputs, and those that are may be given by callers."""
ZIPMAP_ADVICE = {
    "skl2onnx": "convert the estimator with options={'zipmap': False}",
    "OnnxMLTools": "convert the model with zipmap=False",
    "CatBoost": "save the model as CatBoost's own file with save_model('model.cbm'), and `onnxlet ship` that",
}
"""What to do about maps of probabilities, by the file's producer."""
OLDEST_OPSET = 7
"""The oldest opset that ONNX Runtime promises to run."""
MOST_PROTOBUF = 2**31 - 1
"""The most bytes that protobuf reads."""

_KINDS = {
    onnx.TensorProto.DataType.Value(datatype.onnx.removeprefix("tensor(").removesuffix(")").upper()): name
    for name, datatype in DATATYPES.items()
}


@dataclass(frozen=True)
class GraphInspection:
    """What an ONNX file says about itself."""

    producer: str
    producer_version: str
    opset: dict[str, int]
    weights: tuple[Path, ...]
    """The files that hold its external weights."""
    size: int
    """Bytes of the file and of its external weights."""
    quantized: bool
    """Whether it computes with 8-bit integers."""
    float16_weights: bool
    """Whether weights are stored as float16 and cast."""
    filled_inputs: tuple[str, ...]
    """Inputs of the graph whose values the file holds."""
    replaceable: bool
    """Whether ONNX lets a caller give others for these; before version 4 of its files every weight was an input."""


def inspect(path: Path) -> GraphInspection:
    """Inspect the file at `path`. Raises RejectedModelError for what will not be published."""
    size = path.stat().st_size
    if size > MOST_PROTOBUF:
        raise RejectedModelError(
            f"{path.name!r} has {size} bytes, more than the 2 GB that an ONNX file may have: save its weights apart "
            "with onnx.save_model(model, path, save_as_external_data=True)",
            size=size,
        )
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, ValueError, OSError) as error:
        raise _no_onnx_error(path, f"is no ONNX file, or not all of it: {error}") from error
    if not model.graph.node or not model.graph.output:
        raise _no_onnx_error(path, "holds no graph with nodes and outputs")
    _check_domains(model)
    _check_types(model)
    weights = _weight_files(model, path.parent)
    used = {node.domain or "ai.onnx" for node in all_nodes(model)}
    return GraphInspection(
        producer=model.producer_name,
        producer_version=model.producer_version,
        opset={e.domain or "ai.onnx": e.version for e in model.opset_import if (e.domain or "ai.onnx") in used},
        weights=weights,
        size=size + sum(file.stat().st_size for file in weights),
        quantized=any(node.op_type in INTEGER_OPERATORS for node in all_nodes(model)),
        float16_weights=stores_float16_weights(model),
        filled_inputs=tuple(value.name for value in model.graph.input if value.name in names_of_weights(model.graph)),
        replaceable=model.ir_version >= CONSTANT_WEIGHTS,
    )


def names_of_weights(graph: onnx.GraphProto) -> set[str]:
    """The names of what the graph holds values of."""
    return {tensor.name for tensor in graph.initializer} | {sparse.values.name for sparse in graph.sparse_initializer}


def _no_onnx_error(path: Path, reason: str) -> RejectedModelError:
    """For a file that is named otherwise it is of no use what protobuf makes of its bytes."""
    if path.suffix.lower() == ".onnx":
        return RejectedModelError(f"{path.name!r} {reason}")
    return RejectedModelError(
        f"{path.name!r} is no ONNX file: `onnxlet ship {path.name} NAME --data ROWS` converts models of other kinds "
        "and publishes them"
    )


def stores_float16_weights(model: onnx.ModelProto) -> bool:
    """Whether weights are stored as float16 and cast to float32 where they are read."""
    float16_names = {weight.name for weight in model.graph.initializer if weight.data_type == onnx.TensorProto.FLOAT16}
    return any(node.op_type == "Cast" and node.input[0] in float16_names for node in model.graph.node)


def _check_domains(model: onnx.ModelProto) -> None:
    used = {node.domain or "ai.onnx" for node in all_nodes(model)} | {f.domain or "ai.onnx" for f in model.functions}
    foreign = sorted(used - set(DOMAINS))
    if foreign:
        local = {function.domain for function in model.functions}
        hint = (
            "inline its functions with onnx.inliner.inline_local_functions"
            if local.intersection(foreign)
            else "export the model with standard operators"
        )
        raise RejectedModelError(
            f"the graph uses operators of the domains {', '.join(map(repr, foreign))}; only "
            f"{', '.join(map(repr, DOMAINS))} are served: {hint}",
            domains=foreign,
        )


def _check_types(model: onnx.ModelProto) -> None:
    for kind, values in (("input", model.graph.input), ("output", model.graph.output)):
        for value in values:
            if not value.type.HasField("tensor_type"):
                kind_name = value.type.WhichOneof("value") or "no type"
                raise RejectedModelError(
                    f"{kind} {value.name!r} is a {kind_name.removesuffix('_type')}, and only tensors are served: "
                    f"{_tensor_advice(model, value.name)}",
                    name=value.name,
                )
            if value.type.tensor_type.elem_type not in _KINDS:
                kind_name = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
                raise RejectedModelError(
                    f"{kind} {value.name!r} has elements of type {kind_name}, which no protocol here carries: cast it "
                    f"in the graph to one of {', '.join(DATATYPES)}",
                    name=value.name,
                )


def _tensor_advice(model: onnx.ModelProto, name: str) -> str:
    """How to come by tensors in place of what `name` is."""
    zipmap = next((node for node in model.graph.node if node.op_type == "ZipMap" and name in node.output), None)
    if zipmap is None:
        return "export the model with its parts as inputs and outputs of their own"
    return ZIPMAP_ADVICE.get(
        model.producer_name, f"take the node ZipMap out, whose input {zipmap.input[0]!r} has the same probabilities"
    )


def _weight_files(model: onnx.ModelProto, folder: Path) -> tuple[Path, ...]:
    """The files of external tensors. Raises RejectedModelError unless each is a plain file below the model's folder."""
    files: dict[Path, None] = {}
    for tensor in _tensors(model):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        file = _weight_file(folder, entries.get("location", ""))
        files[file] = None
        try:
            end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
        except ValueError as error:
            raise RejectedModelError(f"tensor {tensor.name!r} lies at no place in its file: {error}") from error
        if end > file.stat().st_size:
            raise RejectedModelError(f"{file.name!r} is shorter than the graph says: it was cut off")
    return tuple(files)


def _weight_file(folder: Path, location: str) -> Path:
    relative = PurePosixPath(location)
    if not location or relative.is_absolute() or ".." in relative.parts or "\\" in location or "\0" in location:
        raise RejectedModelError(
            f"the graph's weights lie at {location!r}; they must lie in the model's own folder", location=location
        )
    file = folder.joinpath(*relative.parts)
    links = [
        part for part in (file, *file.parents) if part.is_relative_to(folder) and part != folder and part.is_symlink()
    ]
    if links:
        raise RejectedModelError(f"the graph's weights lie behind a symbolic link, {location!r}", location=location)
    if not file.is_file():
        raise RejectedModelError(f"the graph's weights {location!r} are not there", location=location)
    return file


def all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Every node: of the graph, of graphs within nodes, of local functions."""
    pending = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    while pending:
        node = pending.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                pending.extend(graph.node)


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that the file holds or points to."""
    graphs = [model.graph]
    for node in all_nodes(model):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            graphs.extend((attribute.g, *attribute.graphs))
    for graph in graphs:
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
