"""IAM's evaluation of policies, as far as the template and the documents use it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

Statement = Mapping[str, Any]
Context = Mapping[str, str]


def listed(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    """A value that may be a list or stand alone, as a list."""
    return value if isinstance(value, list) else [value]


def allows(statements: Iterable[Statement], action: str, resource: str, context: Context | None = None) -> bool:
    """Whether some statement allows it and none denies it."""
    effects = {it["Effect"] for it in statements if applies(it, action, resource, context or {})}
    return effects == {"Allow"}


def denies(statements: Iterable[Statement], action: str, resource: str, context: Context | None = None) -> bool:
    """Whether some statement denies it."""
    return any(it["Effect"] == "Deny" and applies(it, action, resource, context or {}) for it in statements)


def applies(statement: Statement, action: str, resource: str, context: Context) -> bool:
    """Whether action, resource and all conditions match. In patterns, `*` matches slashes too."""
    return (
        any(fnmatchcase(action, pattern) for pattern in listed(statement["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in listed(statement["Resource"]))
        and all(
            _met(operator, context.get(key), listed(values))
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _met(operator: str, value: str | None, values: list[str]) -> bool:
    """A key that the request has not meets negated operators, and no others."""
    if operator == "Null":
        return [str(value is None).lower()] == values
    if operator == "StringNotEquals":
        return value not in values
    if operator in ("ArnLike", "StringLike"):
        return value is not None and any(fnmatchcase(value, pattern) for pattern in values)
    assert operator in ("Bool", "StringEquals", "ArnEquals"), operator
    return value in values
