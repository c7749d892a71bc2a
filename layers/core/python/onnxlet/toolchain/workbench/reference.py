"""Reference answers: what the model itself, and the graph made of it, answered to the data when it was converted.

`reference.npz` in a converted directory holds them, so that later comparisons need neither the framework nor its file.
It is never published. It names the digest of the data that it belongs to. For models without named columns it holds the
graph's inputs as well, as only the framework may know how to make them from the data.
"""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from onnxlet.errors import InvalidInputError
from onnxlet.values.tensors import Tensor, Tensors

REFERENCE = "reference.npz"
JUDGE_REFERENCE = "judge-reference.npz"
"""The answers to rows that only judge, if there are any."""
PROBING_REFERENCE = "probing-reference.npz"
"""Rows made of what the model knows, with its answers to them."""
SOURCE = "source"
ONNX = "onnx"
LARGEST = 2**30
"""Larger answers and inputs, in bytes, are not kept."""
_INPUTS = "inputs"
_DIGEST = "data_digest"


@dataclass(frozen=True)
class Reference:
    """Answers to the rows of one file by stage, and the graph's inputs where the file does not hold them."""

    data_digest: str
    stages: Mapping[str, Tensors]
    inputs: Tensors = field(default_factory=dict)


def write_reference(directory: Path, reference: Reference, name: str = REFERENCE) -> None:
    """Write the answers into a converted directory, unless they are larger than LARGEST."""
    parts = {_INPUTS: reference.inputs, **reference.stages}
    arrays = {f"{part}/{name}": _plain(tensor) for part, tensors in parts.items() for name, tensor in tensors.items()}
    if sum(array.nbytes for array in arrays.values()) <= LARGEST:
        with (directory / name).open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **{_DIGEST: np.array(reference.data_digest)}, **arrays)


def find_reference(directory: Path, data_digest: str) -> Reference | None:
    """The answers to data of this digest; None if there are none. Raises InvalidInputError for a damaged file."""
    kept = (read_reference(directory, name) for name in (REFERENCE, JUDGE_REFERENCE))
    return next((each for each in kept if each is not None and each.data_digest == data_digest), None)


def read_reference(directory: Path, name: str = REFERENCE) -> Reference | None:
    """The answers in a converted directory; None if there are none. Raises InvalidInputError for a damaged file."""
    path = directory / name
    if not path.is_file():
        return None
    parts: dict[str, dict[str, Tensor]] = {_INPUTS: {}}
    try:
        with np.load(path, allow_pickle=False) as file:
            digest = str(file[_DIGEST])
            for key in file.files:
                part, separator, name = key.partition("/")
                if separator:
                    parts.setdefault(part, {})[name] = _objects(file[key])
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InvalidInputError(
            f"{str(path)!r} is damaged ({error}): convert the model again", path=str(path)
        ) from error
    inputs = parts.pop(_INPUTS)
    return Reference(digest, parts, inputs)


def copy_references(directory: Path, output: Path) -> None:
    """Copy the reference answers into a directory that was made from `directory`."""
    for name in (REFERENCE, JUDGE_REFERENCE, PROBING_REFERENCE):
        if (directory / name).is_file():
            shutil.copyfile(directory / name, output / name)


def _plain(tensor: Tensor) -> Tensor:
    """Texts as numpy can write them without pickling."""
    return tensor.astype(np.str_) if tensor.dtype.kind == "O" else tensor


def _objects(tensor: Tensor) -> Tensor:
    return tensor.astype(object) if tensor.dtype.kind == "U" else tensor
