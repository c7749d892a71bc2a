"""A simulator of Step Functions: it runs a definition in Amazon States Language, as far as ours use the language.

It is no Step Functions, and says so of what it does not know: a definition with another type of state, another field or
another integration is refused before anything runs. What it plays: Pass, Task (`lambda:invoke`, `events:putEvents`),
Choice, distributed Map over a JSON object in S3, Succeed, Fail, Retry with its attempts, Catch, and the 256 KiB that a
state may have. What it does not: time (retries come at once, unless `wait` waits), quotas, redrives, history.
Language: states-language.net/spec.html; docs.aws.amazon.com/step-functions/latest/dg/state-map-distributed.html.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from onnxlet.errors import InvalidInputError

STATE_BYTES = 256 * 1024
INVOKE, PUT_EVENTS = "arn:aws:states:::lambda:invoke", "arn:aws:states:::events:putEvents"
_ALWAYS = {"Type", "Comment"}
_NEXT = {"Next", "End"}
_FAILING = {"Retry", "Catch"}
FIELDS = {
    "Pass": {"Parameters"} | _NEXT,
    "Task": {"Resource", "Parameters", "OutputPath", "ResultPath"} | _FAILING | _NEXT,
    "Choice": {"Choices", "Default"},
    "Map": {"Label", "ItemReader", "MaxConcurrencyPath", "ToleratedFailurePercentage", "ItemProcessor", "ResultPath"}
    | _FAILING
    | _NEXT,
    "Succeed": set(),
    "Fail": {"Error", "Cause"},
}
"""The fields of each type of state that are played."""
UNCAUGHT = frozenset({"States.DataLimitExceeded", "States.Runtime"})
"""What `States.ALL` does not mean."""


class ExecutionFailedError(Exception):
    """An execution, or a state of it, has failed: Step Functions' error and its cause."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class ExecutionStoppedError(Exception):
    """An execution was stopped from outside: nothing of it catches that, or tries again."""


def _do_not_wait(_seconds: float) -> None:
    """Time is not played."""


def _tell_nobody(_: str) -> None:
    """Nobody asks how far it is."""


@dataclass(frozen=True)
class Surroundings:
    """What an execution meets: functions by the names that the definition calls them by, objects by bucket and key, and
    who is told of events. `at_once` children of a Map run at the same time, at most; `tell` is told each state that is
    entered, and of a Map how many children are done, failed ones too.

    Functions raise ExecutionFailedError with the error that Step Functions would see, or any other of that name;
    whatever is called may raise ExecutionStoppedError.
    """

    functions: Mapping[str, Callable[[Any], Any]]
    read_object: Callable[[str, str], bytes]
    put_events: Callable[[list[dict[str, Any]]], None]
    at_once: int = 1
    wait: Callable[[float], None] = field(default=_do_not_wait)
    tell: Callable[[str], None] = field(default=_tell_nobody)


def simulate(definition: Mapping[str, Any], state: Any, surroundings: Surroundings) -> Any:  # noqa: ANN401 - JSON
    """Run a definition from its first state to its end: its output.

    Raises ExecutionFailedError if the execution fails, InvalidInputError for a definition that cannot be played.
    """
    check(definition)
    return _Execution(surroundings).run(definition, state, surroundings.tell)


def check(definition: Mapping[str, Any]) -> None:
    """Raises InvalidInputError for a definition that cannot be played."""
    for name, state in definition["States"].items():
        unknown = state.keys() - FIELDS.get(state["Type"], set()) - _ALWAYS
        if state["Type"] not in FIELDS or unknown:
            what = f"{', '.join(sorted(unknown))} of " if state["Type"] in FIELDS else ""
            raise InvalidInputError(f"the simulator does not know {what}{state['Type']}, as in the state {name!r}")
        if state["Type"] == "Task" and state["Resource"] not in {INVOKE, PUT_EVENTS}:
            raise InvalidInputError(f"the simulator does not know {state['Resource']}, as in the state {name!r}")
        if state["Type"] == "Map":
            check(state["ItemProcessor"])


