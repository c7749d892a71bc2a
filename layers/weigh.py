"""Weigh what `sam build` built, unzipped, and hold it to Lambda's limits with room to spare: run after a build.

Lambda takes 250 MB for a function's code and layers together. The budgets leave room for a layer of the user's own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

BUILD = Path(__file__).parents[1] / ".aws-sam" / "build"
BASE = ("CoreLayer", "EngineLayer")
FOREIGN = ("OpenTelemetryLayer",)
"""Parameters that name a layer of somebody else's."""
BASE_BUDGET = 116.0
FUNCTION_BUDGET = 180.0


def megabytes(directory: Path) -> float:
    """The size of everything in a directory."""
    return sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir()) / 1e6


def weights(resources: dict[str, Any], build: Path) -> list[tuple[str, float, float]]:
    """(what, megabytes, budget) of the base layers and of each function with its layers."""
    found = [(" + ".join(BASE), sum(megabytes(build / layer) for layer in BASE), BASE_BUDGET)]
    for name, resource in resources.items():
        if resource["Type"] == "AWS::Serverless::Function":
            parts = [name, *_layers(resource["Properties"]["Layers"])]
            found.append((" + ".join(parts), sum(megabytes(build / part) for part in parts), FUNCTION_BUDGET))
    return found


def _layers(layers: list[dict[str, str]] | dict[str, Any]) -> list[str]:
    """The layers' names; those of ours that a parameter adds are weighed as if it did."""
    while isinstance(layers, dict):
        layers = layers["Fn::If"][1]
    return [each["Ref"] for each in layers if each["Ref"] not in FOREIGN]


def main() -> None:
    """Print the weights; exit 1 if one is over its budget."""
    template = yaml.safe_load((BUILD / "template.yaml").read_text())
    found = weights(template["Resources"], BUILD)
    for what, weight, budget in found:
        print(f"{weight:7.1f} MB of {budget:.0f}  {what}")  # noqa: T201 - what it is for
    over = [what for what, weight, budget in found if weight > budget]
    if over:
        sys.exit(f"over budget: {', '.join(over)}")


if __name__ == "__main__":
    main()
