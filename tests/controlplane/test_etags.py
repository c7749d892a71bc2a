"""Conditional requests: entity tags in headers."""

from __future__ import annotations

import pytest

from onnxlet.controlplane.etags import etag_matches, format_etag
from onnxlet.errors import InvalidInputError


@pytest.mark.parametrize("etag", ["abc", '"abc"'])
def test_an_etag_is_quoted_once_whatever_the_store_does(etag: str) -> None:
    assert format_etag(etag) == '"abc"'


@pytest.mark.parametrize("header", ['"abc"', ' "abc" ', '"x", "abc"', '"abc","x"', "*"])
def test_a_list_that_holds_the_etag_matches(header: str) -> None:
    assert etag_matches(header, "abc")
    assert etag_matches(header, '"abc"')


@pytest.mark.parametrize("header", ['"x"', '"x", "y"', '""'])
def test_a_list_without_the_etag_does_not_match(header: str) -> None:
    assert not etag_matches(header, "abc")


def test_nothing_matches_what_does_not_exist() -> None:
    assert not etag_matches("*", None)


def test_a_weak_tag_matches_only_weakly() -> None:
    assert not etag_matches('W/"abc"', "abc")
    assert etag_matches('W/"abc"', "abc", weakly=True)


@pytest.mark.parametrize("header", ["abc", "", '"a" "b"', '"abc', "w/abc"])
def test_what_is_no_list_of_entity_tags_is_refused(header: str) -> None:
    with pytest.raises(InvalidInputError, match="entity tags"):
        etag_matches(header, "abc")