class _Execution:
    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings

    def run(self, definition: Mapping[str, Any], value: Any, tell: Callable[[str], None] = _tell_nobody) -> Any:  # noqa: ANN401 - JSON
        name = definition["StartAt"]
        while True:
            tell(name)
            state = definition["States"][name]
            _check_size(value)
            following, value = self._step(name, state, value)
            if following is None:
                return value
            name = following

    def _step(self, name: str, state: Mapping[str, Any], value: Any) -> tuple[str | None, Any]:  # noqa: ANN401 - JSON
        """One state: the next one, and what it is given."""
        kind = state["Type"]
        if kind == "Succeed":
            return None, value
        if kind == "Fail":
            raise ExecutionFailedError(state["Error"], state["Cause"])
        if kind == "Choice":
            return _choose(state, value), value
        if kind == "Pass":
            return _next(state), _fill(state.get("Parameters", value), value)
        try:
            result = self._try(name, state, value)
        except ExecutionFailedError as failure:
            catcher = next((each for each in state.get("Catch", ()) if _catches(each, failure.error)), None)
            if catcher is None:
                raise
            caught = {"Error": failure.error, "Cause": failure.cause}
            return catcher["Next"], _put(value, caught, catcher.get("ResultPath", "$"))
        whole = _put(value, result, state.get("ResultPath", "$"))
        return _next(state), _get(whole, state.get("OutputPath", "$"))

    def _try(self, name: str, state: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401 - JSON
        """The result of a state that may fail, and be tried again."""
        used: Counter[int] = Counter()
        while True:
            try:
                return self._map(name, state, value) if state["Type"] == "Map" else self._task(state, value)
            except ExecutionFailedError as failure:
                retriers = enumerate(state.get("Retry", ()))
                place, retrier = next(((at, each) for at, each in retriers if _catches(each, failure.error)), (0, None))
                if retrier is None or used[place] >= retrier.get("MaxAttempts", 3):
                    raise
                seconds = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** used[place]
                self._surroundings.wait(min(seconds, retrier.get("MaxDelaySeconds", seconds)))
                used[place] += 1

    def _task(self, state: Mapping[str, Any], value: Any) -> Any:  # noqa: ANN401 - JSON
        parameters = _fill(state["Parameters"], value)
        if state["Resource"] == PUT_EVENTS:
            entries = [{**entry, "Detail": json.dumps(entry["Detail"])} for entry in parameters["Entries"]]
            self._surroundings.put_events(entries)
            return {"FailedEntryCount": 0}
        function = self._surroundings.functions[parameters["FunctionName"]]
        try:
            answer = function(_copy(parameters["Payload"]))
        except (ExecutionFailedError, ExecutionStoppedError):
            raise
        except Exception as error:
            raise ExecutionFailedError(type(error).__name__, str(error)) from error
        return {"StatusCode": 200, "Payload": _copy(answer)}

    def _map(self, name: str, state: Mapping[str, Any], value: Any) -> list[Any]:  # noqa: ANN401 - JSON
        where = _fill(state["ItemReader"]["Parameters"], value)
        items = json.loads(self._surroundings.read_object(where["Bucket"], where["Key"]))
        width, numbers = _get(value, state["MaxConcurrencyPath"]), count(1)

        def tell_done() -> None:
            self._surroundings.tell(f"{name}: {next(numbers)} of {len(items)}")

        def run_child(item: Any) -> Any:  # noqa: ANN401 - JSON
            try:
                output = self.run(state["ItemProcessor"], item)
            except ExecutionFailedError:
                tell_done()
                raise
            tell_done()
            return output

        with ThreadPoolExecutor(max(1, min(width, self._surroundings.at_once)), "onnxlet-map") as pool:
            futures = [pool.submit(run_child, item) for item in items]
            failures = [error for future in futures if (error := future.exception()) is not None]
        foreign = next((error for error in failures if not isinstance(error, ExecutionFailedError)), None)
        if foreign is not None:
            raise foreign
        if len(failures) * 100 > state.get("ToleratedFailurePercentage", 0) * len(items):
            first = str(failures[0])
            raise ExecutionFailedError("States.ExceedToleratedFailureThreshold", f"{len(failures)} failed: {first}")
        results = [future.result() for future in futures if future.exception() is None]
        _check_size(results)
        return results


def _next(state: Mapping[str, Any]) -> str | None:
    return None if state.get("End") else state["Next"]


def _catches(rule: Mapping[str, Any], error: str) -> bool:
    named: list[str] = rule["ErrorEquals"]
    return error in named or ("States.ALL" in named and error not in UNCAUGHT)


_COMPARISONS: dict[str, type] = {"StringEquals": str, "BooleanEquals": bool}


def _choose(state: Mapping[str, Any], value: Any) -> str:  # noqa: ANN401 - JSON
    for rule in state["Choices"]:
        comparison = next(iter(rule.keys() - {"Variable", "Next"}))
        found = _get(value, rule["Variable"])
        if isinstance(found, _COMPARISONS[comparison]) and found == rule[comparison]:
            return str(rule["Next"])
    if "Default" not in state:
        raise ExecutionFailedError("States.NoChoiceMatched", "no rule of the Choice holds")
    return str(state["Default"])


def _fill(template: Any, value: Any) -> Any:  # noqa: ANN401 - JSON
    """A template of parameters: what is named with `.$` is found at its path."""
    if isinstance(template, list):
        return [_fill(each, value) for each in template]
    if not isinstance(template, dict):
        return template
    return {
        name.removesuffix(".$"): _get(value, each) if name.endswith(".$") else _fill(each, value)
        for name, each in template.items()
    }


def _get(value: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    for name in path.split(".")[1:]:
        if not isinstance(value, dict) or name not in value:
            raise ExecutionFailedError("States.Runtime", f"there is nothing at {path}")
        value = value[name]
    return value


def _put(value: Any, result: Any, path: str | None) -> Any:  # noqa: ANN401 - JSON
    if path is None:
        return value
    if path == "$":
        return result
    return {**value, path.removeprefix("$."): result}


def _copy(value: Any) -> Any:  # noqa: ANN401 - JSON
    """A value as it arrives elsewhere."""
    _check_size(value)
    return json.loads(json.dumps(value))


def _check_size(value: Any) -> None:  # noqa: ANN401 - JSON
    if len(json.dumps(value).encode()) > STATE_BYTES:
        raise ExecutionFailedError("States.DataLimitExceeded", f"more than {STATE_BYTES:,} bytes")
