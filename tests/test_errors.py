"""The error tree: as drawn, with a title and a slug each."""

import re

from onnxlet import errors
from onnxlet.errors import ModelNotFoundError, OnnxletError


def tree(kind: type[OnnxletError], depth: int = 0) -> list[tuple[int, str]]:
    rows = [(depth, kind.__name__)]
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:  # what a module keeps to itself is not in the tree
            rows += tree(child, depth + 1)
    return rows


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    assert errors.__doc__ is not None
    drawn = [
        (match.start(1) // 4, match.group(1))
        for line in errors.__doc__.splitlines()
        if (match := re.match(r"[│├└─ ]*(\w+Error)\b", line))
    ]
    assert drawn == tree(OnnxletError)


def test_every_kind_says_what_it_is() -> None:
    for _, name in tree(OnnxletError):
        kind = getattr(errors, name)
        assert kind.__doc__
        assert kind is OnnxletError or kind.title != OnnxletError.title


def test_an_error_carries_its_values_and_a_slug() -> None:
    error = ModelNotFoundError("no model named 'x'", model="x")
    assert (str(error), error.context, error.slug()) == ("no model named 'x'", {"model": "x"}, "model-not-found")
