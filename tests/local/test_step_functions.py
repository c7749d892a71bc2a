"""The simulator of Step Functions: what it plays, and that it refuses the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onnxlet.errors import InvalidInputError
from onnxlet.local.step_functions import ExecutionFailedError, Surroundings, check, simulate

INVOKE = "arn:aws:states:::lambda:invoke"
CHILD: dict[str, Any] = {
    "StartAt": "Do",
    "States": {
        "Do": {"Type": "Task", "Resource": INVOKE, "Parameters": {"FunctionName": "f", "Payload.$": "$"}, "End": True}
    },
}


def _task(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"Type": "Task", "Resource": INVOKE, "Parameters": {"FunctionName": "f", "Payload.$": "$"}, **more}


def _alone(state: dict[str, Any], **others: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "First", "States": {"First": state, **others}}


def _run(definition: dict[str, Any], value: Any, function: Any, items: list[Any] | None = None) -> Any:  # noqa: ANN401
    told: list[Any] = []
    surroundings = Surroundings(
        {"f": function}, lambda _bucket, _key: json.dumps(items or []).encode(), told.extend, at_once=2
    )
    return simulate(definition, value, surroundings)


def _map(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    reader = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket": "b", "Key": "k"}}
    paths = {"MaxConcurrencyPath": "$.width"}
    return {"Type": "Map", "ItemReader": reader, "ItemProcessor": CHILD, **paths, "End": True, **more}


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Wait", "Seconds": 1, "End": True},
        {"Type": "Pass", "Result": 1, "End": True},
        _task(TimeoutSeconds=3, End=True),
        {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "Parameters": {}, "End": True},
        _map(ItemBatcher={"MaxItemsPerBatch": 3}),
    ],
)
def test_what_is_not_played_is_refused_before_anything_runs(state: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="the simulator does not know"):
        check(_alone(state))


def test_a_task_is_tried_as_often_as_its_rule_says() -> None:
    calls: list[int] = []

    def fail(_: Any) -> None:  # noqa: ANN401 - JSON
        calls.append(1)
        raise ValueError("no")

    retry = [{"ErrorEquals": ["KeyError"], "MaxAttempts": 9}, {"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]
    with pytest.raises(ExecutionFailedError, match="ValueError: no"):
        _run(_alone(_task(Retry=retry, End=True)), {}, fail)
    assert len(calls) == 3


def test_a_failure_that_is_caught_goes_on_beside_what_was_there() -> None:
    def fail(_: Any) -> None:  # noqa: ANN401 - JSON
        raise ValueError("no")

    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Last"}]
    definition = _alone(_task(Catch=catch, End=True), Last={"Type": "Succeed"})
    assert _run(definition, {"a": 1}, fail) == {"a": 1, "failure": {"Error": "ValueError", "Cause": "no"}}


def test_a_map_answers_what_its_children_do_and_tolerates_so_many_failures() -> None:
    def odd(item: int) -> int:
        if item % 2 == 0:
            raise ValueError("even")
        return item

    answers = _run(_alone(_map(ToleratedFailurePercentage=50)), {"width": 2}, odd, [1, 2, 3, 4])
    assert [each["Payload"] for each in answers] == [1, 3]
    with pytest.raises(ExecutionFailedError, match=r"States\.ExceedToleratedFailureThreshold: 2 failed"):
        _run(_alone(_map(ToleratedFailurePercentage=49)), {"width": 2}, odd, [1, 2, 3, 4])
    assert _run(_alone(_map()), {"width": 2}, odd, []) == []


def test_children_that_fail_count_as_done() -> None:
    def fail(item: int) -> int:
        raise ValueError(f"{item}")

    told: list[str] = []
    around = Surroundings({"f": fail}, lambda _bucket, _key: b"[1, 2, 3]", lambda _: None, tell=told.append)
    simulate(_alone(_map(ToleratedFailurePercentage=100)), {"width": 1}, around)
    assert told == ["First", "First: 1 of 3", "First: 2 of 3", "First: 3 of 3"]


def test_a_state_that_is_too_large_fails_and_nobody_catches_that() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Last"}]
    definition = _alone(_task(Catch=catch, End=True), Last={"Type": "Succeed"})
    with pytest.raises(ExecutionFailedError, match=r"States\.DataLimitExceeded"):
        _run(definition, {}, lambda _: "x" * 300_000)


def test_a_path_to_nothing_fails_the_execution() -> None:
    with pytest.raises(ExecutionFailedError, match=r"States\.Runtime: there is nothing at \$\.b"):
        _run(_alone({"Type": "Pass", "Parameters": {"a.$": "$.b"}, "End": True}), {"a": 1}, None)
