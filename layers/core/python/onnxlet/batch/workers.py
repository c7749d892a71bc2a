"""Ranges scored by processes on all cores, or in turn by this one: the same bytes either way.

Each worker is forked with the table and the model, has a pipe of its own, and writes its parts itself. One after the
other they are given the place where the next range begins: whoever gets it reads the rows of the range, says where they
end, and scores while the next worker reads on. A worker that is killed is replaced, and what it had not written is done
again.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any, NamedTuple

from onnxlet.batch.assembling import Offsets
from onnxlet.batch.formats.ports import Place
from onnxlet.batch.parts import Part, PartBytes, RangeScorer
from onnxlet.errors import InvalidInputError, OnnxletError, UnavailableError

if TYPE_CHECKING:
    from onnxlet.batch.assembling import Assembly, Files

TRIES = 5
"""How often a range is begun by workers that are killed, until it is their fault no more."""
HELD = 2
"""Ranges that a worker has begun and not yet written, at most."""


class Watch(NamedTuple):
    """What the parent does besides: `on_part` with each part, in order, once it is written; `on_idle` while the workers
    work, a few milliseconds at a time, until it says that there is nothing to be done.
    """

    on_part: Callable[[Part], None]
    on_idle: Callable[[], bool]


_FORK = multiprocessing.get_context("fork")


class Cut(NamedTuple):
    """From a worker: where its range ends."""

    end: Place


class Placed(NamedTuple):
    """To a worker: where the bytes of its range that begins at `start` belong. And back, once they are there."""

    start: Place
    offsets: Offsets


Question = Place | Placed
"""What a worker is told: where a range begins, or where one belongs."""
Answer = Cut | Part | Placed | OnnxletError


def score_in_turn(scorer: RangeScorer, assembly: Assembly, start: Place) -> None:
    """Score all ranges from a place on in this process. Raises as `RangeScorer` does."""
    while True:
        cut = scorer.cut(start)
        if cut.end.position == start.position:
            return
        part, data = cut.score()
        assembly.files.write(assembly.place(part), data)
        assembly.close(part)
        start = cut.end


def score_by_workers(scorer: RangeScorer, assembly: Assembly, start: Place, workers: int, watch: Watch) -> None:
    """Score all ranges from a place on by so many processes.

    Raises as `RangeScorer` does, and UnavailableError if workers are killed again and again.
    """
    with _Workers(scorer, assembly.files, workers).running() as crew:
        _Schedule(crew, assembly, watch).run(start)


@dataclass(slots=True, eq=False)
class _Task:
    """A range on its way: who has it, and how far they are."""

    start: Place
    worker: _Worker | None = None
    end: Place | None = None
    part: Part | None = None
    placed: Placed | None = None
    told: bool = False
    written: bool = False
    tries: int = 0


class _Worker:
    """A process, this end of its pipe, and the ranges that it has, in order."""

    def __init__(self, process: BaseProcess, pipe: Connection) -> None:
        self.process = process
        self.pipe = pipe
        self.tasks: deque[_Task] = deque()

    @property
    def free(self) -> bool:
        """Whether it may begin another range."""
        return len(self.tasks) < HELD and all(task.part is not None for task in self.tasks)

    def begin(self, task: _Task) -> None:
        """Give it a range."""
        task.worker, task.part, task.told, task.tries = self, None, False, task.tries + 1
        self.tasks.append(task)
        self.tell(task.start)

    def tell(self, message: Question) -> None:
        """Tell it something; of one that is gone its pipe will say so."""
        with suppress(OSError):
            self.pipe.send(message)


class _Workers:
    """The processes: so many of them, whatever becomes of each."""

    def __init__(self, scorer: RangeScorer, files: Files, count: int) -> None:
        self._scorer = scorer
        self._files = files
        self._count = count
        self.all: list[_Worker] = []

    @contextmanager
    def running(self) -> Iterator[_Workers]:
        """All of them, until the end."""
        try:
            for _ in range(self._count):
                self._add()
            yield self
        finally:
            for worker in self.all:
                worker.process.kill()
                worker.pipe.close()
                worker.process.join()

    def replace(self, worker: _Worker) -> None:
        """Another one for one that is gone."""
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        self.all.remove(worker)
        self._add()

    def _add(self) -> None:
        ours, theirs = _FORK.Pipe()
        inherited = [ours, *(worker.pipe for worker in self.all)]
        process = _FORK.Process(target=_work, args=(theirs, inherited, self._scorer, self._files), daemon=True)
        with warnings.catch_warnings():
            # nothing that a worker does needs another thread of this process, or a lock that one may hold
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        theirs.close()
        self.all.append(_Worker(process, ours))


class _Schedule:
    """Who does what: the ranges from the first that is not written to the last that was begun."""

    def __init__(self, crew: _Workers, assembly: Assembly, watch: Watch) -> None:
        self._crew = crew
        self._assembly = assembly
        self._watch = watch
        self._tasks: deque[_Task] = deque()
        self._next: Place | None = None
        """Where a range begins that nobody has; None while a worker reads where it does, and at the end of the file."""

    def run(self, start: Place) -> None:
        """Have all ranges scored and written."""
        self._next = start
        while self._tasks or self._next is not None:
            self._begin_ranges()
            pipes = {worker.pipe: worker for worker in self._crew.all}
            for pipe in self._wait(list(pipes)):
                worker = pipes[pipe]
                try:
                    answer: Answer = worker.pipe.recv()
                except (EOFError, OSError):
                    self._bury(worker)
                else:
                    self._take(worker, answer)
            self._place_parts()
            while self._tasks and self._tasks[0].written:
                part = self._tasks.popleft().part
                assert part is not None  # noqa: S101 - it is written
                self._assembly.close(part)
                self._watch.on_part(part)

    def _wait(self, pipes: list[Connection]) -> list[Any]:
        """The pipes on which something has come."""
        while not (ready := wait(pipes, 0)) and self._watch.on_idle():
            pass
        return ready or wait(pipes)

    def _begin_ranges(self) -> None:
        for worker in self._crew.all:
            if not worker.free:
                continue
            lost = next((task for task in self._tasks if task.worker is None), None)
            if lost is not None:
                worker.begin(lost)
            elif self._next is not None:
                task = _Task(self._next)
                self._next = None
                self._tasks.append(task)
                worker.begin(task)

    def _take(self, worker: _Worker, answer: Answer) -> None:
        """An answer: that a part was written, or what came of the range that the worker was given last."""
        if isinstance(answer, OnnxletError):
            raise answer
        if isinstance(answer, Placed):
            written = next(task for task in worker.tasks if task.start == answer.start)
            written.written = True
            worker.tasks.remove(written)
            return
        task = worker.tasks[-1]
        if isinstance(answer, Part):
            task.part = answer
        elif task.end is None:
            task.end = answer.end
            if answer.end.position > task.start.position:
                self._next = answer.end
            else:
                self._tasks.remove(worker.tasks.pop())

    def _place_parts(self) -> None:
        for task in self._tasks:
            if task.written:
                continue
            if task.part is None or task.worker is None:
                return
            if task.placed is None:
                task.placed = Placed(task.start, self._assembly.place(task.part))
            if not task.told:
                task.told = True
                task.worker.tell(task.placed)

    def _bury(self, worker: _Worker) -> None:
        """Have what a dead worker did not write done again. Raises InvalidInputError if what it read made it abort."""
        worker.process.join()
        if worker.process.exitcode == -signal.SIGABRT:
            first = worker.tasks[-1].start.row if worker.tasks else 1
            raise InvalidInputError(f"the file is damaged, in the rows from {first} on: who reads them is aborted")
        for task in worker.tasks:
            task.worker = None
            if task.tries >= TRIES:
                raise UnavailableError(
                    f"the processes that scored the rows from {task.start.row} on were killed {TRIES} times: "
                    "is there memory for so many? use fewer --workers"
                )
        self._crew.replace(worker)


def _work(pipe: Connection, inherited: list[Connection], scorer: RangeScorer, files: Files) -> None:
    """A worker's life: it ends with the other end of the pipe, wherever that is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # what it was forked with is neither looked through for garbage nor copied because it was
    gc.freeze()
    for other in inherited:
        other.close()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            _answer_all(pipe, scorer, files)
        except OnnxletError as error:
            pipe.send(type(error)(error.detail))


def _answer_all(pipe: Connection, scorer: RangeScorer, files: Files) -> None:
    parts: dict[Place, PartBytes] = {}
    while True:
        question: Question = pipe.recv()
        if isinstance(question, Placed):
            files.write(question.offsets, parts.pop(question.start))
            pipe.send(question)
            continue
        cut = scorer.cut(question)
        pipe.send(Cut(cut.end))
        if cut.end.position > question.position:
            part, parts[question] = cut.score()
            pipe.send(part)
