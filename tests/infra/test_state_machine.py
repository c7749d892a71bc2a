"""The state machine's definition: read by AWS's schema (in cfn-lint), by moto's parser, and wired by the template."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from machines import DEFINITION
from onnxlet.local.step_functions import check
from policies import listed
from templates import REPOSITORY, nested, stack

ARN = "arn:aws:lambda:us-east-1:111122223333:function:"

FUNCTIONS = ("PlanFunction", "ScoreFunction", "FinishFunction")


def _substituted() -> str:
    text = json.dumps(DEFINITION)
    for name in ("Plan", "Score", "Finish"):
        text = text.replace(f"${{{name}Function}}", ARN + name.lower())
    return text


@pytest.mark.parametrize("broken", [False, True])
def test_cloudformation_takes_the_definition(tmp_path: Path, broken: bool) -> None:
    definition = json.loads(_substituted())
    if broken:
        del definition["States"]["ScoreSections"]["ItemProcessor"]
    properties = {"RoleArn": "arn:aws:iam::111122223333:role/r", "Definition": definition}
    resources = {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}
    template = tmp_path / "machine.json"
    template.write_text(json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}))
    lint = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run([lint, str(template)], capture_output=True, text=True, check=False, timeout=120)
    assert bool(done.stdout) == broken


@pytest.mark.usefixtures("s3_environment")
def test_moto_takes_the_definition() -> None:
    machines = boto3.client("stepfunctions")
    made = machines.create_state_machine(
        name="scoring", definition=_substituted(), roleArn="arn:aws:iam::111122223333:role/r"
    )
    assert made["stateMachineArn"].endswith(":scoring")


def test_the_simulator_plays_all_of_the_definition() -> None:
    check(DEFINITION)


def _states(definition: dict[str, Any]) -> dict[str, Any]:
    found = dict(definition["States"])
    for state in definition["States"].values():
        found |= _states(state["ItemProcessor"]) if state["Type"] == "Map" else {}
    return found


def test_every_task_is_tried_again_at_random_moments() -> None:
    tasks = [state for state in _states(DEFINITION).values() if state["Type"] == "Task"]
    assert len(tasks) == 6
    assert all(state["Retry"][-1]["ErrorEquals"] == ["States.ALL"] for state in tasks)
    assert all(state["Retry"][-1]["JitterStrategy"] == "FULL" for state in tasks)


@pytest.mark.parametrize("name", ["ScanStretches", "ScoreSections"])
def test_no_map_starts_as_many_children_as_it_can(name: str) -> None:
    assert DEFINITION["States"][name]["MaxConcurrencyPath"] == "$.concurrency"
    for function in ("Plan", "Finish"):
        variables = stack(SectionConcurrency=7)[function]["Properties"]["Environment"]["Variables"]
        assert variables["ONNXLET_SECTION_CONCURRENCY"] == 7


def test_score_starts_the_machine_and_the_machine_calls_its_functions() -> None:
    built = stack()
    given = built["Machine"]["Properties"]["Parameters"]
    machine = nested("machine.yaml", **given)["Scoring"]["Properties"]
    called = {name: {"Fn::GetAtt": [name.removesuffix("Function"), "Arn"]} for name in FUNCTIONS}
    assert machine["DefinitionSubstitutions"] == called
    named = built["Score"]["Properties"]["Environment"]["Variables"]["ONNXLET_STATE_MACHINE"]["Fn::Sub"]
    assert named.endswith(":stateMachine:" + machine["Name"]["Fn::Sub"])
    assert (REPOSITORY / "infra" / machine["DefinitionUri"]).exists()


def test_the_machine_may_call_read_and_tell_no_more() -> None:
    (policy,) = nested("machine.yaml")["Role"]["Properties"]["Policies"]
    actions = {action for each in policy["PolicyDocument"]["Statement"] for action in listed(each["Action"])}
    assert {it for it in actions if it.split(":")[0] in {"s3", "lambda", "events"}} == {
        "s3:GetObject",
        "lambda:InvokeFunction",
        "events:PutEvents",
    }
