"""Models of tensors: what networks of all frameworks have in common, be their inputs images, tokens or numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import onnx

from onnxlet.errors import ConversionError, InvalidInputError
from onnxlet.steps import Steps, Tabular
from onnxlet.steps.image import Image
from onnxlet.steps.tokenizer import Tokenizer
from onnxlet.toolchain.convert import graph_edits
from onnxlet.toolchain.convert.networks.class_scores import ClassScores, IndependentScores
from onnxlet.toolchain.convert.networks.network import Network, ReadsPictures, ReadsTexts
from onnxlet.toolchain.convert.networks.outputs import Outputs, check_outputs, read_outputs
from onnxlet.toolchain.convert.networks.pictures import make_image_step, read_pictures
from onnxlet.toolchain.convert.networks.probing_inputs import (
    BATCHES,
    answer_far_inputs,
    find_random_inputs,
    vary_sizes,
)
from onnxlet.toolchain.convert.networks.texts import (
    answer_texts,
    random_rows_of_texts,
    read_text_columns,
    rows_of_texts,
)
from onnxlet.toolchain.convert.options import SourceOptions
from onnxlet.toolchain.convert.synthetic_rows import synthetic_tensors
from onnxlet.toolchain.convert.trained_model import Export, ModelRows, columns_to_matrix
from onnxlet.toolchain.workbench.arrays import Arrays
from onnxlet.toolchain.workbench.evaluation import name_answers, run_in_batches
from onnxlet.toolchain.workbench.pictures import picture_files
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.table import Table, count_of, lacking_columns, quoted
from onnxlet.toolchain.workbench.truth import is_one_hot
from onnxlet.values.manifest import OutputMeaning
from onnxlet.values.signature import TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensor, Tensors

GOLDEN_CANDIDATES = 16
"""Rows that are drawn to make golden cases of."""
MOST_PROTOBUF = 2**31 - 1
MATRIX = 2
ADVICE = (
    "export it in evaluation mode with float32 weights, and let no shape or value of the example inputs become a "
    "constant of the program"
)


class TensorModel:
    """A TrainedModel around a framework's network."""

    def __init__(self, network: Network, options: SourceOptions, progress: Progress) -> None:
        self._network, self._progress = network, progress
        self.framework = network.framework
        self.versions = network.versions
        self.reference = network.reference
        self.names = network.names
        others = options.outputs_are == "values" or options.task not in (None, "segmentation")
        own = () if others else network.labels
        hints = network.hints.overridden(options.outputs_are, options.task)
        self._hints = replace(hints, labels=options.labels or own)
        self._own_image = None if options.image is None else make_image_step(options.image, network.names)
        self._outputs: Outputs | None = None
        self._specs: tuple[TensorSpec, ...] = ()
        self._tabular: Tabular | None = None
        self._tokenizer: Tokenizer | None = None
        self._graph: onnx.ModelProto | None = None

    @property
    def classes(self) -> tuple[tuple[int | str, ...], ...]:
        """The class values, target by target, once `predict` has seen what the outputs are."""
        return self._scores.classes if self._scores else ()

    @property
    def labels(self) -> tuple[tuple[str, ...], ...]:
        """The classes' names, target by target."""
        return self._scores.labels if self._scores else ()

    @property
    def target_names(self) -> tuple[str, ...]:
        """The names of several targets, which are a network's labels of which each is told by itself."""
        return self._scores.names if isinstance(self._scores, IndependentScores) else ()

    @property
    def outputs(self) -> OutputMeaning | None:
        """What the outputs are."""
        return self._outputs.meaning if self._outputs else None

    @property
    def doubled_link(self) -> str:
        """What shows that scores went through a sigmoid or softmax twice; empty if nothing does."""
        return self._outputs.doubled_link if self._outputs else ""

    def read_rows(self, table: Table | None, targets: Sequence[str], *, seed: int) -> ModelRows:
        """The rows that the data holds: texts, or columns for inputs that are rows of numbers; random ones without.

        Raises InvalidInputError where the inputs are neither, or are not known without data.
        """
        if table is None:
            self._specs = self._network.input_specs(None)
            if isinstance(self._network, ReadsTexts) and self._network.tokenizer is not None:
                return self._take_texts(self._network.tokenizer, random_rows_of_texts(self._network, seed=seed))
            inputs = find_random_inputs(self._network, self._specs, seed=seed)
            return ModelRows(inputs, "random", vary_sizes(self._network, self._specs, inputs, seed=seed))
        for target in targets:
            table.column(target)
        numbers = [table.numbers(name) for name in targets if table.is_numeric(name)]
        one_hot = len(numbers) == len(targets) > 1 and is_one_hot(np.stack(numbers, axis=1))
        self._expect_targets([(table.rows,)] * (1 if one_hot else len(targets)))
        if self._own_image is not None:
            return self._rows_of_tensors(read_pictures(self._own_image, picture_files(table, targets)), seed)
        if isinstance(self._network, ReadsPictures):
            return self._rows_of_tensors(self._network.read_pictures(picture_files(table, targets)), seed)
        if isinstance(self._network, ReadsTexts):
            if self._network.tokenizer is None:
                raise InvalidInputError(
                    "the model has no tokenizer that texts could be read by: give it one, or token ids in a .npz file"
                )
            self._specs = self._network.input_specs(None)
            rows = rows_of_texts(self._network, read_text_columns(table, targets), seed=seed)
            return self._take_texts(self._network.tokenizer, rows)
        return self._columns(table, [name for name in table.columns if name not in targets])

    def read_arrays(self, arrays: Arrays, targets: Sequence[str], *, seed: int) -> ModelRows:
        """The rows in the arrays, one for each input. Raises InvalidInputError where one is missing or does not fit."""
        truths = [arrays.array(target) for target in targets]
        self._expect_targets([truth.shape for truth in truths], one_hot=len(truths) == 1 and is_one_hot(truths[0]))
        self._hints = replace(self._hints, numbers=any(map(_holds_fractions, truths)))
        missing = [name for name in self._network.names if name not in arrays.columns]
        if missing:
            raise InvalidInputError(
                f"{arrays.name!r} lacks arrays for the inputs {quoted(missing)}; it has {quoted(arrays.columns)}",
                missing=missing,
            )
        if isinstance(self._network, ReadsTexts) and self._network.tokenizer is not None:
            self._progress("the data hold token ids, so the version takes these and no texts: give a column of texts")
        return self._rows_of_tensors({name: arrays.columns[name] for name in self._network.names}, seed)

    def predict(self, rows: ModelRows) -> Tensors:
        """The network's own answers, by the names of the graph's outputs.

        The first ones tell what the outputs are. Raises InvalidInputError where they leave it open, and where later
        ones contradict that.
        """
        if isinstance(self._network, ReadsTexts) and self._tokenizer is not None:
            outputs = answer_texts(self._network, rows.columns, self._tokenizer.most_rows())
        else:
            outputs = run_in_batches(self._network.run, self._inputs(rows))
        if self._outputs is None:
            self._outputs = read_outputs(outputs, self._hints)
            if self._hints.are is None:
                for answers in answer_far_inputs(self._network, self._example(rows)):
                    check_outputs(answers, self._outputs)
        check_outputs(outputs, self._outputs)
        return self._scores.label_and_probabilities(outputs) if self._scores else name_answers(Steps(), outputs)

    def export(self, rows: ModelRows, labels: Sequence[tuple[str, ...]]) -> Iterator[Export]:
        """The graph, as the framework's exporter writes it, and the label if there are classes."""
        del rows, labels
        model = onnx.ModelProto()
        model.CopyFrom(self._export_graph())
        if self._scores is not None:
            self._scores.append(model.graph)
        if model.ByteSize() > MOST_PROTOBUF:
            raise ConversionError(
                f"the graph has {model.ByteSize()} bytes, more than the 2 GB that an ONNX file may have: convert a "
                "smaller model, or one with float16 weights"
            )
        yield Export(
            variant="the exporter's form",
            graph=model.SerializeToString(),
            tabular=self._tabular,
            classifications=self._scores.classification_steps() if self._scores else (),
            opset=graph_edits.opsets(model),
            assets=self._network.assets,
            image=self._image,
            tokenizer=self._tokenizer,
            token_ids=self._network.token_ids if isinstance(self._network, ReadsTexts) else None,
            advice=ADVICE,
        )

    @property
    def _image(self) -> Image | None:
        """The step that the caller describes, else the network's own."""
        return self._own_image or (self._network.image if isinstance(self._network, ReadsPictures) else None)

    @property
    def _scores(self) -> ClassScores | None:
        return self._outputs.scores if self._outputs else None

    def _take_texts(self, step: Tokenizer, rows: ModelRows) -> ModelRows:
        """Let the version read texts by the columns of these rows."""
        self._tokenizer = msgspec.structs.replace(step, columns=tuple(rows.columns))
        return rows

    def _expect_targets(self, shapes: Sequence[tuple[int, ...]], *, one_hot: bool = False) -> None:
        """Keep what the targets tell of the outputs: whether each label has one, or each position."""
        if shapes:
            wide = len(shapes[0]) == MATRIX and shapes[0][1] > 1 and not one_hot
            self._hints = replace(self._hints, truth=shapes[0], by_label=len(shapes) > 1 or wide)

    def _export_graph(self) -> onnx.ModelProto:
        if self._graph is None:
            self._progress(f"exporting the {self.framework} model")
            self._graph = self._network.export_graph()
        return self._graph

    def _inputs(self, rows: ModelRows) -> Tensors:
        if self._tabular is None:
            return rows.columns
        return self._tabular.preprocessor(self._specs)(rows.served(self._tabular))

    def _example(self, rows: ModelRows) -> Tensors:
        """Inputs of the shapes that rows have, or might have."""
        if self._tokenizer is None:
            return self._inputs(rows)
        return find_random_inputs(self._network, self._specs, seed=0)

    def _rows_of_tensors(self, tensors: Tensors, seed: int) -> ModelRows:
        self._specs = specs = self._network.input_specs(tensors)
        inputs = {spec.name: _fit_to_spec(spec, tensors[spec.name]) for spec in specs}
        if any(tensor.dtype.kind != "f" for tensor in inputs.values()):
            # a number between two token ids is another word: their statistics mean nothing
            shapes = {name: (GOLDEN_CANDIDATES, *tensor.shape[1:]) for name, tensor in inputs.items()}
            golden_candidates = ModelRows(self._network.random_inputs(shapes, seed=seed), "random")
        else:
            golden_candidates = ModelRows(synthetic_tensors(inputs, GOLDEN_CANDIDATES, seed=seed), "synthetic")
        variations = vary_sizes(self._network, specs, inputs, seed=seed)
        return ModelRows(inputs, variations=variations, golden_candidates=golden_candidates)

    def _columns(self, table: Table, columns: list[str]) -> ModelRows:
        """The rows of columns that fill one matrix, or that are inputs of their own names."""
        rows = (
            self._matrix_of_columns(table, columns) if len(self._network.names) == 1 else self._column_per_input(table)
        )
        for spec in self._specs:
            _check_rows(spec, rows.count)
        variations = tuple(rows.take(np.arange(count)) for count in BATCHES if count < rows.count)
        return ModelRows(rows.columns, variations=variations, booleans=rows.booleans)

    def _matrix_of_columns(self, table: Table, columns: list[str]) -> ModelRows:
        names = [name for name in columns if table.holds_numbers(name)]
        texts = [name for name in columns if name not in names]
        if not names:
            raise InvalidInputError(f"{table.name!r} has no column of numbers besides the target")
        if texts:
            # with a target in it the first line is a header
            named = quoted(texts) if len(columns) < len(table.columns) else count_of(len(texts), "column")
            self._progress(f"leaving out {named}: texts are no inputs of this model")
        rows = ModelRows({name: table.numbers(name) for name in names}, booleans=table.booleans(names))
        example = {self._network.names[0]: columns_to_matrix(rows.columns).astype(np.float32)}
        self._specs = (spec,) = self._network.input_specs(example)
        if len(spec.shape) != MATRIX or spec.shape[1] not in (VARIABLE, len(names)):
            raise InvalidInputError(
                f"the input {spec.name!r} has the shape {list(spec.shape)}, which {len(names)} columns do not fill: "
                "leave out those that are no inputs, name the target with --target, or give --data a .npz file with "
                "an array of this name"
            )
        self._tabular = Tabular(tuple(rows.column(name, spec.datatype) for name in names), spec.name)
        return rows

    def _column_per_input(self, table: Table) -> ModelRows:
        network = self._network
        missing = [name for name in network.names if name not in table.columns]
        if missing:
            raise lacking_columns(table, missing, network.names)
        example = {name: table.tensor(name, "FP32" if table.holds_numbers(name) else "BYTES") for name in network.names}
        self._specs = network.input_specs(example)
        if any(spec.shape[1:] not in ((), (1,)) for spec in self._specs):
            raise InvalidInputError("several inputs of more than one number each: give --data a .npz file")
        texts = {spec.name for spec in self._specs if spec.type.kind == "s"}
        rows = ModelRows(
            {name: table.tensor(name, "BYTES" if name in texts else "FP64") for name in network.names},
            booleans=table.booleans(set(network.names) - texts),
        )
        self._tabular = Tabular(tuple(rows.column(spec.name, spec.datatype) for spec in self._specs))
        return rows


