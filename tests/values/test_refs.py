"""Refs and names: what a person may write, and what can never become a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.errors import InvalidNameError
from onnxlet.values.refs import MAX_VERSION, Ref, check_alias_name, check_model_name, check_version, parse_ref

NAMES = st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9_-]|\.[A-Za-z0-9_-]){0,40}\Z")
ALIASES = st.from_regex(r"\A[A-Za-z0-9_][A-Za-z0-9_-]{0,40}\Z")


@given(NAMES, st.integers(1, MAX_VERSION))
def test_a_ref_with_a_version_reads_back_as_it_was_written(model: str, version: int) -> None:
    ref = Ref(model, version=version)
    assert parse_ref(str(ref)) == ref


@given(NAMES, ALIASES)
def test_a_ref_with_an_alias_reads_back_as_it_was_written(model: str, alias: str) -> None:
    ref = Ref(model, alias=alias)
    assert parse_ref(str(ref)) == ref


def test_a_bare_name_has_neither_version_nor_alias() -> None:
    assert parse_ref("diagnosis") == Ref("diagnosis")


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".a",
        "a.",
        "a..b",
        "a/b",
        "../a",
        "a\\b",
        "a b",
        "-a",
        "_a",
        "é",
        "diagnösis",
        "a\n",
        "a\x00",
        "x" * 129,
    ],
)
def test_a_name_that_could_leave_its_prefix_or_confuse_a_reader_is_refused(name: str) -> None:
    with pytest.raises(InvalidNameError) as error:
        check_model_name(name)
    assert repr(name) in error.value.detail


@given(st.text())
def test_whatever_passes_as_a_name_is_one_plain_path_segment(text: str) -> None:
    try:
        name = check_model_name(text)
    except InvalidNameError:
        return
    assert name.isascii()
    assert "/" not in name
    assert ".." not in name
    assert len(name) <= 128


@pytest.mark.parametrize("alias", ["", "a b", "a/b", "-a", "é", "a.b", "x" * 64])
def test_an_alias_outside_its_alphabet_is_refused(alias: str) -> None:
    with pytest.raises(InvalidNameError):
        check_alias_name(alias)


@pytest.mark.parametrize("text", ["", "0", "-1", "+1", "1.0", "1e3", " 1", "١", str(MAX_VERSION + 1), "9" * 400])  # noqa: RUF001
def test_a_version_is_a_positive_64_bit_number_in_plain_digits(text: str) -> None:
    with pytest.raises(InvalidNameError):
        check_version(text)


@pytest.mark.parametrize("text", ["diagnosis:", "diagnosis@", "diagnosis:1@production", "@production", ":1", "a:b"])
def test_a_ref_that_is_half_written_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError):
        parse_ref(text)
