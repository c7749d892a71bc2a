"""Who calls: the identity that API Gateway or a Function URL established before the function ran."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ANONYMOUS = "anonymous"


def caller(event: Mapping[str, Any]) -> str:
    """The identity in a Lambda event: an IAM ARN, a token's subject, an authorizer's principal, or `anonymous`.

    HTTP APIs and Function URLs put it below `requestContext.authorizer`, REST APIs also in `requestContext.identity`.
    """
    context = _mapping(event.get("requestContext"))
    authorizer = _mapping(context.get("authorizer"))
    candidates = (
        _mapping(authorizer.get("iam")).get("userArn"),
        _subject(_mapping(_mapping(authorizer.get("jwt")).get("claims"))),
        _subject(_mapping(authorizer.get("claims"))),
        _mapping(authorizer.get("lambda")).get("principalId"),
        authorizer.get("principalId"),
        _mapping(context.get("identity")).get("userArn"),
    )
    return next((name for name in candidates if isinstance(name, str) and name), ANONYMOUS)


def _subject(claims: Mapping[str, Any]) -> str | None:
    # A subject is unique only within its issuer.
    subject, issuer = claims.get("sub"), claims.get("iss")
    if not subject:
        return None
    return f"{subject} ({issuer})" if issuer else str(subject)


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
