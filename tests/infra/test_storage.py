"""What is kept: the bucket, what its policy refuses, and the locked copy of the history."""

from __future__ import annotations

import json
import re

import pytest

from policies import allows, denies, listed
from templates import REPOSITORY, Document, nested, of_type, refusals, stack

KEY = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
OTHER_KEY = KEY.replace("1111-2222", "9999-2222")
WHOLE = {"s3:ObjectCreationOperation": "true", "aws:SecureTransport": "true"}
CREATE = WHOLE | {"s3:if-none-match": "*"}
SWAP = WHOLE | {"s3:if-match": '"0123"'}
PART = {"s3:ObjectCreationOperation": "false", "aws:SecureTransport": "true"}
ENCRYPTION = "s3:x-amz-server-side-encryption"
NAMED_KEY = f"{ENCRYPTION}-aws-kms-key-id"
OWN_KEY = f"{ENCRYPTION}-customer-algorithm"


def test_the_bucket_is_private_versioned_encrypted_and_outlives_its_stack() -> None:
    bucket = nested("storage.yaml")["Bucket"]
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    properties = bucket["Properties"]
    assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_the_bucket_takes_a_key_of_ones_own() -> None:
    properties = nested("storage.yaml", EncryptionKeyArn="arn:aws:kms:::key/own")["Bucket"]["Properties"]
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": "arn:aws:kms:::key/own",
    }


def test_the_bucket_forgets_work_files_and_old_versions_but_no_model() -> None:
    def prefixes(**chosen: object) -> set[str]:
        rules = nested("storage.yaml", **chosen)["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
        return {rule["Prefix"] for rule in rules if "ExpirationInDays" in rule}

    work = {"batch/work/", "capture/", "labels/", "sketches/live/", "sketches/reports/"}
    assert prefixes() == work
    assert prefixes(BatchDays=7) == work | {"batch/"}


def _denied(sid: str) -> Document:
    statements = nested("storage.yaml")["BucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    (statement,) = (it for it in statements if it["Sid"] == sid)
    assert statement["Effect"] == "Deny"
    assert statement["Principal"] == "*"
    assert isinstance(statement, dict)
    return statement


def test_the_bucket_answers_only_over_tls() -> None:
    statement = _denied("TlsOnly")
    assert statement["Action"] == "s3:*"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_versions_and_history_can_only_be_created() -> None:
    statement = _denied("VersionsAndHistoryAreWrittenOnce")
    assert statement["Action"] == "s3:PutObject"
    written = ("models/*", "history/*", "erasures/*", "sketches/alarms/*/log/*")
    assert statement["Resource"] == [{"Fn::Sub": f"${{Bucket.Arn}}/{key}"} for key in written]
    assert statement["Condition"] == {
        "Null": {"s3:if-none-match": "true"},
        "Bool": {"s3:ObjectCreationOperation": "true"},
    }


def test_an_alias_and_the_settings_can_only_be_created_or_swapped() -> None:
    statement = _denied("AliasesAndSettingsChangeByCompareAndSwap")
    swapped = ("aliases/*", "settings/*", "sketches/alarms/*/alarms.json")
    assert statement["Resource"] == [{"Fn::Sub": f"${{Bucket.Arn}}/{key}"} for key in swapped]
    assert statement["Condition"]["Null"] == {"s3:if-none-match": "true", "s3:if-match": "true"}


def _policy(bucket: str, /, **chosen: object) -> list[Document]:
    """The statements of a bucket's policy, its ARN filled in."""
    text = json.dumps(nested("storage.yaml", **chosen)[f"{bucket}Policy"]["Properties"]["PolicyDocument"]["Statement"])
    text = re.sub(r'\{"Fn::Sub": "\$\{\w+\.Arn\}([^"]*)"\}', r'"arn:aws:s3:::store\1"', text)
    statements: list[Document] = json.loads(re.sub(r'\{"Fn::GetAtt": \["\w+", "Arn"\]\}', '"arn:aws:s3:::store"', text))
    return statements


def _refused(action: str, key: str, context: dict[str, str], **chosen: object) -> bool:
    return denies(_policy("Bucket", **chosen), action, f"arn:aws:s3:::store/{key}", context)


@pytest.mark.parametrize(
    ("key", "created", "swapped", "put"),
    [
        ("models/diagnosis/1/manifest.json", True, False, False),
        ("history/diagnosis/production/0000000001.json", True, False, False),
        ("erasures/20261129T130000000000Z-0123abcd.json", True, False, False),
        ("aliases/diagnosis/production.json", True, True, False),
        ("settings/registry.json", True, True, False),
        ("sketches/alarms/diagnosis/log/0000000001.json", True, False, False),
        ("sketches/alarms/diagnosis/alarms.json", True, True, False),
        ("sketches/reports/diagnosis/2026-11-29.json", True, True, True),
        ("batch/out/diagnosis/patients.csv", True, True, True),
    ],
)
def test_what_must_not_be_overwritten_unseen_takes_only_conditional_writes(
    key: str, *, created: bool, swapped: bool, put: bool
) -> None:
    taken = [not _refused("s3:PutObject", key, context) for context in (CREATE, SWAP, WHOLE)]
    assert taken == [created, swapped, put]
    assert not _refused("s3:PutObject", key, PART)


@pytest.mark.parametrize("action", ["s3:DeleteObject", "s3:DeleteObjectVersion"])
def test_the_history_is_deleted_by_nobody_and_models_may_be(action: str) -> None:
    assert _refused(action, "history/diagnosis/production/0000000001.json", WHOLE)
    assert _refused(action, "erasures/20261129T130000000000Z-0123abcd.json", WHOLE)
    assert _refused(action, "sketches/alarms/diagnosis/log/0000000001.json", WHOLE)
    assert not _refused(action, "models/diagnosis/1/model.onnx", WHOLE)
    assert not _refused(action, "batch/in/diagnosis/patients.csv", WHOLE)


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({}, False),
        ({ENCRYPTION: "aws:kms", NAMED_KEY: KEY}, False),
        ({ENCRYPTION: "aws:kms", NAMED_KEY: OTHER_KEY}, True),
        ({ENCRYPTION: "aws:kms:dsse", NAMED_KEY: OTHER_KEY}, True),
        ({ENCRYPTION: "aws:kms"}, True),
        ({ENCRYPTION: "AES256"}, True),
        ({OWN_KEY: "AES256"}, True),
    ],
    ids=["default", "the key", "another key", "another key twice", "Amazon's key", "S3's keys", "the uploader's key"],
)
def test_an_upload_has_the_bucket_s_encryption_or_names_its_key(headers: dict[str, str], *, refused: bool) -> None:
    key = "batch/in/diagnosis/patients.csv"
    assert _refused("s3:PutObject", key, WHOLE | headers, EncryptionKeyArn=KEY) == refused
    assert not _refused("s3:PutObject", key, WHOLE | headers)


