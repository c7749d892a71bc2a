"""PyTorch: exported programs (`.pt2`), modules that a factory makes with weights from a file, modules in memory.

The first two need trust. A factory is imported, which runs its code. An exported program is read by
torch.export.load, which unpickles constants and example inputs (with weights_only=False), and evaluates the texts of
its symbolic shapes.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path
from typing import Any

from onnxlet.errors import ConversionError, InvalidInputError, TrustRequiredError
from onnxlet.toolchain.convert.networks.tensor_model import TensorModel
from onnxlet.toolchain.convert.options import SourceOptions
from onnxlet.toolchain.workbench.extras import require
from onnxlet.toolchain.workbench.progress import Progress


def open_model(path: Path, *, trust: bool, progress: Progress, options: SourceOptions) -> TensorModel:
    """The program in a file, or the module that a factory makes, `package.module:factory`.

    Raises TrustRequiredError, ConversionError for what cannot be read or made, MissingExtraError.
    """
    if path.suffix in (".pt", ".pth") and path.is_file():
        raise ConversionError(_advise_on_older_file(path))
    program = path.suffix == ".pt2"
    if not trust:
        raise TrustRequiredError(
            f"{path.name!r} is an exported program, and torch.export.load unpickles parts of it, which runs the code "
            "in them: pass --trust if you know who made it"
            if program
            else f"{str(path)!r} is code, and importing it runs it: pass --trust if you know who wrote it",
            path=str(path),
        )
    require("torch", "torch", "onnxscript", "safetensors")
    if program:
        from onnxlet.toolchain.convert.torch.exported_program import ProgramNetwork

        if options.weights is not None:
            raise InvalidInputError(f"{path.name!r} holds its weights: leave --weights out")
        return TensorModel(ProgramNetwork(path, options, progress), options, progress)
    from onnxlet.toolchain.convert.torch.module import make_network

    return TensorModel(make_network(str(path), options, progress), options, progress)


def open_object(model: Any, *, progress: Progress, options: SourceOptions) -> TensorModel:
    """A module in memory. Raises ConversionError for what does not say what it takes, MissingExtraError."""
    require("torch", "torch", "onnxscript", "safetensors")
    from onnxlet.toolchain.convert.torch.module import copy_network

    if options.weights is not None:
        raise InvalidInputError(f"the {type(model).__name__} has its weights: leave weights out")
    return TensorModel(copy_network(model, options, progress), options, progress)


def _advise_on_older_file(path: Path) -> str:
    """What to do with a file of PyTorch's older kinds."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            scripted = any(re.search(r"/code/.*\.py$", name) for name in archive.namelist())
        if scripted:
            return (
                f"{path.name!r} is a TorchScript archive, which PyTorch no longer exports well: export the module "
                "that it was made of with torch.export.export, and torch.export.save to a .pt2 file"
            )
    return (
        f"{path.name!r} holds weights, or a module that only its own code can read: convert package.module:factory "
        f"with --weights {path.name}, or save the module with torch.export.save to a .pt2 file"
    )
