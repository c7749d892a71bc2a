"""What publishing asks of a policy: that it speaks of what the version has, and that the baseline obeys it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from onnxlet.errors import InvalidInputError
from onnxlet.monitor.baseline import Baseline
from onnxlet.monitor.capture.policy import CapturePolicy, read_policy
from onnxlet.monitor.capture.rules import AnyRule, name_of
from onnxlet.steps import Steps
from onnxlet.values.datatypes import DATATYPES
from onnxlet.values.signature import Signature
from onnxlet.values.spelling import did_you_mean

MOST_SLICES = 8
_NUMBERS = frozenset("if")


def check_policy(document: Mapping[str, Any], steps: Steps, graph: Signature, served: Signature) -> CapturePolicy:
    """The policy, for a version with these steps around its graph.

    Raises InvalidInputError for columns and outputs that it has not, and rules that their datatypes do not allow.
    """
    policy = read_policy(document)
    columns = steps.columns
    inputs = (
        {column.name: column.datatype for column in columns}
        if columns is not None
        else {spec.name: spec.datatype for spec in steps.inputs(steps.row_signature, graph)}
    )
    outputs = {spec.name: spec.datatype for spec in served.outputs}
    _check_rules("column", policy.columns, inputs, steps.encoded)
    _check_rules("output", policy.outputs, outputs, ())
    shared = policy.columns.keys() & policy.outputs.keys()
    if shared:
        raise InvalidInputError(f"{min(shared)!r} is both a column and an output of the policy: name it once")
    if len(policy.slices) > MOST_SLICES:
        raise InvalidInputError(f"a policy has at most {MOST_SLICES} slices, not {len(policy.slices)}")
    for name in policy.slices:
        if not policy.rule_of(name).captures:
            raise InvalidInputError(f"{name!r} cannot be a slice: the policy captures nothing of it")
    return policy


def obeying(baseline: Baseline, policy: CapturePolicy | None) -> Baseline:
    """The baseline without the columns that the policy drops or hashes."""
    if policy is None:
        return baseline
    return msgspec.structs.replace(
        baseline,
        columns=tuple(each for each in baseline.columns if policy.rule_of(each.name).is_counted),
        outputs=tuple(each for each in baseline.outputs if policy.rule_of(each.name).is_counted),
        slices={value: obeying(each, policy) for value, each in baseline.slices.items()},
    )


def _check_rules(noun: str, rules: Mapping[str, AnyRule], datatypes: Mapping[str, str], encoded: Iterable[str]) -> None:
    for name, rule in rules.items():
        if name not in datatypes:
            listed = ", ".join(map(repr, datatypes))
            hint = did_you_mean(name, datatypes) or f"; it has {listed[:300]}"
            raise InvalidInputError(f"the policy speaks of the {noun} {name!r}, which the version has not{hint}")
        if rule.captures and name in encoded:
            raise InvalidInputError(f"{name!r} takes files, such as pictures: they can be dropped or counted")
        if rule.needs_numbers and DATATYPES[datatypes[name]].kind not in _NUMBERS:
            raise InvalidInputError(f"{name!r} holds {datatypes[name]}: {name_of(rule)} is for numbers")
