"""Manifests, aliases and entries: canonical bytes, and round trips through them."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxlet.errors import IntegrityError
from onnxlet.steps import Classification, Column, Steps, Tabular
from onnxlet.values.aliases import Alias, HistoryEntry, Route, decode_alias, decode_entry, encode
from onnxlet.values.canonical import canonical
from onnxlet.values.digests import digest
from onnxlet.values.manifest import (
    SCHEMA,
    Artifact,
    Manifest,
    Provenance,
    decode_draft,
    decode_manifest,
    encode_manifest,
)
from onnxlet.values.signature import Signature, TensorSpec

FEATURES = TensorSpec("features", "FP32", (-1, 2))
PROBABILITIES = TensorSpec("probabilities", "FP32", (-1, 2))

MANIFEST = Manifest(
    model="diagnosis",
    version=7,
    created="2026-05-03T14:03:00Z",
    publisher="ana@clinic",
    artifacts=(Artifact("model.onnx", digest(b"graph"), 5),),
    graph=Signature((FEATURES,), (TensorSpec("label", "INT64", (-1,)), PROBABILITIES)),
    signature=Signature((FEATURES,), (TensorSpec("label", "BYTES", (-1,)), PROBABILITIES)),
    steps=Steps(
        (
            Tabular((Column("radius", "FP32"), Column("texture", "FP32", default=0.0)), "features"),
            Classification("label", "probabilities", ("malignant", "benign"), (0, 1)),
        )
    ).documents,
    provenance=Provenance("scikit-learn", {"ai.onnx": 21, "ai.onnx.ml": 3}),
)


def entry(sequence: int, predecessor: str | None) -> HistoryEntry:
    routes = (Route(7, 1.0, digest(b"manifest")),)
    return HistoryEntry(
        model="diagnosis",
        alias="production",
        sequence=sequence,
        action="promote",
        who="ana@clinic",
        when="2026-05-03T14:03:00Z",
        why="",
        origin=(),
        target=routes,
        predecessor=predecessor,
    )


def test_a_manifest_reads_back_as_it_was_written() -> None:
    assert decode_manifest(encode_manifest(MANIFEST)) == MANIFEST


def test_canonical_bytes_do_not_depend_on_the_order_in_which_keys_were_given() -> None:
    assert (
        canonical({"b": 1, "a": [1.5, "é"]}) == canonical({"a": [1.5, "é"], "b": 1}) == '{"a":[1.5,"é"],"b":1}'.encode()
    )


def test_equal_manifests_have_equal_digests_and_other_ones_do_not() -> None:
    again = decode_manifest(encode_manifest(MANIFEST))
    assert digest(encode_manifest(again)) == digest(encode_manifest(MANIFEST))
    other = msgspec.structs.replace(MANIFEST, publisher="eve")
    assert digest(encode_manifest(other)) != digest(encode_manifest(MANIFEST))


def test_a_manifest_of_a_newer_schema_is_refused_with_the_advice_to_upgrade() -> None:
    with pytest.raises(IntegrityError, match="upgrade onnxlet"):
        decode_manifest(encode_manifest(msgspec.structs.replace(MANIFEST, schema=SCHEMA + 1)))


@given(st.binary(max_size=60))
def test_bytes_that_are_no_document_are_refused_and_never_crash(data: bytes) -> None:
    for decode in (decode_manifest, decode_alias, decode_entry):
        with pytest.raises(IntegrityError):
            decode(data)


@pytest.mark.parametrize(
    "data", [b"[" * 100_000, b'{"a":' * 100_000, b'{"schema":1,"steps":[1]}', b'{"schema":1,"steps":{"tabular":5}}']
)
def test_documents_that_are_too_deep_or_of_another_form_are_refused(data: bytes) -> None:
    for decode in (decode_manifest, decode_draft, decode_alias, decode_entry):
        with pytest.raises(IntegrityError):
            decode(data)


def test_an_alias_and_its_entry_read_back_as_they_were_written() -> None:
    alias = Alias(sequence=1, routes=(Route(7, 1.0, digest(b"manifest")),), entry=entry(1, None))
    assert decode_alias(encode(alias)) == alias
    assert decode_entry(encode(alias.entry)) == alias.entry


def test_an_entry_says_from_and_to_as_people_do() -> None:
    document = json.loads(encode(entry(1, None)))
    assert document["from"] == []
    assert [route["version"] for route in document["to"]] == [7]


def test_an_alias_that_routes_nowhere_is_refused() -> None:
    alias = Alias(sequence=1, routes=(), entry=entry(1, None))
    with pytest.raises(IntegrityError, match="routes to no version"):
        decode_alias(encode(alias))
