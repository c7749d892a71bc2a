"""Exported programs: what torch.export.save wrote into a `.pt2` file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.toolchain.convert.networks.model_errors import MODEL_ERRORS
from onnxlet.toolchain.convert.networks.outputs import OutputHints
from onnxlet.toolchain.convert.networks.probing_inputs import fill_free_dimensions, random_tensors
from onnxlet.toolchain.convert.options import SourceOptions
from onnxlet.toolchain.convert.torch.exporter import (
    arrays_of,
    datatype_of,
    explain_export_error,
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
from onnxlet.values.datatypes import VARIABLE
from onnxlet.values.manifest import ReferenceKind
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import Tensors

EXAMPLE_ROWS = 3


class ProgramNetwork:
    """An exported program. One for a fixed number of rows is exported once more for any number, where that works."""

    framework = "PyTorch"
    reference: ReferenceKind | None = "file"
    labels: tuple[str, ...] = ()
    assets: Mapping[str, bytes] = {}
    hints = OutputHints(class_axis=1)

    def __init__(self, path: Path, options: SourceOptions, progress: Progress) -> None:
        self.versions = versions("torch", "onnxscript", "onnx")
        self._options, self._progress = options, progress
        self._program = _load_program(path)
        self._module = self._program.module()
        self._specs = _rename_inputs(_specs_of(self._program), options.inputs)
        self.names = tuple(spec.name for spec in self._specs)
        self._rows = _fixed_rows(self._specs)
        self._exported: tuple[Any, tuple[TensorSpec, ...]] | None = None
        self._outputs: tuple[str, ...] = ()

    def input_specs(self, example: Tensors | None) -> tuple[TensorSpec, ...]:
        """Its inputs, with rows made free where that works, whatever the example."""
        del example
        if self._exported is None:
            self._exported = self._program, self._specs
            if self._rows is not None:
                self._exported = self._with_free_rows(self._rows) or self._exported
        return self._exported[1]

    def random_inputs(self, shapes: Mapping[str, tuple[int, ...]], *, seed: int) -> Tensors:
        """Random tensors of these shapes."""
        return random_tensors({spec.name: spec for spec in self._specs}, shapes, seed=seed)

    def run(self, inputs: Tensors) -> Tensors:
        """The program's answers; of fixed rows, so many at a time. Raises InvalidInputError where it fails."""
        rows = {len(tensor) for tensor in inputs.values() if tensor.ndim}
        if self._rows is None or rows == {self._rows} or len(rows) != 1:
            return self._run(inputs)
        count = rows.pop()
        parts = []
        for start in range(0, count, self._rows):
            # the last ones are asked with the first again, to fill their number
            picked = np.arange(start, start + self._rows) % count
            parts.append(self._run({name: tensor[picked] for name, tensor in inputs.items()}))
        if any(tensor.shape[:1] != (self._rows,) for tensor in parts[0].values()):
            raise InvalidInputError("an output does not count the same rows as the inputs")
        return {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}

    def export_graph(self) -> onnx.ModelProto:
        """The graph. Raises ConversionError."""
        specs = self.input_specs(None)
        if not self._outputs:
            self._run(self.random_inputs(fill_free_dimensions(self._specs, EXAMPLE_ROWS, EXAMPLE_ROWS), seed=0))
        program = self._exported[0] if self._exported else self._program
        return to_onnx(program, [spec.name for spec in specs], self._outputs)

    def _run(self, inputs: Tensors) -> Tensors:
        import torch
        from torch.utils import _pytree

        flat = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in self.names]
        try:
            arguments, keywords = _pytree.tree_unflatten(flat, self._program.call_spec.in_spec)
            with torch.no_grad(), silence_torch():
                answer = self._module(*arguments, **keywords)
        except MODEL_ERRORS as error:
            raise refused("the program does not take these inputs", _explain(error), inputs) from without_values(error)
        outputs = name_outputs(answer, self._options.outputs, self.names)
        self._outputs = tuple(outputs)
        return arrays_of(outputs)

    def _with_free_rows(self, rows: int) -> tuple[Any, tuple[TensorSpec, ...]] | None:
        """The program for any number of rows, and its inputs; None if it cannot be had."""
        specs = tuple(TensorSpec(spec.name, spec.datatype, (VARIABLE, *spec.shape[1:])) for spec in self._specs)
        inputs = self.random_inputs(fill_free_dimensions(specs, EXAMPLE_ROWS, EXAMPLE_ROWS), seed=0)
        try:
            module = self._program.module(check_guards=False)
            program = export(module, inputs, specs, by_name=False)
            self.run(inputs)
        except (ConversionError, InvalidInputError) as error:
            self._progress(
                f"the program takes exactly {rows} rows, and cannot be freed of that ({error.detail}): export it with "
                "dynamic_shapes to predict any number at once"
            )
            return None
        return program, specs


def _load_program(path: Path) -> Any:
    import torch

    try:
        with silence_torch():
            return torch.export.load(path)
    except (zipfile.BadZipFile, *MODEL_ERRORS) as error:
        raise ConversionError(
            f"{path.name!r} cannot be read as an exported program of PyTorch {torch.__version__}: "
            f"{_explain(error)}; save it with torch.export.save, with this version of PyTorch",
            path=str(path),
        ) from error


def _specs_of(program: Any) -> tuple[TensorSpec, ...]:
    import torch

    placeholders = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    specs = []
    for name in program.graph_signature.user_inputs:
        value = placeholders[name].meta["val"] if name in placeholders else None
        if not isinstance(value, torch.Tensor):
            raise ConversionError(f"the program's input {str(name)!r} is no tensor: export it with tensors alone")
        shape = tuple(size if isinstance(size, int) else VARIABLE for size in value.shape)
        specs.append(TensorSpec(name, datatype_of(value.dtype), shape))
    if not specs:
        raise ConversionError("the program takes no inputs, so it always gives the same answer")
    return tuple(specs)


def _rename_inputs(specs: tuple[TensorSpec, ...], wanted: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    """The inputs under the wanted names. Raises InvalidInputError for other datatypes or shapes than the program's."""
    if not wanted:
        return specs
    compatible = len(specs) == len(wanted) and all(
        a.datatype == b.datatype and a.shape[1:] == b.shape[1:] for a, b in zip(specs, wanted, strict=True)
    )
    if not compatible:
        listed = ", ".join(f"{spec.name}={spec.datatype}{list(spec.shape)}" for spec in specs)
        raise InvalidInputError(
            f"the program takes {listed}, and --input can only name these otherwise: export it with other "
            "dynamic_shapes to free their sizes"
        )
    return tuple(
        TensorSpec(renamed.name, spec.datatype, spec.shape) for spec, renamed in zip(specs, wanted, strict=True)
    )


def _fixed_rows(specs: tuple[TensorSpec, ...]) -> int | None:
    """The number of rows that all inputs have fixed; None if it is free, or they do not agree."""
    sizes = {spec.shape[0] if spec.shape else VARIABLE for spec in specs}
    return next(iter(sizes)) if len(sizes) == 1 and VARIABLE not in sizes else None


def _explain(error: BaseException) -> str:
    return first_line(error) if str(error).strip() else explain_export_error(error)
