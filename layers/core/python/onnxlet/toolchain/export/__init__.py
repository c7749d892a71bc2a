"""Export a version to other servers: as a SavedModel in TensorFlow Serving's own layout, proven to answer alike.

The graph is translated operator by operator, with its layouts as they are, and the steps around it come along: the
signatures' names, datatypes and shapes are those that the version's own clients see.
"""

from __future__ import annotations

from pathlib import Path

from onnxlet.toolchain.workbench.comparison import Comparison
from onnxlet.toolchain.workbench.progress import Progress, silent
from onnxlet.values.manifest import Manifest


def export_saved_model(
    manifest: Manifest, artifacts: Path, directory: Path, *, on_progress: Progress | None = None
) -> tuple[Path, Comparison]:
    """Write a version, whose files lie in `artifacts`, to `directory`/NAME/VERSION/saved_model.pb.

    Returns where it was written and how far its answers are from ONNX Runtime's. Raises ConversionError where
    TensorFlow cannot compute the graph or answers otherwise, InvalidInputError if something else stands there or the
    disk does not take it, MissingExtraError. Nothing half-written is left.
    """
    from onnxlet.toolchain.workbench.tensorflow import load_tensorflow

    progress = on_progress or silent
    progress("starting TensorFlow")
    load_tensorflow()
    from onnxlet.toolchain.export.exporting import SavedModelExport

    return SavedModelExport(manifest, artifacts, progress).write(directory)
