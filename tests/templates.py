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

from policies import listed

REPOSITORY = Path(__file__).parents[1]
FUNCTIONS = ("Predict", "Api", "Score", "Plan", "Finish", "Watch")
NOTHING = {"Ref": "AWS::NoValue"}
Document = dict[str, Any]


@cache
def translated() -> str:
    """The template as SAM hands it to CloudFormation, as JSON, so that no test can change another's."""
    source = yaml_parse((REPOSITORY / "template.yaml").read_text())
    for resource in source["Resources"].values():
        for location in {"CodeUri", "ContentUri", "DefinitionUri", "Location"} & resource["Properties"].keys():
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
        return _decided(then if _holds(conditions[name], conditions, parameters) else otherwise, conditions, parameters)
    if value.get("Ref") in parameters:
        return parameters[value["Ref"]]
    items = {key: _decided(item, conditions, parameters) for key, item in value.items()}
    return {key: item for key, item in items.items() if item != NOTHING}


def _holds(condition: Document, conditions: Document, parameters: Document) -> bool:
    ((function, arguments),) = condition.items()
    if function == "Condition":
        return _holds(conditions[arguments], conditions, parameters)
    if function == "Fn::Not":
        return not _holds(arguments[0], conditions, parameters)
    if function == "Fn::And":
        return all(_holds(each, conditions, parameters) for each in arguments)
    left, right = (_text(_decided(side, {}, parameters)) for side in arguments)
    if function == "Fn::Contains":
        return right in left
    assert function == "Fn::Equals", function
    return bool(left == right)


def _text(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Parameters are compared as texts, whatever their type; Fn::Join is done, and the stack is called `stack`."""
    if value == {"Ref": "AWS::StackName"}:
        return "stack"
    if isinstance(value, dict):
        separator, parts = value["Fn::Join"]
        return separator.join(parts)
    return value if isinstance(value, list) else str(value)


def _parameters(template: Document, chosen: Document) -> Document:
    """The chosen parameters and the defaults of the others."""
    known = template["Parameters"]
    assert chosen.keys() <= known.keys()
    return {name: _default(parameter) for name, parameter in known.items()} | chosen


def _default(parameter: Document) -> Any:  # noqa: ANN401 - JSON
    default = parameter.get("Default", "")
    return default.split(",") if parameter["Type"] == "CommaDelimitedList" else default


def resources(template: Document, **chosen: object) -> Document:
    """The resources that a stack with these parameters has."""
    parameters = _parameters(template, chosen)
    conditions = template.get("Conditions", {})
    decided = {
        name: _decided(resource, conditions, parameters)
        for name, resource in template["Resources"].items()
        if "Condition" not in resource or _holds({"Condition": resource["Condition"]}, conditions, parameters)
    }
    assert isinstance(decided, dict)
    return decided


def refusals(**chosen: object) -> list[str]:
    """Why CloudFormation makes no stack with these parameters: the template's rules that they break."""
    template = json.loads(translated())
    parameters = _parameters(template, chosen)
    return [
        assertion["AssertDescription"]
        for rule in template["Rules"].values()
        if _holds(rule["RuleCondition"], {}, parameters)
        for assertion in rule["Assertions"]
        if not _holds(assertion["Assert"], {}, parameters)
    ]


def stack(**chosen: object) -> Document:
    """The main stack's resources, translated."""
    return resources(json.loads(translated()), **chosen)


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


def grants(stack: Document, function: str) -> set[tuple[str, str]]:
    """(action, key pattern) of everything that a function's own policy allows on objects."""
    return {
        (action, resource["Fn::Sub"].removeprefix("${Storage.Outputs.BucketArn}/"))
        for statement in statements(stack, function)
        for action in listed(statement["Action"])
        if action.startswith("s3:") and action != "s3:ListBucket"
        for resource in listed(statement["Resource"])
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
