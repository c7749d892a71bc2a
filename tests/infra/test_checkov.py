"""What `make check-infra` shows checkov, and what it does not ask."""

from __future__ import annotations

import re

import pytest
from samtranslator.yaml_helper import yaml_parse

from templates import REPOSITORY, refusals
from write_stacks import OPTIONS, STORAGE

OFF = ("", "false", 0, -1)


@pytest.mark.parametrize(
    ("template", "chosen"), [("template.yaml", OPTIONS), ("infra/storage.yaml", STORAGE)], ids=["main", "storage"]
)
def test_every_option_is_on_where_every_option_shall_be(template: str, chosen: dict[str, object]) -> None:
    parameters = yaml_parse((REPOSITORY / template).read_text())["Parameters"]
    assert {name for name, parameter in parameters.items() if parameter.get("Default") in OFF} <= chosen.keys()
    assert not any(parameters[name].get("Default") == value for name, value in chosen.items())


def test_the_stack_with_every_option_on_is_one_that_can_be_made() -> None:
    assert refusals(**OPTIONS) == []


@pytest.mark.parametrize("stacks", ["default", "options"])
def test_every_skip_is_justified_beside_it(stacks: str) -> None:
    text = (REPOSITORY / "infra" / "checkov" / f"{stacks}.yaml").read_text()
    skips = re.findall(r"^  - (.*)$", text, re.MULTILINE)
    assert skips
    assert all(re.fullmatch(r"CKV_AWS_\d+ # \w.{20,}", skip) for skip in skips), skips
