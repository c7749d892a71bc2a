"""PyTorch's exporter: export a module as an ONNX graph, and say in one line what an error means."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
import onnx

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.convert.networks.model_errors import MODEL_ERRORS
from onnxlet.values.datatypes import DATATYPES, VARIABLE
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensors

_BY_TORCH = {f"torch.{datatype.numpy_name}": name for name, datatype in DATATYPES.items() if name != "BYTES"}
_OPERATOR = re.compile(r"No ONNX function found for <OpOverload\(op='([\w.]+)'")
_CONSTANT = re.compile(r"marked L\['(\w+)'\].*?size\(\)\[(\d+)\] as dynamic but your code specialized it .*?\((\d+)\)")
_CODE = re.compile(r'File "[^"]*", line \d+, in \w+\n\s*(.+)')


def export(module: Any, inputs: Tensors, specs: Sequence[TensorSpec], *, by_name: bool) -> Any:
    """The module as an ExportedProgram whose dimensions of any size are those of the specs.

    The inputs are passed in the specs' order, or by name. Raises ConversionError saying what in the module is in the
    way.
    """
    import torch

    tensors = {spec.name: torch.from_numpy(inputs[spec.name]) for spec in specs}
    free = {
        spec.name: {axis: torch.export.Dim.DYNAMIC for axis, size in enumerate(spec.shape) if size == VARIABLE}
        for spec in specs
    }
    try:
        with silence_torch():
            if by_name:
                return torch.export.export(module, (), tensors, dynamic_shapes=free, strict=False)
            shapes = tuple(free.values())
            return torch.export.export(module, tuple(tensors.values()), dynamic_shapes=shapes, strict=False)
    except MODEL_ERRORS as error:
        raise ConversionError(f"PyTorch cannot export the module: {explain_export_error(error)}") from error


def to_onnx(program: Any, inputs: Sequence[str], outputs: Sequence[str]) -> onnx.ModelProto:
    """The graph of an ExportedProgram, with these names, and without traces of the machine that it was made on.

    Raises ConversionError naming the operator that has no ONNX form.
    """
    import torch

    try:
        with silence_torch():
            exported = torch.onnx.export(program, dynamo=True, verbose=False)
            model: onnx.ModelProto = exported.model_proto
    except MODEL_ERRORS as error:
        raise ConversionError(f"PyTorch cannot write the module as ONNX: {explain_export_error(error)}") from error
    graph = model.graph
    if len(graph.input) != len(inputs) or len(graph.output) != len(outputs):
        raise ConversionError(
            f"the graph has {len(graph.input)} inputs and {len(graph.output)} outputs where the module has "
            f"{len(inputs)} and {len(outputs)} tensors: let forward take and give nothing but tensors, each once"
        )
    _forget_origin(model)
    for values, names in ((graph.input, inputs), (graph.output, outputs)):
        for value, name in zip(list(values), names, strict=True):
            graph_edits.rename_value(graph, value.name, name)
    return model


def explain_export_error(error: BaseException) -> str:
    """What stopped the exporter, and what to try, in one line."""
    message = _error_chain(error)
    if match := _OPERATOR.search(message):
        return (
            f"the operator {match[1]!r} has no ONNX form there; compute it from other operators in forward, or leave "
            "that part to whoever reads the model's answers"
        )
    if match := _CONSTANT.search(message):
        name, axis, size = match.groups()
        return (
            f"it makes dimension {axis} of {name!r} a constant, {size}; take it from {name}.shape there, or say that "
            f"it has one size with --input {name}=DATATYPE[SHAPE]"
        )
    first = next((line.strip() for line in message.splitlines() if line.strip()), type(error).__name__)
    first = re.sub(r"\x1b\[\d+m", "", first)[:300].rstrip(".")
    if "data-dependent" in first:
        code = _CODE.findall(message)
        where = f", `{code[-1].strip()[:100]}`" if code else ""
        return f"it decides by the values of its inputs{where}; use torch.where or torch.cond there"
    return f"{type(error).__name__}: {first}; see that forward is made of PyTorch's own operators on tensors"


def datatype_of(dtype: Any) -> str:
    """The datatype of a torch dtype. Raises ConversionError for one that cannot be served."""
    try:
        return _BY_TORCH[str(dtype)]
    except KeyError:
        raise ConversionError(
            f"an input is of type {str(dtype)!r}, which no protocol here carries: convert the module with .float()"
        ) from None


def name_outputs(answer: Any, wanted: Sequence[str], inputs: Sequence[str]) -> dict[str, Any]:
    """The tensors that a module returned, by name: the wanted ones, else its dictionary's keys, else by number.

    Raises ConversionError if there is no tensor, or not one for each wanted name.
    """
    import torch
    from torch.utils import _pytree

    leaves = [(path, leaf) for path, leaf in _pytree.tree_leaves_with_path(answer) if isinstance(leaf, torch.Tensor)]
    if not leaves or (wanted and len(wanted) != len(leaves)):
        raise ConversionError(
            f"the module gives {len(leaves)} tensors"
            + (f", and {len(wanted)} outputs were named" if wanted else ": let forward return one")
        )
    names = list(wanted) or [_leaf_name(path, number, len(leaves)) for number, (path, _) in enumerate(leaves)]
    names = [f"{name}_out" if name in inputs else name for name in names]
    return dict(zip(names, (leaf for _, leaf in leaves), strict=True))


def arrays_of(tensors: Mapping[str, Any]) -> Tensors:
    """PyTorch's tensors as numpy arrays; bfloat16, which numpy lacks, as float32."""
    return {
        name: np.asarray(tensor.detach().cpu().float() if str(tensor.dtype) == "torch.bfloat16" else tensor.cpu())
        for name, tensor in tensors.items()
    }


@contextmanager
def silence_torch() -> Iterator[None]:
    """Silence what PyTorch prints and logs about itself: deprecations, missing packages, attempts that it gave up."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _leaf_name(path: Sequence[Any], number: int, count: int) -> str:
    keys = [str(getattr(step, "key", getattr(step, "name", ""))) for step in path]
    keys_named = [key for key in keys if key]
    if keys_named:
        return "_".join(keys_named)
    return "output" if count == 1 else f"output_{number}"


def _error_chain(error: BaseException) -> str:
    """The messages of the error and its causes."""
    parts = []
    cause: BaseException | None = error
    while cause is not None:
        parts.append(str(cause))
        cause = cause.__cause__
    return "\n".join(parts)


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop stack traces and the like, which name folders of this machine."""
    graph = model.graph
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
