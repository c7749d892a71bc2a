"""The table of a version's trees: made of the graph that is published, and held against what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO

import msgspec
import numpy as np

from onnxlet.errors import OnnxletError
from onnxlet.explain.document import read_document
from onnxlet.explain.trees.ensemble import Ensemble, save_ensemble
from onnxlet.explain.trees.levels import answers_to, arrange
from onnxlet.explain.trees.links import LINKS
from onnxlet.explain.trees.method import TreesTable
from onnxlet.serving.engine import load_engine
from onnxlet.toolchain.prepare.inside import RUN_SECONDS, graph_inputs, run_inside, served_numbers
from onnxlet.toolchain.prepare.tables import Built, Published
from onnxlet.toolchain.prepare.trees.margins import fold_following
from onnxlet.toolchain.prepare.trees.nodes import KINDS, read_trees
from onnxlet.toolchain.prepare.trees.unreadable import UnreadableTreesError
from onnxlet.toolchain.workbench.owners import Owned, cut, input_owners, trace_owners
from onnxlet.toolchain.workbench.random_inputs import random_inputs
from onnxlet.values.tensors import Tensor, Tensors

TABLES, FRONT = "explain.trees.npz", "explain.trees.front.onnx"
MOST_BYTES = 50 * 2**20
"""Bytes of the tables of a version. Larger forests are explained by samples."""
RANDOM_ROWS = 32
"""Rows that hold the tables against a graph of which nothing else is known."""
_AGREEMENT = 1e-4
"""How far, with its size, what follows from the tables may be from what the graph answers, in single precision."""
_OF_ONE_OUTPUT = ("complement", "logistic")
"""Links that make two classes of one output."""


def build(published: Published) -> Built | str | None:
    """The table; None for a graph without trees, and a reason for trees that none is made of."""
    if not any(node.op_type in KINDS for node in published.model.graph.node):
        return None
    try:
        return _build(published)
    except UnreadableTreesError as error:
        return f"its trees cannot be explained exactly, only by samples: {error}"


def _build(published: Published) -> Built:
    """Raises UnreadableTreesError."""
    model = published.model
    nodes = [node for node in model.graph.node if node.op_type in KINDS]
    if len(nodes) > 1:
        raise UnreadableTreesError("the graph has several ensembles of trees")
    [node] = nodes
    features = node.input[0]
    inputs, served, values = _try(published)
    matrix = values[features]
    if matrix.dtype not in (np.float32, np.float64):
        raise UnreadableTreesError("they do not read numbers of single or double precision")
    owners = trace_owners(model, input_owners(published.steps, published.draft.graph), values).get(features)
    if owners is None:
        raise UnreadableTreesError("what stands in front of them makes one column of several, as a PCA does")
    ensemble = fold_following(model.graph, node, read_trees(node, matrix.dtype))
    if ensemble.nbytes > MOST_BYTES:
        raise UnreadableTreesError(f"their tables would take {ensemble.nbytes >> 20} MB, more than {MOST_BYTES >> 20}")
    if ensemble.columns.max() >= len(owners):
        raise UnreadableTreesError("a split reads a column that does not exist")
    links = _find_links(_raw_outputs(ensemble, matrix), served)
    file = BytesIO()
    save_ensemble(file, ensemble)
    artifacts = {TABLES: file.getvalue()}
    if features not in inputs:
        artifacts[FRONT] = cut(model, [features]).SerializeToString()
    table = TreesTable(
        artifact=TABLES,
        input=features,
        players=_merged(published, owners),
        links=links,
        front=FRONT if FRONT in artifacts else None,
    )
    return Built(msgspec.to_builtins(table), artifacts)


def _try(published: Published) -> tuple[Tensors, Tensors, Tensors]:
    """Inputs of the graph, what is served for them, and what is inside. Raises UnreadableTreesError."""
    try:
        inputs = _known_inputs(published)
        names = [name for node in published.model.graph.node for name in node.input if name and name not in inputs]
        made = {name for node in published.model.graph.node for name in node.output}
        wanted = [name for name in dict.fromkeys(names) if name in made]
        values = run_inside(published.model, wanted, inputs) if wanted else {}
        return inputs, served_numbers(published, inputs), values | inputs
    except OnnxletError as error:
        raise UnreadableTreesError("the graph does not answer the rows that they are held against") from error


def _known_inputs(published: Published) -> Tensors:
    if published.background is not None:
        return graph_inputs(published, published.background)
    engine = load_engine(published.path, threads=1, optimized=True, run_deadline=RUN_SECONDS)
    return random_inputs(engine, seed=0, rows=RANDOM_ROWS)


def _merged(published: Published, owners: Owned) -> Owned:
    """The players of the columns, of which the manifest may take some together."""
    players = read_document(published.draft.explanations).players
    names = {column: player.name for player in players for column in player.columns}
    return tuple(names.get(owner, owner) for owner in owners)


def _raw_outputs(ensemble: Ensemble, matrix: Tensor) -> Tensor:
    players = np.arange(matrix.shape[1])
    groups = [(target, levels) for target, trees in ensemble.groups() for levels in arrange(ensemble, trees, players)]
    return answers_to(matrix, ensemble.base, groups)


def _find_links(raw: Tensor, served: Mapping[str, Tensor]) -> dict[str, str]:
    """The link that makes each served output of the raw ones. Raises UnreadableTreesError if there is none at all."""
    found = {}
    for name, tensor in served.items():
        columns = tensor.reshape(len(tensor), -1).astype(np.float64)
        link = next((link for link in LINKS if _makes(link, raw, columns)), None)
        if link is not None:
            found[name] = link
    if not found:
        raise UnreadableTreesError("what is served follows from them in no way that is known")
    return found


def _makes(name: str, raw: Tensor, served: Tensor) -> bool:
    if name in _OF_ONE_OUTPUT and raw.shape[1] != 1:
        return False
    with np.errstate(over="ignore"):
        made = LINKS[name].served(raw)
    return made.shape == served.shape and bool((abs(made - served) <= _AGREEMENT * (1 + abs(served))).all())
