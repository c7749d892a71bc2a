"""Offline optimization: what ONNX Runtime does to a graph at each load, done once and saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onnxlet.errors import RejectedModelError
from onnxlet.serving.engine import FOREIGN

if TYPE_CHECKING:
    import onnx

DATA_SUFFIX = ".data"
SMALLEST_APART = 1024
"""Weights of at least so many bytes go into the external file."""


def save_frozen(source: Path, destination: Path, *, weights_apart: bool) -> None:
    """Save the graph without the inputs whose values the file holds: these are constants then, and fold like others."""
    import onnx

    from onnxlet.toolchain.workbench.inspection import CONSTANT_WEIGHTS, names_of_weights

    model = onnx.load(source)
    weights = names_of_weights(model.graph)
    kept = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, CONSTANT_WEIGHTS)
    save_model(model, destination, weights_apart=weights_apart)


def save_model(model: onnx.ModelProto, destination: Path, *, weights_apart: bool) -> None:
    """Save the graph, with `weights_apart` its weights in one external file beside it."""
    import onnx

    onnx.save_model(model, destination, save_as_external_data=weights_apart, location=destination.name + DATA_SUFFIX)


def save_optimized(source: Path, destination: Path, *, weights_apart: bool, optimize: bool) -> None:
    """Save the graph as ONNX Runtime optimizes it for any CPU, or unchanged without `optimize`.

    With `weights_apart` the weights go into one external file beside it. The level is ENABLE_EXTENDED, for ENABLE_ALL
    would tie the file to this machine's instructions. Raises RejectedModelError for a graph that is not accepted.
    """
    import onnxruntime  # after the engine, which silences its telemetry

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED if optimize else levels.ORT_DISABLE_ALL
    options.optimized_model_filepath = str(destination)
    if weights_apart:
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", destination.name + DATA_SUFFIX
        )
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_min_size_in_bytes", str(SMALLEST_APART)
        )
    try:
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except FOREIGN as error:
        raise RejectedModelError(f"ONNX Runtime does not optimize this graph: {error}") from error
