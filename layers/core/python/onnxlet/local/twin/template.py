"""A template of CloudFormation, read as the twin needs it: conditions, parameters and functions resolved.

In CloudFormation's own words, as far as the resources that the twin plays use them:
docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from onnxlet.errors import InvalidInputError

_NO_VALUE = object()
_REFERENCE = re.compile(r"\$\{([^!}][^}]*)\}")
_PSEUDO = {
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::StackName": "onnxlet",
    "AWS::NoValue": _NO_VALUE,
}


class Template:
    """A template's resources, with values in their places: those of parameters, their defaults otherwise, and of other
    references. A resource's ARN is its name here.

    Raises InvalidInputError for a file that is none.
    """

    def __init__(self, path: Path, parameters: Mapping[str, Any], references: Mapping[str, str]) -> None:
        try:
            document = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader with tags of its own
        except FileNotFoundError as error:
            raise InvalidInputError(
                f"there is no {path.name} here: the twin runs in a clone of the repository, whose template it plays"
            ) from error
        except yaml.YAMLError as error:
            raise InvalidInputError(f"{path.name} is no YAML: {error}") from error
        defaults = {name: each.get("Default", "") for name, each in document.get("Parameters", {}).items()}
        if unknown := parameters.keys() - defaults.keys():
            raise InvalidInputError(f"{path.name} has no parameter {', '.join(map(repr, sorted(unknown)))}")
        self.folder = path.parent
        self._resources = document["Resources"]
        self._conditions = document.get("Conditions", {})
        self._values = {**_PSEUDO, **defaults, **parameters, **references}
        self.defaults = self._resolve(document.get("Globals", {}).get("Function", {}))

    def resources(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Name and properties of each resource of a kind."""
        return [
            (name, self._resolve(resource.get("Properties", {})))
            for name, resource in self._resources.items()
            if resource["Type"] == kind and self._holds(resource.get("Condition"))
        ]

    def nested(self) -> list[tuple[str, Template]]:
        """Name and template of each stack within this one."""
        return [
            (name, Template(self.folder / properties["Location"], properties.get("Parameters", {}), {}))
            for name, properties in self.resources("AWS::Serverless::Application")
        ]

    def _resolve(self, node: Any) -> Any:  # noqa: ANN401 - any YAML
        if isinstance(node, list):
            return [value for value in map(self._resolve, node) if value is not _NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, argument), *_ = node.items()
            if name in self._functions:
                return self._functions[name](argument)
        resolved = ((name, self._resolve(value)) for name, value in node.items())
        return {name: value for name, value in resolved if value is not _NO_VALUE}

    @property
    def _functions(self) -> Mapping[str, Callable[[Any], Any]]:
        """CloudFormation's functions, those of conditions among them."""
        return {
            "Ref": lambda name: self._values.get(name, name),
            "Condition": self._holds,
            "Fn::GetAtt": lambda path: self._values.get(".".join(path), path[0]),
            "Fn::Sub": lambda text: _REFERENCE.sub(lambda found: str(self._values.get(found[1], found[1])), text),
            "Fn::Join": lambda arguments: arguments[0].join(map(str, self._as_list(arguments[1]))),
            "Fn::If": lambda arguments: self._resolve(arguments[1 if self._holds(arguments[0]) else 2]),
            "Fn::Equals": lambda sides: str(self._resolve(sides[0])) == str(self._resolve(sides[1])),
            "Fn::Not": lambda negated: not self._resolve(negated[0]),
            "Fn::And": lambda all_of: all(map(self._resolve, all_of)),
            "Fn::Or": lambda any_of: any(map(self._resolve, any_of)),
        }

    def _as_list(self, node: Any) -> list[Any]:  # noqa: ANN401 - any YAML
        """A list, or the elements of one that is written with commas."""
        resolved = self._resolve(node)
        return resolved if isinstance(resolved, list) else str(resolved).split(",")

    def _holds(self, condition: str | None) -> bool:
        """Whether the condition of this name holds; no name, no condition."""
        return condition is None or bool(self._resolve(self._conditions[condition]))


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # ten times as fast, if it is there
    """YAML with CloudFormation's short tags, which become the long form: `!Ref x` → {"Ref": x}."""


def _long_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = str(value).split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type] # there is no fourth kind
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)
