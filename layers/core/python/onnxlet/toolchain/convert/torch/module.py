"""PyTorch modules: in memory, or made by a factory of the user's own code with weights from a file."""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
import textwrap
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert.networks.model_errors import MODEL_ERRORS
from onnxlet.toolchain.convert.networks.outputs import OutputHints
from onnxlet.toolchain.convert.networks.probing_inputs import find_random_inputs, random_tensors
from onnxlet.toolchain.convert.options import SourceOptions
from onnxlet.toolchain.convert.torch.exporter import (
    arrays_of,
    datatype_of,
    export,
    name_outputs,
    silence_torch,
    to_onnx,
)
from onnxlet.toolchain.workbench.error_text import first_line
from onnxlet.toolchain.workbench.extras import versions
from onnxlet.toolchain.workbench.privacy import without_values
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.refusals import refused
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.values.datatypes import VARIABLE
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import DATATYPES, Tensors

EXAMPLE_ROWS = 3
"""Not 1, which the exporter would take for a constant."""


class ModuleNetwork:
    """A module in evaluation mode, which is exported for any number of rows."""

    framework = "PyTorch"
    reference: ReferenceKind | None = "object"
    labels: tuple[str, ...] = ()
    assets: Mapping[str, bytes] = {}
    hints = OutputHints(class_axis=1)

    def __init__(self, module: Any, name: str, options: SourceOptions) -> None:
        self.versions = versions("torch", "onnxscript", "onnx")
        self._options = options
        self._module = module.eval().requires_grad_(requires_grad=False)
        parameters = _parameters(self._module)
        self.names = tuple(spec.name for spec in options.inputs) or tuple(
            n for n, needed in parameters.items() if needed
        )
        if not self.names:
            raise ConversionError(f"{name} does not say what its forward takes: --input NAME=DATATYPE[SHAPE], in order")
        self._by_name = set(self.names) <= parameters.keys()
        self._specs = {spec.name: spec for spec in options.inputs}
        self._outputs: tuple[str, ...] = ()

    def input_specs(self, example: Tensors | None) -> tuple[TensorSpec, ...]:
        """The inputs that the options give, else those of the example with a free first dimension.

        Raises InvalidInputError where there is neither.
        """
        if not self._specs:
            if example is None:
                raise InvalidInputError(
                    f"a module does not say what its inputs are like: give --data, or --input {self.names[0]}="
                    "FP32[-1,…], for each of " + quoted(self.names)
                )
            self._specs = {name: self._spec_like(name, example[name]) for name in self.names}
        return tuple(self._specs.values())

    def random_inputs(self, shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> Tensors:
        """Random tensors of these shapes."""
        return random_tensors(self._specs, shapes, seed=seed)

    def run(self, inputs: Tensors) -> Tensors:
        """The module's answers. Raises InvalidInputError where it fails."""
        import torch

        tensors = {name: torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self.names}
        try:
            with torch.no_grad(), silence_torch():
                answer = self._module(**tensors) if self._by_name else self._module(*tensors.values())
        except MODEL_ERRORS as error:
            shapes = ", ".join(f"{name}={_format_spec(spec)}" for name, spec in self._specs.items())
            raise refused(
                f"the module does not take {shapes}", first_line(error), inputs, "; say what it takes with --input"
            ) from without_values(error)
        outputs = name_outputs(answer, self._options.outputs, self.names)
        self._outputs = tuple(outputs)
        return arrays_of(outputs)

    def export_graph(self) -> onnx.ModelProto:
        """The graph. Raises ConversionError saying what in the module stopped it."""
        specs = self.input_specs(None)
        inputs = find_random_inputs(self, specs, rows=EXAMPLE_ROWS, seed=0)
        program = export(self._module, inputs, specs, by_name=self._by_name)
        self.run(inputs)
        return to_onnx(program, self.names, self._outputs)

    def _spec_like(self, name: str, example: Any) -> TensorSpec:
        """A spec like the example; floats are what the module's weights are."""
        datatype = next((key for key, kind in DATATYPES.items() if kind.numpy == example.dtype), None)
        if datatype is None or datatype == "BYTES":
            raise InvalidInputError(f"the array {name!r} holds what no module takes: numbers are needed", array=name)
        if DATATYPES[datatype].kind == "f":
            floats = (parameter.dtype for parameter in self._module.parameters() if parameter.is_floating_point())
            dtype = next(floats, None)
            datatype = "FP32" if dtype is None else datatype_of(dtype)
        return TensorSpec(name, datatype, (VARIABLE, *example.shape[1:]))


def make_network(source: str, options: SourceOptions, progress: Progress) -> ModuleNetwork:
    """The module that a factory makes, with its weights. Raises ConversionError, InvalidInputError for no weights."""
    module = _make_module(source)
    if options.weights is None:
        progress("no --weights: the module answers with those that its factory gave it")
    else:
        _load_weights(module, options.weights)
    return ModuleNetwork(module, f"what {source!r} makes", options)


def copy_network(module: Any, options: SourceOptions, progress: Progress) -> ModuleNetwork:
    """A module in memory: a copy of it on the CPU in evaluation mode, so that the caller's own stays as it is."""
    if module.training:
        progress("the module is in training mode: it is asked and exported as model.eval() has it")
    return ModuleNetwork(copy.deepcopy(module).cpu(), f"the {type(module).__name__}", options)


def _make_module(source: str) -> Any:
    """What the factory makes. Raises ConversionError if it fails, or makes no module."""
    import torch

    package, _, name = source.partition(":")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        factory: Any = import_module(package)
        for part in name.split("."):
            factory = getattr(factory, part)
        module = factory if isinstance(factory, torch.nn.Module) else factory()
    except MODEL_ERRORS as error:
        raise ConversionError(
            f"{source!r} makes no module: {type(error).__name__}: {error}; it must be a function without arguments, "
            "importable from here"
        ) from error
    finally:
        sys.path.remove(here)
    if not isinstance(module, torch.nn.Module):
        raise ConversionError(f"{source!r} makes a {type(module).__name__}, no torch.nn.Module")
    return module


def _load_weights(module: Any, path: Path) -> None:
    """Fill the module. Raises ConversionError for a file of something else, or of another module's weights."""
    import safetensors
    import torch
    from safetensors.torch import load_model

    if not path.is_file():
        raise InvalidInputError(f"there is no file {str(path)!r}", path=str(path))
    try:
        with silence_torch():
            if path.suffix == ".safetensors":
                missing, unexpected = load_model(module, path, strict=False)
            else:
                state = torch.load(path, map_location="cpu", weights_only=True)
                state = state.get("state_dict", state)
                missing, unexpected = module.load_state_dict(state, strict=False)
    except pickle.UnpicklingError as error:
        raise ConversionError(
            f"{path.name!r} holds more than weights, a whole module say, and reading that would run code: save "
            "module.state_dict() with safetensors.torch.save_file or torch.save",
            path=str(path),
        ) from error
    except (*MODEL_ERRORS, safetensors.SafetensorError, EOFError) as error:
        message = textwrap.shorten(" ".join(str(error).strip().splitlines()[:2]), 300, placeholder=" …").rstrip(".")
        raise ConversionError(
            f"the weights in {path.name!r} cannot be loaded: {message}; save "
            "module.state_dict() with safetensors.torch.save_file or torch.save",
            path=str(path),
        ) from error
    if missing or unexpected:
        parts = [
            f"{word} {quoted(sorted(names))}" for word, names in (("lack", missing), ("have", unexpected)) if names
        ]
        raise ConversionError(
            f"the weights in {path.name!r} are not this module's: they {' and '.join(parts)}", path=str(path)
        )


def _parameters(module: Any) -> dict[str, bool]:
    """The parameters of forward that can be passed by name, and whether they must be."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    parameters = inspect.signature(module.forward).parameters.values()
    return {
        parameter.name: parameter.default is inspect.Parameter.empty
        for parameter in parameters
        if parameter.kind in kinds
    }


def _format_spec(spec: TensorSpec) -> str:
    return f"{spec.datatype}[{','.join(map(str, spec.shape))}]"
