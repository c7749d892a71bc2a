"""What CloudWatch takes as embedded metric format.

Source: "Specification: Embedded metric format" of the CloudWatch user guide, its JSON schema and the rules beside it: a
metric's target is a number or at most 100 of them, a dimension's a string, and both stand at the root.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema

_BYTES = ["Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes"]
_BITS = ["Bits", "Kilobits", "Megabits", "Gigabits", "Terabits"]
UNITS = [
    *("Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "Count/Second", "None"),
    *_BYTES,
    *_BITS,
    *(f"{unit}/Second" for unit in _BYTES + _BITS),
]
_NAME = {"type": "string", "minLength": 1, "maxLength": 255}
SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": _NAME,
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "array", "minItems": 0, "maxItems": 9, "items": _NAME},
                            },
                            "Metrics": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "additionalProperties": False,
                                    "properties": {"Name": _NAME, "Unit": {"enum": UNITS}},
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}
MOST_BYTES = 256 * 1024
_VALUE = {"anyOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}, "maxItems": 100}]}
_DIMENSION = {"type": "string", "minLength": 1, "maxLength": 1024}


def check(line: str) -> dict[str, Any]:
    """The document in a line of the log. Raises jsonschema.ValidationError for what CloudWatch would not take."""
    assert len(line.encode()) <= MOST_BYTES
    document: dict[str, Any] = json.loads(line, parse_constant=_refuse)
    jsonschema.validate(document, SCHEMA)
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for metric in directive["Metrics"]:
            jsonschema.validate(document[metric["Name"]], _VALUE)
        for name in {name for names in directive["Dimensions"] for name in names}:
            jsonschema.validate(document[name], _DIMENSION)
    return document


def _refuse(constant: str) -> float:
    raise AssertionError(f"{constant} is no JSON")