def _holds_fractions(truth: Tensor) -> bool:
    return truth.dtype.kind == "f" and not bool((truth == np.floor(truth)).all())


def _check_rows(spec: TensorSpec, rows: int) -> None:
    if not spec.batched:
        raise InvalidInputError(
            f"the input {spec.name!r} has the shape {list(spec.shape)}, which does not take the {rows} rows of the "
            "data: export the model with a free first dimension, which takes any number",
            input=spec.name,
        )


def _fit_to_spec(spec: TensorSpec, tensor: Tensor) -> Tensor:
    """The array with the input's datatype. Raises InvalidInputError for another shape, or values it cannot hold."""
    if tensor.shape[:1] != spec.shape[:1]:
        _check_rows(spec, len(tensor))
    if len(tensor.shape) != len(spec.shape) or any(
        VARIABLE != wanted != size for wanted, size in zip(spec.shape, tensor.shape, strict=True)
    ):
        raise InvalidInputError(
            f"the array {spec.name!r} has the shape {list(tensor.shape)}, the input wants {list(spec.shape)}",
            array=spec.name,
        )
    dtype = spec.type.numpy
    if spec.type.kind == "s" or tensor.dtype.kind in "OU":
        if spec.type.kind != "s" or tensor.dtype.kind not in "OU":
            raise InvalidInputError(f"the array {spec.name!r} does not hold what {spec.datatype} is", array=spec.name)
        return tensor.astype(object)
    values = tensor.astype(dtype)
    if spec.type.kind != "f" and not np.array_equal(values, tensor):
        raise InvalidInputError(f"the array {spec.name!r} holds numbers that {spec.datatype} cannot", array=spec.name)
    return values
