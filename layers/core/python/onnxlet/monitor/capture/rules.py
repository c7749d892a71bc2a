"""What a policy can do with a column. A rule is a document with its name, `{"rule": "bucket", "width": 10}`."""

from __future__ import annotations

from collections.abc import Callable
from math import floor, isfinite, isnan
from typing import ClassVar

import msgspec

from onnxlet.values.tensors import Tensor

HASH_BYTES = 16
"""Of HMAC-SHA256: enough that two of 2^32 values meet by a chance of 2^-65."""
Json = bool | int | float | str | None
Cell = Json | list["Cell"]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="rule"):
    """One rule. What stands here is that of a rule which keeps a column from being captured."""

    captures: ClassVar[bool] = False
    """Whether something of the column is captured."""
    is_counted: ClassVar[bool] = True
    """Whether the column is counted in sketches and baselines."""
    needs_numbers: ClassVar[bool] = False
    """Whether only numbers can be made into what is captured."""
    needs_key: ClassVar[bool] = False
    """Whether it takes the data key."""

    def release(self, value: Json, key: bytes) -> Json:  # noqa: ARG002 - `key` is the column's own
        """What is captured of a value; of a missing one None."""
        return None


class Drop(Rule, frozen=True, tag="drop"):
    """It enters no buffer, no sketch, no baseline and no capture."""

    is_counted = False


class Count(Rule, frozen=True, tag="count"):
    """It is counted in sketches, as without a policy, and not captured."""


class Keep(Rule, frozen=True, tag="keep"):
    """It is captured as it is."""

    captures = True

    def release(self, value: Json, key: bytes) -> Json:  # noqa: ARG002 - other rules hash
        """The value itself."""
        return value


class Hash(Rule, frozen=True, tag="hash"):
    """Its HMAC under the column's own key is captured: equal values have equal hashes, and without the key every hash
    could be guessed. It is not sketched: a baseline would name its most frequent values.
    """

    captures = True
    is_counted = False
    needs_key = True

    def release(self, value: Json, key: bytes) -> Json:
        """32 hexadecimal digits; numbers are hashed as JSON writes them."""
        if value is None or value == "" or (isinstance(value, float) and isnan(value)):
            return None
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        import hmac  # it loads OpenSSL, which a cold start need not wait for

        return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256")[:HASH_BYTES].hex()


class Bucket(Rule, frozen=True, tag="bucket"):
    """The interval in which a number lies is captured: between `edges`, or of a `width`, from 0 on."""

    captures = True
    needs_numbers = True
    edges: tuple[float, ...] = ()
    width: float | None = None

    def release(self, value: Json, key: bytes) -> Json:  # noqa: ARG002 - other rules hash
        """`[60, 70)`, lower end included; `< 18` and `>= 65` outside of the edges."""
        if not isinstance(value, int | float) or not isfinite(value):
            return None
        if self.width is not None:
            place = floor(value / self.width)
            return f"[{place * self.width:.12g}, {(place + 1) * self.width:.12g})"
        above = [edge for edge in self.edges if edge > value]
        if len(above) == len(self.edges):
            return f"< {self.edges[0]:.12g}"
        low = self.edges[len(self.edges) - len(above) - 1]
        return f"[{low:.12g}, {above[0]:.12g})" if above else f">= {low:.12g}"


class Round(Rule, frozen=True, tag="round"):
    """The number is captured with so many decimals; -2 rounds to hundreds."""

    captures = True
    needs_numbers = True
    digits: int = 0

    def release(self, value: Json, key: bytes) -> Json:  # noqa: ARG002 - other rules hash
        """The rounded number; 0, never -0."""
        if not isinstance(value, int | float) or not isfinite(value):
            return None
        return round(value, self.digits) + 0


AnyRule = Drop | Count | Keep | Hash | Bucket | Round
RULES: tuple[type[AnyRule], ...] = (Drop, Count, Keep, Hash, Bucket, Round)


def name_of(rule: Rule | type[Rule]) -> str:
    """The `rule` of its documents."""
    return str(rule.__struct_config__.tag)


def release_column(rule: Rule, column: Tensor, key: bytes) -> list[Cell]:
    """What is captured of each row [N, ...] of a column; rows of several values are lists."""
    return [_released(value, rule.release, key) for value in column.tolist()]


def _released(value: object, release: Callable[[Json, bytes], Json], key: bytes) -> Cell:
    if isinstance(value, list):
        return [_released(each, release, key) for each in value]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str) and not value.isascii():
        value = value.encode("utf-8", "replace").decode()  # half a surrogate pair is no text that JSON can say
    if isinstance(value, float) and not isfinite(value):
        value = None if isnan(value) else repr(value)
    return release(value if isinstance(value, bool | int | float | str) else None, key)
