"""The engine port: ONNX Runtime sessions. The one place that knows onnxruntime, its options and its exceptions.

ONNX Runtime itself refuses operators of domains it does not know, and external data that lies outside the model's
folder. A run is stopped between two nodes (also those of a loop's body); a single endless kernel cannot be. The same
holds for loading: it is cancelled between its stages.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

# ONNX Runtime's Linux wheels phone home and write below HOME unless this is set before the import
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import onnxruntime

from onnxlet.errors import DeadlineExceededError, ExecutionError, InvalidInputError, OnnxletError, RejectedModelError
from onnxlet.serving.watchdog import Watchdog
from onnxlet.values.signature import Signature, TensorSpec
from onnxlet.values.tensors import VARIABLE, Tensors, datatype_of_onnx

if TYPE_CHECKING:
    from onnxlet.serving.cancellation import Cancellation

_FATAL = 4
"""Log severity: everything below comes as an exception as well, or is noise."""

_native = onnxruntime.capi.onnxruntime_pybind11_state
FOREIGN: tuple[type[Exception], ...] = (
    # what the binding raises of its own when it converts tensors
    RuntimeError,
    ValueError,
    TypeError,
    MemoryError,
    OSError,
    *(kind for kind in vars(_native).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)
"""What the runtime raises."""


def _stop(running: object) -> None:
    if isinstance(running, onnxruntime.RunOptions):
        running.terminate = True
    elif isinstance(running, onnxruntime.SessionOptions):
        running.set_load_cancellation_flag(True)


_watchdog = Watchdog(_stop)


class Engine(Protocol):
    """A loaded graph: its own signature, the bytes it came from, and tensors in, tensors out."""

    signature: Signature
    nbytes: int
    run_deadline: float
    threads: int
    """That a run may use: with more than one of them it does not survive a fork."""

    def run(
        self,
        inputs: Tensors,
        outputs: Sequence[str] | None = None,
        due: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> Tensors:
        """Compute the named outputs, or all. Safe from several threads at once.

        `due` is when it is stopped, in `time.monotonic` seconds: `run_deadline` from now, unless more than the run
        belongs to it.
        `cancellation` ends it sooner. Raises InvalidInputError for tensors that are not those of the signature,
        ExecutionError if the model fails on them or is cancelled, DeadlineExceededError if it runs too long.
        """

    def close(self) -> None:
        """Let go of the session. Runs that are under way end well; later ones raise ExecutionError."""


class OnnxEngine:
    """An ONNX Runtime session on the CPU; each run may last `run_deadline` seconds."""

    def __init__(self, session: onnxruntime.InferenceSession, *, nbytes: int, run_deadline: float) -> None:
        self.signature = _signature_of(session)
        self.nbytes = nbytes
        self.threads: int = session.get_session_options().intra_op_num_threads
        # the wrapper's run() costs 5 us, as much as a small model itself; what it checks is checked in ours
        self._run = session._sess.run  # noqa: SLF001
        self._inputs = frozenset(spec.name for spec in self.signature.inputs)
        self._outputs = [spec.name for spec in self.signature.outputs]
        self.run_deadline = run_deadline
        self._running = _watchdog.running
        self._idle: list[onnxruntime.RunOptions] = []
        _watchdog.attend(run_deadline)

    def run(
        self,
        inputs: Tensors,
        outputs: Sequence[str] | None = None,
        due: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> Tensors:
        """Compute the named outputs, or all. Raises as Engine.run says."""
        if len(inputs) != len(self._inputs):  # the runtime refuses other names, but for weights that a run may replace
            raise self._wrong_names_error(inputs)
        names = self._outputs if outputs is None else outputs
        try:
            options = self._idle.pop()
        except IndexError:
            options = onnxruntime.RunOptions()
        if due is None:
            due = monotonic() + self.run_deadline
        self._running[options] = due
        try:
            if cancellation is not None:
                _check_in(cancellation, options)
            answers = self._run(names, inputs, options)
        except FOREIGN as error:
            raise self._translate(error, options, inputs, cancellation) from error
        finally:
            del self._running[options]
            if cancellation is not None:
                cancellation.running = None
        # it will not be stopped any more, so another run may have it
        if monotonic() < due and not (cancellation is not None and cancellation.cancelled):
            self._idle.append(options)
        outputs_by_name: Tensors = {}
        position = 0
        for name in names:  # by hand: after a run the caches are cold, and zip() alone would cost a microsecond
            outputs_by_name[name] = answers[position]
            position += 1  # noqa: SIM113 - so would enumerate()
        return outputs_by_name

    def close(self) -> None:
        """Let go of the session."""
        self._run = _closed

    def _wrong_names_error(self, inputs: Tensors) -> InvalidInputError:
        missing = sorted(self._inputs - inputs.keys())
        unknown = sorted(inputs.keys() - self._inputs)
        complaints = " and ".join(
            f"{what} {', '.join(map(repr, names))}"
            for what, names in (("lack", missing), ("have unknown", unknown))
            if names
        )
        return InvalidInputError(f"the inputs {complaints}", missing=missing, unknown=unknown)

    def _translate(
        self,
        error: Exception,
        options: onnxruntime.RunOptions,
        inputs: Tensors,
        cancellation: Cancellation | None,
    ) -> OnnxletError:
        if inputs.keys() != self._inputs:
            return self._wrong_names_error(inputs)
        reason = _reason(error)
        if cancellation is not None and cancellation.cancelled:
            return _cancelled_error()
        if options.terminate:
            return DeadlineExceededError(f"the model ran longer than {self.run_deadline:g} s and was stopped")
        if (
            isinstance(error, _native.InvalidArgument | RuntimeError | ValueError | TypeError)
            and "while running" not in reason
        ):
            return InvalidInputError(f"the model does not take these inputs: {reason}")
        if UNKNOWN_CATEGORY in reason:
            reason = "a row holds a category that the model was not fitted with, and it takes no others"
        return ExecutionError(f"the model failed on this input: {reason}")


def load_engine(
    path: str | os.PathLike[str],
    *,
    threads: int,
    optimized: bool,
    run_deadline: float,
    load_deadline: float | None = None,
    layout: bool = False,
) -> OnnxEngine:
    """Open the model file at `path` with `threads` intra-op threads.

    `optimized` graphs were optimized when they were published, so it is not done again. With `layout` the rest is,
    which is this machine's own: the weights of convolutions are laid out anew, which takes their memory once more and
    a fifth off each run. Raises RejectedModelError for a file that ONNX Runtime does not take, DeadlineExceededError
    if loading takes longer than `load_deadline` seconds.
    """
    options = _session_options(threads, optimized=optimized, layout=layout)
    if load_deadline is not None:
        _watchdog.attend(load_deadline)
        _watchdog.running[options] = monotonic() + load_deadline
    try:
        file = os.fspath(path)
        nbytes = sum(os.path.getsize(part) for part in (file, file + ".data") if os.path.exists(part))
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except _native.ModelLoadCanceled as error:
        raise DeadlineExceededError(f"the model took longer than {load_deadline:g} s to load") from error
    except FOREIGN as error:
        raise RejectedModelError(f"ONNX Runtime does not load this model: {_reason(error)}") from error
    finally:
        _watchdog.running.pop(options, None)
    return OnnxEngine(session, nbytes=nbytes, run_deadline=run_deadline)


def _session_options(threads: int, *, optimized: bool, layout: bool) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _FATAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if optimized:
        levels = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_LAYOUT if layout else levels.ORT_DISABLE_ALL
    return options


def _signature_of(session: onnxruntime.InferenceSession) -> Signature:
    return Signature(
        inputs=tuple(_spec_of(node) for node in session.get_inputs()),
        outputs=tuple(_spec_of(node) for node in session.get_outputs()),
    )


def _spec_of(node: Any) -> TensorSpec:  # noqa: ANN401 - onnxruntime's NodeArg has no types
    # symbolic dimensions come as str, unknown ones as None
    shape = tuple(size if isinstance(size, int) and size >= 0 else VARIABLE for size in node.shape)
    return TensorSpec(node.name, datatype_of_onnx(node.type).name, shape)


UNKNOWN_CATEGORY = "Unknown Category and zeros = 0"
"""How the runtime says that an encoder met what it does not know."""


def _reason(error: Exception) -> str:
    """What the runtime says, in one line, without error numbers and without folders, its own or ours."""
    import re

    message = " ".join(str(error).split())
    message = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : (Load model from .*? failed:)?", "", message)
    return re.sub(r"(?<![^\s\"'(:])/[^\s\"']*/", "", message)[:500]


def _check_in(cancellation: Cancellation, options: onnxruntime.RunOptions) -> None:
    """Let a run be cancelled from now on. Raises ExecutionError if it is already."""
    cancellation.running = options
    if cancellation.cancelled:
        raise _cancelled_error()


def _cancelled_error() -> ExecutionError:
    return ExecutionError("the run was stopped, for nobody waits for its answer")


def _closed(*_: object) -> list[Any]:
    raise ExecutionError("this engine was closed")
