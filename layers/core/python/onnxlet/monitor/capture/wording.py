"""What a policy does, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from onnxlet.errors import IntegrityError
from onnxlet.monitor.capture.policy import CapturePolicy, policy_of
from onnxlet.monitor.capture.rules import AnyRule, Bucket, Round, name_of

MOST_NAMED = 6
"""Columns of one rule that are named."""


def describe_policy(document: Mapping[str, Any] | None) -> str:
    """`keep label; bucket age (width 10); drop name; 10 % of requests; 30 days`."""
    try:
        policy = policy_of(document)
    except IntegrityError:
        return "what only a newer onnxlet reads"
    if policy is None:
        return "nothing"
    return "; ".join([*_rules(policy), *_bounds(policy)])


def _rules(policy: CapturePolicy) -> list[str]:
    by_rule: defaultdict[str, list[str]] = defaultdict(list)
    of_request = {"request id": policy.request_id, "version": policy.version, "time": policy.time}
    for name, rule in {**policy.columns, **policy.outputs, **of_request, "all others": policy.otherwise}.items():
        detail = _detail(rule)
        by_rule[name_of(rule)].append(f"{name} ({detail})" if detail else name)
    return [
        f"{rule} {', '.join(names[:MOST_NAMED])}"
        + (f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else "")
        for rule, names in by_rule.items()
    ]


def _detail(rule: AnyRule) -> str:
    if isinstance(rule, Bucket):
        return f"width {rule.width:g}" if rule.width is not None else f"{len(rule.edges)} edges"
    return f"{rule.digits} digits" if isinstance(rule, Round) else ""


def _bounds(policy: CapturePolicy) -> list[str]:
    sampled = [f"{policy.sample:.4g} of requests"] if policy.sample < 1 else []
    kept = [f"{policy.retention_days} days"] if policy.retention_days is not None else []
    return [*sampled, *kept]