def test_no_copy_of_the_history_is_made_unless_asked() -> None:
    stored = nested("storage.yaml")
    assert stored.keys() == {"Bucket", "BucketPolicy"}
    assert "ReplicationConfiguration" not in stored["Bucket"]["Properties"]


def test_the_history_and_the_records_of_erasures_alone_are_copied_to_a_bucket_that_locks_them() -> None:
    stored = nested("storage.yaml", HistoryLockDays=365, HistoryLockMode="COMPLIANCE")
    rules = stored["Bucket"]["Properties"]["ReplicationConfiguration"]["Rules"]
    assert [rule["Filter"] for rule in rules] == [{"Prefix": "history/"}, {"Prefix": "erasures/"}]
    assert len({rule["Priority"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["Status"] == "Enabled"
        assert rule["Destination"] == {"Bucket": {"Fn::GetAtt": ["HistoryBucket", "Arn"]}}
        assert rule["DeleteMarkerReplication"] == {"Status": "Disabled"}
    locked = stored["HistoryBucket"]["Properties"]
    assert locked["ObjectLockEnabled"] is True
    assert locked["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled",
        "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 365}},
    }


def test_nothing_is_locked_where_patients_files_lie() -> None:
    bucket = nested("storage.yaml", HistoryLockDays=365)["Bucket"]["Properties"]
    assert not {"ObjectLockEnabled", "ObjectLockConfiguration"} & bucket.keys()


@pytest.mark.parametrize("key", ["", KEY])
def test_the_locked_copy_is_as_private_and_encrypted_as_its_source_and_outlives_the_stack(key: str) -> None:
    stored = nested("storage.yaml", HistoryLockDays=1, EncryptionKeyArn=key, AccessLogBucket="logs")
    for name in ("HistoryBucket", "HistoryBucketPolicy", "HistoryCopier", "HistoryCopying"):
        assert stored[name]["DeletionPolicy"] == stored[name]["UpdateReplacePolicy"] == "Retain"
    for same in ("BucketEncryption", "VersioningConfiguration", "OwnershipControls", "PublicAccessBlockConfiguration"):
        assert stored["HistoryBucket"]["Properties"][same] == stored["Bucket"]["Properties"][same]
    policy = _policy("HistoryBucket", HistoryLockDays=1)
    assert denies(policy, "s3:GetObject", "arn:aws:s3:::store/history/x", {"aws:SecureTransport": "false"})


def test_an_encrypted_history_is_copied_under_the_same_key() -> None:
    stored = nested("storage.yaml", HistoryLockDays=1, EncryptionKeyArn=KEY)
    for rule in stored["Bucket"]["Properties"]["ReplicationConfiguration"]["Rules"]:
        assert rule["SourceSelectionCriteria"] == {"SseKmsEncryptedObjects": {"Status": "Enabled"}}
        assert rule["Destination"]["EncryptionConfiguration"] == {"ReplicaKmsKeyID": KEY}
    statements = stored["HistoryCopying"]["Properties"]["PolicyDocument"]["Statement"]
    assert [it["Action"] for it in statements if it["Resource"] == KEY] == [["kms:Decrypt", "kms:GenerateDataKey"]]


def test_the_copier_reads_the_history_adds_to_the_copy_and_deletes_nowhere() -> None:
    stored = nested("storage.yaml", HistoryLockDays=1)
    granted = {
        (action, resource["Fn::Sub"])
        for it in stored["HistoryCopying"]["Properties"]["PolicyDocument"]["Statement"]
        for action in listed(it["Action"])
        for resource in listed(it["Resource"])
        if "Fn::Sub" in resource
    }
    read = {f"s3:GetObjectVersion{what}" for what in ("ForReplication", "Acl", "Tagging")}
    written = {"s3:ReplicateObject", "s3:ReplicateTags"}
    assert granted == {
        (action, f"${{{bucket}.Arn}}/{prefix}/*")
        for prefix in ("history", "erasures")
        for bucket, actions in (("Bucket", read), ("HistoryBucket", written))
        for action in actions
    }
    (trust,) = stored["HistoryCopier"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "s3.amazonaws.com"}


def test_access_is_logged_to_a_bucket_if_one_is_named() -> None:
    stored = nested("storage.yaml", AccessLogBucket="logs", HistoryLockDays=1)
    for bucket in ("Bucket", "HistoryBucket"):
        assert stored[bucket]["Properties"]["LoggingConfiguration"]["DestinationBucketName"] == "logs"
    assert "LoggingConfiguration" not in nested("storage.yaml")["Bucket"]["Properties"]


def test_what_the_stack_is_told_of_its_storage_is_passed_on() -> None:
    chosen = {
        "EncryptionKeyArn": KEY,
        "NoncurrentDays": 30,
        "BatchDays": 7,
        "CaptureDays": 14,
        "HistoryLockDays": 365,
        "HistoryLockMode": "COMPLIANCE",
        "AccessLogBucket": "logs",
    }
    assert stack(**chosen)["Storage"]["Properties"]["Parameters"] == chosen
    assert nested("storage.yaml", **chosen)


def test_logs_and_queues_have_the_key_only_if_asked() -> None:
    for built in (stack(), stack(EncryptionKeyArn=KEY)):
        assert not any("KmsKeyId" in group for group in of_type(built, "AWS::Logs::LogGroup").values())
        for queue in of_type(built, "AWS::SQS::Queue").values():
            assert (queue.get("KmsMasterKeyId"), queue.get("SqsManagedSseEnabled")) == (None, True)
    built = stack(EncryptionKeyArn=KEY, EncryptLogsAndQueues="true")
    assert all(group["KmsKeyId"] == KEY for group in of_type(built, "AWS::Logs::LogGroup").values())
    for queue in of_type(built, "AWS::SQS::Queue").values():
        assert (queue.get("KmsMasterKeyId"), queue.get("SqsManagedSseEnabled")) == (KEY, None)


def test_encrypting_logs_and_queues_without_a_key_is_refused() -> None:
    assert refusals(EncryptLogsAndQueues="true") == ["EncryptLogsAndQueues needs EncryptionKeyArn"]
    assert refusals(EncryptLogsAndQueues="true", EncryptionKeyArn=KEY) == []


def _key_policy() -> list[Document]:
    """The statements that deploy.md prints for the key."""
    text = (REPOSITORY / "docs" / "deploy.md").read_text()
    (block,) = re.findall(r"^```json\n(\[.*?)^```", text, re.MULTILINE | re.DOTALL)
    statements: list[Document] = json.loads(block)
    return statements


@pytest.mark.parametrize(
    ("service", "actions"),
    [
        ("logs.REGION.amazonaws.com", ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey")),
        ("events.amazonaws.com", ("kms:Decrypt", "kms:GenerateDataKey")),
        ("sqs.amazonaws.com", ("kms:Decrypt", "kms:GenerateDataKey")),
    ],
)
def test_the_printed_key_policy_lets_logs_events_and_queues_use_the_key(service: str, actions: tuple[str, ...]) -> None:
    statements = [it for it in _key_policy() if it["Principal"] == {"Service": service}]
    built = stack(EncryptionKeyArn=KEY, EncryptLogsAndQueues="true")
    names = [group["LogGroupName"]["Fn::Sub"] for group in of_type(built, "AWS::Logs::LogGroup").values()]
    for name in names:
        arn = f"arn:aws:logs:REGION:ACCOUNT:log-group:{name.replace('${AWS::StackName}', 'STACK')}"
        context = {"kms:EncryptionContext:aws:logs:arn": arn} if service.startswith("logs") else {}
        assert all(allows(statements, action, KEY, context) for action in actions), arn


def test_the_printed_key_policy_is_of_no_use_to_other_log_groups() -> None:
    (logs,) = (it for it in _key_policy() if it["Sid"] == "Logs")
    arn = "arn:aws:logs:REGION:ACCOUNT:log-group:/aws/lambda/somebody-elses"
    assert not allows([logs], "kms:Decrypt", KEY, {"kms:EncryptionContext:aws:logs:arn": arn})


@pytest.mark.parametrize("area", ["capture/", "labels/"])
def test_captured_rows_and_labels_expire_and_their_old_versions_soon_after(area: str) -> None:
    rules = nested("storage.yaml", CaptureDays=14)["Bucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    (rule,) = [each for each in rules if each.get("Prefix") == area]
    assert rule["ExpirationInDays"] == 14
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}
