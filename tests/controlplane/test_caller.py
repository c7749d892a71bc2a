"""Who calls, according to each kind of event."""

from __future__ import annotations

from typing import Any

import pytest

from onnxlet.controlplane.caller import caller

ARN = "arn:aws:iam::123456789012:user/ada"


@pytest.mark.parametrize(
    ("context", "who"),
    [
        ({"authorizer": {"iam": {"userArn": ARN, "accountId": "123456789012"}}}, ARN),
        ({"identity": {"userArn": ARN}}, ARN),
        ({"authorizer": {"jwt": {"claims": {"sub": "ada", "iss": "https://id.example"}}}}, "ada (https://id.example)"),
        ({"authorizer": {"claims": {"sub": "ada"}}}, "ada"),
        ({"authorizer": {"lambda": {"principalId": "ada"}}}, "ada"),
        ({"authorizer": {"principalId": "ada"}}, "ada"),
        ({"authorizer": {"jwt": {"claims": {}}}}, "anonymous"),
        ({"authorizer": None, "identity": {"userArn": None}}, "anonymous"),
        ({}, "anonymous"),
    ],
)
def test_the_caller_is_whom_the_authorizer_found(context: dict[str, Any], who: str) -> None:
    assert caller({"requestContext": context}) == who


def test_an_event_without_a_context_is_anonymous() -> None:
    assert caller({}) == "anonymous"
