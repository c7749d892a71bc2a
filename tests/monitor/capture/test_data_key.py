"""The data key: from files, Secrets Manager and KMS (moto's), signed as botocore signs, and shown to nobody."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.auth import SigV4Auth  # type: ignore[import-untyped] # botocore has no types
from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
from botocore.credentials import Credentials  # type: ignore[import-untyped]

from onnxlet.errors import InvalidInputError, UnavailableError
from onnxlet.monitor.capture.aws_call import sign
from onnxlet.monitor.capture.data_key import DataKey, open_data_key
from onnxlet.settings import Settings

SECRET = bytes(range(32))
SAME = DataKey(SECRET).derive("diagnosis", "column", "age")


def derived(reference: str) -> bytes:
    return open_data_key(reference).derive("diagnosis", "column", "age")


def test_each_model_and_column_has_a_key_of_its_own() -> None:
    key = DataKey(SECRET)
    keys = {key.derive(*purpose) for purpose in (("a", "b"), ("a", "c"), ("b", "b"), ("a", "b", "c"), ("a", 'b","c'))}
    assert len(keys) == 5
    assert SECRET.hex() not in repr(key)
    assert len(SAME) == 32


def test_a_key_lies_in_a_file_or_in_the_setting_itself(tmp_path: Path) -> None:
    (tmp_path / "the key").write_text(SECRET.hex() + "\n")
    assert derived((tmp_path / "the key").as_uri()) == derived(f"hex:{SECRET.hex()}") == SAME


@pytest.mark.usefixtures("s3_environment")
def test_a_key_is_a_secret_of_secrets_manager_or_encrypted_by_kms() -> None:
    secrets = boto3.client("secretsmanager")
    text = secrets.create_secret(Name="capture-text", SecretString=SECRET.hex())["ARN"]
    binary = secrets.create_secret(Name="capture-binary", SecretBinary=SECRET)["ARN"]
    kms = boto3.client("kms")
    key_id = kms.create_key()["KeyMetadata"]["KeyId"]
    encrypted = kms.encrypt(KeyId=key_id, Plaintext=SECRET)["CiphertextBlob"]
    assert derived(text) == derived(binary) == derived(f"kms:{base64.b64encode(encrypted).decode()}") == SAME


@pytest.mark.usefixtures("s3_environment")
def test_what_is_no_key_is_refused_without_quoting_it(tmp_path: Path) -> None:
    (tmp_path / "short").write_text("abcd")
    for reference, said in (
        ("", "openssl rand -hex 32"),
        ("sesame-open-sesame", "none of file:///path"),
        ("hex:sesame-open-sesame", "not hexadecimal"),
        ((tmp_path / "short").as_uri(), "it needs 16 or more"),
        ((tmp_path / "nowhere").as_uri(), "cannot be read"),
    ):
        with pytest.raises(InvalidInputError, match=said) as raised:
            open_data_key(reference)
        assert "sesame" not in str(raised.value)
    with pytest.raises(UnavailableError, match="ResourceNotFoundException"):
        open_data_key("arn:aws:secretsmanager:us-east-1:123456789012:secret:nothing-AbCdEf")
    assert "sesame" not in repr(Settings(capture_key="hex:sesame"))


@pytest.mark.usefixtures("s3_environment")
def test_an_endpoint_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", "http://127.0.0.1:9")
    with pytest.raises(UnavailableError, match="kms does not answer"):
        open_data_key("kms:AAAA")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(UnavailableError, match="export-credentials"):
        open_data_key("kms:AAAA")


def test_calls_are_signed_as_botocore_signs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": "kms.eu-central-1.amazonaws.com",
        "x-amz-target": "T",
    }
    now = datetime.now(UTC)
    ours = sign(headers, b'{"a":1}', "kms", "eu-central-1", now)
    request = AWSRequest("POST", "https://kms.eu-central-1.amazonaws.com/", dict(headers), b'{"a":1}')
    request.context["timestamp"] = ours["x-amz-date"]
    credentials = Credentials(
        *(os.environ[f"AWS_{name}"] for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"))
    )
    signer = SigV4Auth(credentials, "kms", "eu-central-1")
    request.headers["X-Amz-Date"] = ours["x-amz-date"]
    request.headers["X-Amz-Security-Token"] = "a-token"
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert ours["authorization"].endswith(f"Signature={signature}")
