"""One call of an AWS service that speaks JSON, signed here: boto3 takes longer to import than a model to load.

Source: "Create a signed AWS API request" (Signature Version 4) in the IAM user guide. Credentials and region are those
of the environment, as Lambda sets them.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import msgspec

from onnxlet.errors import UnavailableError

SECONDS = 3.0
_JSON = "application/x-amz-json-1.1"
_OK = 200


def call_aws(service: str, target: str, document: Mapping[str, Any], *, region: str = "") -> dict[str, Any]:
    """The answer of `target` (`TrentService.Decrypt`), whose endpoint AWS_ENDPOINT_URL_<SERVICE> may name.

    Raises UnavailableError where it does not answer, refuses, or nobody's credentials are known.
    """
    region = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "")
    if not region or not os.environ.get("AWS_ACCESS_KEY_ID"):
        raise UnavailableError(
            f"{service} cannot be asked: AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set; "
            "`aws configure export-credentials --format env` prints them"
        )
    body = msgspec.json.encode(document)
    url = urlsplit(_endpoint(service, region))
    headers = {"content-type": _JSON, "host": url.netloc, "x-amz-target": target}
    headers |= sign(headers, body, service, region, datetime.now(UTC))
    connect = HTTPConnection if url.scheme == "http" else HTTPSConnection
    connection = connect(url.netloc, timeout=SECONDS)
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        told = answer.read()
    except (OSError, HTTPException) as error:
        raise UnavailableError(f"{service} does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != _OK:
        raise UnavailableError(f"{service} refuses {target}: {_reason(told) or answer.status}")
    return dict(msgspec.json.decode(told))


def sign(headers: Mapping[str, str], body: bytes, service: str, region: str, now: datetime) -> dict[str, str]:
    """The headers that sign a POST to `/` with these headers, whose names are in lower case."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    token = os.environ.get("AWS_SESSION_TOKEN")
    added = {"x-amz-date": stamp} | ({"x-amz-security-token": token} if token else {})
    signed = dict(sorted({**headers, **added}.items()))
    names = ";".join(signed)
    listed = "".join(f"{name}:{value}\n" for name, value in signed.items())
    request = f"POST\n/\n\n{listed}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = b"AWS4" + os.environ["AWS_SECRET_ACCESS_KEY"].encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{os.environ['AWS_ACCESS_KEY_ID']}/{scope}"
    value = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return {**added, "authorization": value}


def _endpoint(service: str, region: str) -> str:
    given = os.environ.get(f"AWS_ENDPOINT_URL_{_VARIABLES.get(service, service.upper())}")
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return given or os.environ.get("AWS_ENDPOINT_URL") or f"https://{service}.{region}.{domain}"


_VARIABLES = {"secretsmanager": "SECRETS_MANAGER"}


def _reason(told: bytes) -> str:
    """AWS's own name of the error; its message may repeat what was sent."""
    try:
        kind = msgspec.json.decode(told).get("__type", "")
    except (msgspec.DecodeError, AttributeError):
        return ""
    return str(kind).rpartition("#")[2]
