"""What the registry's tests publish: versions whose graphs are a few bytes, for a registry never opens them."""

from __future__ import annotations

from pathlib import Path

from onnxlet.registry.registry import Registry
from onnxlet.values.aliases import Alias
from onnxlet.values.manifest import Draft, Manifest, Provenance
from onnxlet.values.signature import Signature, TensorSpec

ROWS = TensorSpec("rows", "FP32", (-1, 3))
SIGNATURE = Signature((ROWS,), (TensorSpec("prediction", "FP32", (-1, 1)),))
DRAFT = Draft(graph=SIGNATURE, signature=SIGNATURE, provenance=Provenance("onnx", {"ai.onnx": 21}))


def publish(registry: Registry, folder: Path, model: str = "m", graph: bytes = b"graph") -> Manifest:
    """Publish a version with one artifact."""
    file = folder / "model.onnx"
    if not file.exists() or file.read_bytes() != graph:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_bytes(graph)
    return registry.publish(model, DRAFT, {"model.onnx": file})


def routed(alias: Alias) -> list[int]:
    """The versions that an alias routes to."""
    return [route.version for route in alias.routes]
