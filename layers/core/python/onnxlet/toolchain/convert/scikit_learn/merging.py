"""Merge the graphs of several targets into one, in which nodes and weights that they share stand once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import onnx

from onnxlet.toolchain.convert.graph_edits import rename_inputs


def merge_models(models: Sequence[onnx.ModelProto]) -> onnx.ModelProto:
    """Return one model with the outputs of all `models`, whose inputs are the same and whose outputs differ in name."""
    merger = _Merger(models)
    for index, model in enumerate(models):
        merger.add(model, f"_{index}")
    return merger.merged


class _Merger:
    """A model that grows by what each further model does not share with it.

    A node or a weight is known by the digest of what it is without its own name; a node's inputs have their new names
    by then, so that equal nodes with equal inputs are one.
    """

    def __init__(self, models: Sequence[onnx.ModelProto]) -> None:
        self._public = {value.name for model in models for value in (*model.graph.input, *model.graph.output)}
        self._names_by_digest: dict[bytes, list[str]] = {}
        self.merged = onnx.ModelProto()
        self.merged.CopyFrom(models[0])
        graph = self.merged.graph
        for parts in (graph.node, graph.initializer, graph.output, graph.value_info):
            del parts[:]

    def add(self, model: onnx.ModelProto, suffix: str) -> None:
        """Add a model; what gets a new name gets it with this suffix."""
        names = self._add_weights(model.graph, suffix)
        self._add_nodes(model.graph, names, suffix)
        self.merged.graph.output.extend(model.graph.output)
        imported = {entry.domain for entry in self.merged.opset_import}
        self.merged.opset_import.extend(entry for entry in model.opset_import if entry.domain not in imported)

    def _add_weights(self, graph: onnx.GraphProto, suffix: str) -> dict[str, str]:
        """Add the weights, and return the names that they have in the merged graph, by their own."""
        names: dict[str, str] = {}
        for weight in graph.initializer:
            unnamed = onnx.TensorProto()
            unnamed.CopyFrom(weight)
            unnamed.ClearField("name")
            (name,), is_new = self._merged_names(unnamed, [weight.name], suffix)
            names[weight.name] = unnamed.name = name
            if is_new:
                self.merged.graph.initializer.append(unnamed)
        return names

    def _add_nodes(self, graph: onnx.GraphProto, names: dict[str, str], suffix: str) -> None:
        for node in graph.node:
            unnamed = onnx.NodeProto()
            unnamed.CopyFrom(node)
            rename_inputs(unnamed, names)
            for field in ("name", "output"):
                unnamed.ClearField(field)
            outputs, is_new = self._merged_names(unnamed, list(node.output), suffix)
            names.update(zip(node.output, outputs, strict=True))
            if is_new:
                unnamed.name = f"{node.name}{suffix}" if node.name else ""
                unnamed.output.extend(outputs)
                self.merged.graph.node.append(unnamed)

    def _merged_names(
        self, unnamed: onnx.TensorProto | onnx.NodeProto, names: list[str], suffix: str
    ) -> tuple[list[str], bool]:
        """What a node's outputs, or a weight, are called in the merged graph, and whether they are new there."""
        if not self._public.isdisjoint(names):
            return [name if name in self._public else self._free(name, suffix) for name in names], True
        digest = hashlib.sha256(unnamed.SerializeToString(deterministic=True)).digest()
        if digest in self._names_by_digest:
            return self._names_by_digest[digest], False
        self._names_by_digest[digest] = [self._free(name, suffix) for name in names]
        return self._names_by_digest[digest], True

    def _free(self, name: str, suffix: str) -> str:
        """The name with the suffix, lengthened until no input or output has it; an empty name stays empty."""
        name = f"{name}{suffix}" if name else name
        while name in self._public:
            name += "_"
        return name
