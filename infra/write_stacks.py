"""Write the stacks as CloudFormation gets them, for checkov: as they are by default, and with every option on.

    PYTHONPATH=tests python infra/write_stacks.py DIRECTORY

SAM has translated them and conditions are decided, so that checkov sees what is made and no Fn::If.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from templates import Document, nested, stack

KEY = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
TOPIC = "arn:aws:sns:eu-central-1:111122223333:alarms"
STORAGE: Document = {
    "EncryptionKeyArn": KEY,
    "BatchDays": 30,
    "HistoryLockDays": 365,
    "HistoryLockMode": "COMPLIANCE",
    "AccessLogBucket": "access-logs",
}
OPTIONS: Document = {
    **STORAGE,
    "AuthMode": "jwt",
    "JwtIssuer": "https://issuer.example",
    "JwtAudience": ["onnxlet"],
    "ReservedConcurrency": 10,
    "ApiReservedConcurrency": 5,
    "ScoreReservedConcurrency": 60,
    "BatchArns": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/patients/*"],
    "Preload": "diagnosis",
    "Media": "true",
    "RequestLog": "true",
    "Capture": "true",
    "CaptureSecretArn": "arn:aws:secretsmanager:eu-central-1:111122223333:secret:capture-AbCdEf",
    "OpenTelemetryLayer": "arn:aws:lambda:eu-central-1:111122223333:layer:tracing:1",
    "EncryptLogsAndQueues": "true",
    "LogDays": 365,
    "AlarmTopicArn": TOPIC,
    "VpcSubnetIds": ["subnet-11112222"],
    "VpcSecurityGroupIds": ["sg-11112222"],
}
"""Every parameter that turns something on."""
MACHINE: Document = {"EncryptionKeyArn": KEY, "EncryptLogs": "true", "LogDays": 365}


def stacks() -> Iterator[tuple[str, Document]]:
    """(path, resources) of every stack, each in the folder of its configuration."""
    yield "default/main.json", stack()
    yield "default/storage.json", nested("storage.yaml")
    yield "default/alarms.json", nested("alarms.yaml")
    yield "default/machine.json", nested("machine.yaml")
    yield "options/main.json", stack(**OPTIONS)
    yield "options/storage.json", nested("storage.yaml", **STORAGE)
    yield "options/alarms.json", nested("alarms.yaml", TopicArn=TOPIC)
    yield "options/machine.json", nested("machine.yaml", **MACHINE)


def main(directory: Path) -> None:
    """Write them below `directory`."""
    for path, resources in stacks():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        document = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
        (directory / path).write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
