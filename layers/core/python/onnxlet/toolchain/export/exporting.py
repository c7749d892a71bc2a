"""One export: write a SavedModel, load it, compare its answers with the version's, and move it to its place."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from onnxlet.errors import ConversionError, ExecutionError, InvalidInputError, RejectedModelError
from onnxlet.serving.engine import Engine, load_engine
from onnxlet.serving.golden import decode_cases
from onnxlet.serving.model import Model
from onnxlet.steps import decode_steps
from onnxlet.toolchain.export import saved_model
from onnxlet.toolchain.export.steps import as_sent, leave_readers
from onnxlet.toolchain.workbench.comparison import Comparison, accept_tied_labels, compare
from onnxlet.toolchain.workbench.progress import Progress
from onnxlet.toolchain.workbench.random_inputs import draw_inputs, has_values, random_inputs
from onnxlet.toolchain.workbench.table import quoted
from onnxlet.values.keys import GRAPH
from onnxlet.values.manifest import Manifest, Tolerance
from onnxlet.values.tensors import Tensors

RUN_DEADLINE = 60.0
SIZES = (1, 7)
"""Rows of the random inputs."""


class SavedModelExport:
    """A published version, its artifacts, and whom to tell of progress."""

    def __init__(self, manifest: Manifest, artifacts: Path, progress: Progress) -> None:
        self._manifest, left = leave_readers(manifest)
        self._artifacts, self._progress = artifacts, progress
        if left:
            progress(
                f"leaving the steps of kind {quoted(left)} behind: the SavedModel takes the tensors that they make"
            )
        self._tolerance = manifest.golden.tolerance if manifest.golden else Tolerance()

    def write(self, directory: Path) -> tuple[Path, Comparison]:
        """Write it below `directory`. Raises as export_saved_model does."""
        manifest = self._manifest
        place = directory / manifest.model / str(manifest.version)
        with _replace_directory(place) as folder:
            self._progress(f"translating {manifest.model}:{manifest.version} to TensorFlow")
            served = saved_model.write(manifest, self._artifacts / GRAPH, folder)
            self._progress("comparing the SavedModel with ONNX Runtime")
            comparison = self._compare_answers(saved_model.ReloadedModel(folder, served))
        return place, comparison

    def _compare_answers(self, reloaded: saved_model.ReloadedModel) -> Comparison:
        """Raises ConversionError if an answer differs by more than the version's tolerance."""
        engine = load_engine(
            self._artifacts / GRAPH,
            threads=1,
            optimized=self._manifest.offline_optimized,
            run_deadline=RUN_DEADLINE,
        )
        model = Model(self._manifest, engine)
        comparisons: list[Comparison] = []
        for signature, inputs in self._test_inputs(model, engine):
            try:
                expected = model.predict(inputs, signature)
            except InvalidInputError:
                # a step refuses what was drawn
                continue
            comparison = self._compare(expected, reloaded.run(signature, inputs))
            if not comparison.within_tolerance:
                rows = len(next(iter(inputs.values())))
                raise ConversionError(
                    f"the SavedModel does not answer as the version does: on {rows} rows of {signature!r} "
                    f"{comparison}; nothing was written"
                )
            if any(has_values(tensor) for tensor in expected.values()):
                comparisons.append(comparison)
        if not comparisons:
            raise ConversionError(
                "there is nothing to compare on: the version has no golden cases, and answers random inputs with "
                "nothing but NaN; publish it with golden cases, which `onnxlet convert --data` makes"
            )
        return max(comparisons, key=lambda one: one.largest_distance)

    def _compare(self, expected: Tensors, got: Tensors) -> Comparison:
        for name, tensor in expected.items():
            if got[name].shape != tensor.shape or got[name].dtype != tensor.dtype:
                raise ConversionError(
                    f"output {name!r} of the SavedModel is {got[name].dtype} {list(got[name].shape)}, the version's is "
                    f"{tensor.dtype} {list(tensor.shape)}; nothing was written"
                )
        names = [step.names for step in decode_steps(self._manifest.steps).targets]
        got = accept_tied_labels(expected, got, names, margin=2 * self._tolerance.absolute)
        return compare(expected, got, self._tolerance)

    def _test_inputs(self, model: Model, engine: Engine) -> Iterator[tuple[str, Tensors]]:
        """Inputs to compare on, by signature: each golden case's, and random ones of several sizes."""
        for inputs in self._graph_inputs(engine):
            for name in model.signatures:
                yield name, as_sent(model.steps, name, self._manifest.graph, inputs)

    def _graph_inputs(self, engine: Engine) -> Iterator[Tensors]:
        if self._manifest.golden is not None:
            for case in decode_cases((self._artifacts / self._manifest.golden.path).read_bytes()):
                yield case.inputs
        for seed, rows in enumerate(SIZES):
            with suppress(RejectedModelError):
                yield random_inputs(engine, seed=seed, rows=rows)
        if any(spec.type.kind == "i" for spec in engine.signature.inputs):
            # a mask takes nothing but 0 and 1
            inputs = draw_inputs(engine.signature, rows=SIZES[-1], size=8, integers=2, seed=0)
            with suppress(ExecutionError, InvalidInputError):
                engine.run(inputs)
                yield inputs


@contextmanager
def _replace_directory(place: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `place` once the block ends well; an earlier export there is replaced.

    Raises InvalidInputError if something stands there that is none.
    """
    if place.exists() and not (place / saved_model.FILE).is_file() and (not place.is_dir() or any(place.iterdir())):
        raise InvalidInputError(f"{str(place)!r} exists and is no SavedModel: choose another directory")
    created = [folder for folder in (place.parent, *place.parent.parents) if not folder.exists()]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # TensorFlow Serving takes folders of digits alone for versions
        work = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))
    except OSError as error:
        raise InvalidInputError(f"nothing can be written to {str(place.parent)!r}: {error.strerror}") from error
    try:
        work.chmod(0o755)
        yield work / "new"
        if place.exists():
            place.rename(work / "old")
        (work / "new").rename(place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if not place.exists():
            for folder in created:
                _remove_empty(folder)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return
