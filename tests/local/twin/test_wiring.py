"""The template as the twin reads it: what is wired, in the words of CloudFormation."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxlet.errors import InvalidInputError
from onnxlet.local.twin.wiring import read_wiring

ROOT = Path(__file__).parents[3]


def write(folder: Path, text: str) -> Path:
    path = folder / "template.yaml"
    path.write_text(text)
    return path


def test_the_projects_own_template_hands_files_that_land_to_score_and_failures_to_dead_letters() -> None:
    wiring = read_wiring(ROOT / "template.yaml", "wards")
    queues = {queue.name: queue for queue in wiring.queues}
    assert (queues["LandedFiles"].dead_letters, queues["LandedFiles"].tries) == ("DeadLetters", 3)
    rule = next(rule for rule in wiring.rules if "LandedFiles" in rule.queues)
    assert rule.pattern["detail"]["bucket"]["name"] == ["wards"]
    score = next(function for function in wiring.functions if function.name == "Score")
    assert (score.queue, score.messages, score.reports_failures) == ("LandedFiles", 1, True)
    assert score.folder == ROOT / "functions" / "score"
    assert score.environment["ONNXLET_STORE"] == "s3://wards"


def test_defaults_conditions_and_schedules_are_read_as_cloudformation_reads_them(tmp_path: Path) -> None:
    wiring = read_wiring(
        write(
            tmp_path,
            """
Parameters:
  Memory: { Type: Number, Default: 512 }
  Mode: { Type: String, Default: quick }
Conditions:
  Quick: !Equals [!Ref Mode, quick]
  Slow: !Not [!Condition Quick]
  Either: !Or [!Condition Quick, !Condition Slow]
Globals:
  Function: { Timeout: 7, MemorySize: !Ref Memory, Environment: { Variables: { A: all, B: !Ref Mode } } }
Resources:
  Nightly:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/nightly
      Timeout: !If [Slow, 100, 9]
      Environment: { Variables: { B: !Sub "${Mode}-${AWS::Region}", C: !If [Slow, x, !Ref AWS::NoValue] } }
      Events:
        Clock: { Type: ScheduleV2, Properties: { ScheduleExpression: rate(2 hours) } }
  Never:
    Type: AWS::SQS::Queue
    Condition: Slow
    Properties: {}
  Always:
    Type: AWS::SQS::Queue
    Condition: Either
    Properties: { VisibilityTimeout: 5 }
""",
        ),
        "wards",
    )
    (nightly,) = wiring.functions
    assert (nightly.timeout, nightly.memory, nightly.schedule) == (9, 512, 7200.0)
    assert nightly.environment == {"A": "all", "B": "quick-us-east-1"}
    assert [queue.name for queue in wiring.queues] == ["Always"]


def test_the_projects_state_machine_calls_its_functions_and_an_alarm_looks_at_its_failures() -> None:
    wiring = read_wiring(ROOT / "template.yaml", "wards", {"LargeFileMb": "1"})
    (machine,) = wiring.machines
    assert wiring.variables("Score")["ONNXLET_STATE_MACHINE"].endswith(f":stateMachine:{machine.name}")
    assert wiring.variables("Score")["ONNXLET_LARGE_FILE_MB"] == "1"
    assert sorted(machine.functions) == ["Finish", "Plan", "Score"]
    assert machine.definition["States"]["Finish"]["Parameters"]["FunctionName"] == "Finish"
    assert wiring.alarm("ExecutionsFailed", machine.stack).endswith("the alarm LargeFilesNotScored")
    assert not wiring.alarm("ExecutionsFailed", "Another")


def test_a_parameter_that_the_template_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"template\.yaml has no parameter 'LargeFilesMb'"):
        read_wiring(ROOT / "template.yaml", "wards", {"LargeFilesMb": "1"})


def test_a_folder_without_a_template_is_no_clone(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"no template\.yaml here: the twin runs in a clone"):
        read_wiring(tmp_path / "template.yaml", "wards")


def test_a_template_that_is_no_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"template\.yaml is no YAML"):
        read_wiring(write(tmp_path, "Resources: ["), "wards")
