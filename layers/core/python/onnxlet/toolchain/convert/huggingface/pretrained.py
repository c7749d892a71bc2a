"""Pretrained models: a configuration and weights as transformers saves them, read without running their code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig
from transformers.utils import logging

from onnxlet.errors import ConversionError
from onnxlet.toolchain.convert.networks.model_errors import MODEL_ERRORS
from onnxlet.toolchain.convert.torch.exporter import arrays_of, silence_torch
from onnxlet.toolchain.workbench.error_text import first_line
from onnxlet.toolchain.workbench.privacy import without_values
from onnxlet.toolchain.workbench.refusals import refused
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.values.tensors import Tensors

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_UNNAMED = re.compile(r"LABEL_\d+")


def read_config(directory: Path) -> Any:
    """The configuration of a model with weights in safetensors. Raises ConversionError."""
    if not any((directory / name).is_file() for name in _WEIGHTS):
        raise ConversionError(
            f"{directory.name!r} has no model.safetensors, and pickled weights are not read: load it with transformers "
            "and save it with save_pretrained",
            path=str(directory),
        )
    logging.disable_progress_bar()
    try:
        with silence_torch():
            return AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except MODEL_ERRORS as error:
        raise _unreadable(directory, error) from error


def load_pretrained(model_class: Any, directory: Path, config: Any) -> tuple[Any, list[str]]:
    """The model in single precision, and the names of weights that the files do not have. Raises ConversionError."""
    try:
        with silence_torch():
            model, loading_info = model_class.from_pretrained(
                directory,
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                dtype=torch.float32,
                attn_implementation="eager",
            )
    except MODEL_ERRORS as error:
        raise _unreadable(directory, error) from error
    lacking = (*loading_info["missing_keys"], *loading_info.get("mismatched_keys", ()))
    return model, sorted(map(str, lacking))


def missing_weights(lacking: list[str], *, pooler: bool) -> list[str]:
    """Those of the pooler, or the others."""
    return [name for name in lacking if ("pooler." in name) is pooler]


def check_weights(name: str, lacking: list[str]) -> None:
    """Raise ConversionError if weights are missing."""
    if lacking:
        raise ConversionError(
            f"the weights in {name!r} lack {quoted(lacking)}, for which transformers would take random numbers: save "
            "the whole model with save_pretrained",
            missing=lacking,
        )


def labels_of(config: Any) -> tuple[str, ...]:
    """The classes' names, if the model was given any."""
    label_of = getattr(config, "id2label", None) or {}
    labels = tuple(str(label_of[key]) for key in sorted(label_of))
    if getattr(config, "problem_type", None) == "regression" or len(labels) < 2:  # noqa: PLR2004
        return ()
    return () if all(_UNNAMED.fullmatch(label) for label in labels) else labels


def run_module(module: Any, inputs: Tensors, refusal: str) -> Tensors:
    """A module's answers by name. Raises InvalidInputError, which begins with `refusal`, where it fails."""
    tensors: Mapping[str, Any] = {
        name: torch.from_numpy(np.ascontiguousarray(tensor)) for name, tensor in inputs.items()
    }
    try:
        with torch.no_grad(), silence_torch():
            return arrays_of(module(**tensors))
    except MODEL_ERRORS as error:
        raise refused(refusal, first_line(error), inputs) from without_values(error)


def _unreadable(directory: Path, error: BaseException) -> ConversionError:
    return ConversionError(f"transformers cannot read {directory.name!r}: {first_line(error)}", path=str(directory))
