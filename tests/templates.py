"""The template as CloudFormation gets it: translated by SAM, its conditions decided for given parameters."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

REPOSITORY = Path(__file__).parents[1]
FUNCTIONS = ("Predict", "Api", "Score")
NOTHING = {"Ref": "AWS::NoValue"}
Document = dict[str, Any]


@cache
def _translated() -> str:
    """The template as SAM hands it to CloudFormation, as JSON, so that no test can change another's."""
    source = yaml_parse((REPOSITORY / "template.yaml").read_text())
    for resource in source["Resources"].values():
        for location in {"CodeUri", "ContentUri", "Location"} & resource["Properties"].keys():
            resource["Properties"][location] = "s3://uploaded/by-package"
    defaults = {name: parameter["Default"] for name, parameter in source["Parameters"].items()}
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="eu-central-1"))
    return json.dumps(translator.translate(source, defaults))


def _decided(value: Any, conditions: Document, parameters: Document) -> Any:  # noqa: ANN401 - JSON
    """`value` with every Fn::If decided and every parameter filled in; what is AWS::NoValue disappears."""
    if isinstance(value, list):
        decided = [_decided(item, conditions, parameters) for item in value]
        return [item for item in decided if item != NOTHING]
    if not isinstance(value, dict):
        return value
    if "Fn::If" in value:
        name, then, otherwise = value["Fn::If"]
        return _decided(then if _holds(conditions[name], parameters) else otherwise, conditions, parameters)
    if value.get("Ref") in parameters:
        return parameters[value["Ref"]]
    items = {key: _decided(item, conditions, parameters) for key, item in value.items()}
    return {key: item for key, item in items.items() if item != NOTHING}


def _holds(condition: Document, parameters: Document) -> bool:
    if "Fn::Not" in condition:
        return not _holds(condition["Fn::Not"][0], parameters)
    left, right = (_decided(side, {}, parameters) for side in condition["Fn::Equals"])
    return bool(left == right)


def resources(template: Document, **chosen: object) -> Document:
    """The resources that a stack with these parameters has."""
    parameters = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()} | chosen
    conditions = template.get("Conditions", {})
    decided = {
        name: _decided(resource, conditions, parameters)
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or _holds(conditions[resource["Condition"]], parameters)
    }
    assert isinstance(decided, dict)
    return decided


def stack(**chosen: object) -> Document:
    """The main stack's resources, translated."""
    return resources(json.loads(_translated()), **chosen)


def nested(name: str, **chosen: object) -> Document:
    """A nested stack's resources."""
    return resources(yaml_parse((REPOSITORY / "infra" / name).read_text()), **chosen)


def of_type(stack: Document, kind: str) -> dict[str, Document]:
    """The properties of all resources of a type."""
    return {name: resource["Properties"] for name, resource in stack.items() if resource["Type"] == kind}


def statements(stack: Document, function: str) -> Iterator[Document]:
    """What a function's own policies say."""
    for policy in stack[f"{function}Role"]["Properties"]["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def listed(value: Any) -> list[Any]:  # noqa: ANN401 - JSON
    """A value that may be a list or stand alone, as a list."""
    return value if isinstance(value, list) else [value]


def grants(stack: Document, function: str) -> set[tuple[str, str]]:
    """(action, key pattern) of everything that a function's own policy allows on objects."""
    return {
        (action, resource["Fn::Sub"].removeprefix("${Storage.Outputs.BucketArn}/"))
        for statement in statements(stack, function)
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if action != "s3:ListBucket"
    }


def operations(stack: Document) -> Iterator[tuple[str, Document]]:
    """(path, operation) of everything that the API answers."""
    for path, methods in stack["HttpApi"]["Properties"]["Body"]["paths"].items():
        for operation in methods.values():
            yield path, operation


def listing(stack: Document, function: str) -> Document:
    """The statement that lets a function list keys."""
    (statement,) = (it for it in statements(stack, function) if it["Action"] == "s3:ListBucket")
    return statement
