"""The capture policy of a version: what is kept of the rows that it answers. Without one nothing is.

It stands in the manifest, so that it never changes and is part of what an alias's digest pins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from onnxlet.errors import IntegrityError, InvalidInputError
from onnxlet.monitor.capture.rules import RULES, AnyRule, Bucket, Count, Drop, Hash, Keep, name_of

ROWS_PER_HOUR = 10_000
BYTES_PER_HOUR = 10_000_000
_OF_REQUESTS = ("request_id", "version", "time", "otherwise")


class CapturePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A rule for each raw column and output, and for what is known of a request; `otherwise` for those not named.

    `sample` is the share of requests that is captured, told by their ids. The caps are each environment's: rows and
    bytes (before compression) per hour, rows per request. `retention_days` after its day an object may be removed;
    `slices` are captured columns whose values a report looks at one by one.
    """

    columns: dict[str, AnyRule] = {}
    outputs: dict[str, AnyRule] = {}
    request_id: Drop | Hash | Keep = Drop()
    version: Drop | Keep = Keep()
    time: Drop | Bucket | Keep = Drop()
    otherwise: Drop | Count = Count()
    sample: float = 1.0
    rows_per_hour: int = ROWS_PER_HOUR
    rows_per_request: int = 1_000
    bytes_per_hour: int = BYTES_PER_HOUR
    retention_days: int | None = None
    slices: tuple[str, ...] = ()

    def rule_of(self, name: str) -> AnyRule:
        """The rule of a column, or of an output; `probabilities[0]` has that of `probabilities`, if none of its own."""
        for named in (name, name.rpartition("[")[0]):
            rule = self.columns.get(named) or self.outputs.get(named)
            if rule is not None:
                return rule
        return self.otherwise

    @property
    def needs_key(self) -> bool:
        """Whether something is hashed."""
        return any(rule.needs_key for rule in (*self.columns.values(), *self.outputs.values(), self.request_id))

    @property
    def captures(self) -> bool:
        """Whether anything of a row is captured."""
        return any(rule.captures for rule in (*self.columns.values(), *self.outputs.values()))

    @property
    def drops(self) -> bool:
        """Whether something must enter no buffer."""
        return any(isinstance(r, Drop) for r in (*self.columns.values(), *self.outputs.values(), self.otherwise))

    @property
    def joins_labels(self) -> bool:
        """Whether labels can be joined with what is captured."""
        kept = any(rule.captures for rule in self.outputs.values())
        return kept and isinstance(self.request_id, Keep) and isinstance(self.version, Keep)

    def document(self) -> dict[str, Any]:
        """As the manifest has it: every field, rules written out."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document


NOTHING = CapturePolicy(otherwise=Drop())
"""What holds where a policy cannot be read: a newer onnxlet's may drop what this one would keep."""


def read_policy(document: Mapping[str, Any]) -> CapturePolicy:
    """The policy of a document, in which a rule without fields may be its name alone: `{"age": "drop"}`.

    Raises InvalidInputError.
    """
    given = dict(document)
    for part in ("columns", "outputs"):
        rules = given.get(part)
        if isinstance(rules, Mapping):
            given[part] = {name: _written_out(rule) for name, rule in rules.items()}
    for part in _OF_REQUESTS:
        if part in given:
            given[part] = _written_out(given[part])
    try:
        policy = msgspec.convert(given, CapturePolicy)
    except msgspec.ValidationError as error:
        names = ", ".join(map(name_of, RULES))
        raise InvalidInputError(f"this is no capture policy: {error}; rules are {names}") from error
    _check_values(policy)
    return policy


def policy_of(document: Mapping[str, Any] | None) -> CapturePolicy | None:
    """A published version's policy; None if it has none. Raises IntegrityError for one that cannot be read."""
    if document is None:
        return None
    try:
        return read_policy(document)
    except InvalidInputError as error:
        raise IntegrityError(f"{error.detail}: upgrade onnxlet") from error


def _written_out(rule: object) -> object:
    return {"rule": rule} if isinstance(rule, str) else rule


def _check_values(policy: CapturePolicy) -> None:
    """Raises InvalidInputError for numbers that make no sense."""
    for name, rule in {**policy.columns, **policy.outputs, "time": policy.time}.items():
        if isinstance(rule, Bucket):
            _check_bucket(name, rule)
    if isinstance(policy.time, Bucket) and policy.time.width is None:
        raise InvalidInputError("the bucket of the time needs a width, in seconds")
    if not 0 < policy.sample <= 1:
        raise InvalidInputError(f"sample is a share of requests, more than 0 and at most 1, not {policy.sample}")
    for field in ("rows_per_hour", "rows_per_request", "bytes_per_hour", "retention_days"):
        value = getattr(policy, field)
        if value is not None and value < 1:
            raise InvalidInputError(f"{field} is 1 or more, not {value}")


def _check_bucket(name: str, rule: Bucket) -> None:
    if (rule.width is None) == (not rule.edges):
        raise InvalidInputError(f"the bucket of {name!r} needs either edges or a width")
    if rule.width is not None and not rule.width > 0:
        raise InvalidInputError(f"the width of {name!r} is more than 0, not {rule.width}")
    if any(low >= high for low, high in zip(rule.edges, rule.edges[1:], strict=False)):
        raise InvalidInputError(f"the edges of {name!r} must rise")
