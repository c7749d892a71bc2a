"""How files that land get to Score, and what becomes of those that fail."""

from __future__ import annotations

from policies import listed
from templates import FUNCTIONS, nested, of_type, stack, statements


def test_dead_letters_come_from_the_queue_of_landed_files_alone() -> None:
    built = stack()
    allowed = built["DeadLetters"]["Properties"]["RedriveAllowPolicy"]
    assert allowed["redrivePermission"] == "byQueue"
    (source,) = allowed["sourceQueueArns"]
    name = built["LandedFiles"]["Properties"]["QueueName"]["Fn::Sub"]
    assert source["Fn::Sub"] == "arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:" + name


def test_files_that_land_go_through_the_queue_to_score() -> None:
    rule = stack()["FileLanded"]["Properties"]
    assert rule["EventPattern"]["source"] == ["aws.s3"]
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    detail = rule["EventPattern"]["detail"]
    assert detail["bucket"] == {"name": [{"Fn::GetAtt": ["Storage", "Outputs.BucketName"]}]}
    assert detail["object"]["key"] == [{"prefix": "batch/in/"}]
    (target,) = rule["Targets"]
    assert target["Arn"] == {"Fn::GetAtt": ["LandedFiles", "Arn"]}
    assert target["DeadLetterConfig"]["Arn"] == {"Fn::GetAtt": ["DeadLetters", "Arn"]}


def test_a_file_that_fails_comes_again_alone_and_ends_among_the_dead_letters() -> None:
    built = stack(BatchConcurrency=9)
    ((_, source),) = of_type(built, "AWS::Lambda::EventSourceMapping").items()
    assert source["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert source["ScalingConfig"] == {"MaximumConcurrency": 9}
    redrive = built["LandedFiles"]["Properties"]["RedrivePolicy"]
    assert redrive["deadLetterTargetArn"] == {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    assert redrive["maxReceiveCount"] >= 2


def test_a_message_stays_hidden_for_six_times_what_its_file_may_take() -> None:
    built = stack()
    assert built["LandedFiles"]["Properties"]["VisibilityTimeout"] >= 6 * built["Score"]["Properties"]["Timeout"]


def test_queues_are_encrypted_and_only_the_rule_writes_to_them() -> None:
    built = stack()
    assert all(queue["SqsManagedSseEnabled"] for queue in of_type(built, "AWS::SQS::Queue").values())
    (statement,) = built["QueuePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "events.amazonaws.com"}
    assert statement["Condition"] == {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": ["FileLanded", "Arn"]}}}


def test_a_file_that_waits_past_two_tries_is_an_alarm() -> None:
    built = stack()
    given = built["Alarms"]["Properties"]["Parameters"]["LandedFiles"]
    alarm = nested("alarms.yaml", LandedFiles=given)["FilesWaitTooLong"]["Properties"]
    assert given == {"Fn::GetAtt": ["LandedFiles", "QueueName"]}
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateAgeOfOldestMessage")
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": given}]
    assert alarm["Threshold"] == 2 * built["LandedFiles"]["Properties"]["VisibilityTimeout"]


def test_score_takes_files_from_its_own_queue_and_no_other() -> None:
    queued = {
        (action, str(it["Resource"]))
        for function in FUNCTIONS
        for it in statements(stack(), function)
        for action in listed(it["Action"])
        if action.startswith("sqs:")
    }
    queue = str({"Fn::GetAtt": ["LandedFiles", "Arn"]})
    assert queued == {(f"sqs:{what}", queue) for what in ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")}
