"""That the month's search finds what it looks for, however it is written."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from month.nothing_raw import find_names
from onnxlet.store import Store

NAME = "QXVZKJWPLMRTBDFG"
WAYS = {
    "plain": NAME.encode(),
    "within a word": f"x{NAME.lower()}y".encode(),
    "as JSON": json.dumps({"note": f"{NAME} reports pain"}).encode(),
    "as UTF-16": NAME.encode("utf-16"),
    "as hexadecimal": NAME.encode().hex().encode(),
    "as base64": base64.b64encode(b"ab" + NAME.encode()),
    "compressed": gzip.compress(NAME.encode()),
    "compressed twice": gzip.compress(gzip.compress(NAME.encode())),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_name_is_found(store: Store, way: str) -> None:
    store.put("innocent/object", b"nothing")
    store.put("guilty/object", WAYS[way])
    assert find_names(store, ["ABCDEFGHIJKLMNOP", NAME]) == [("guilty/object", NAME)]


def test_nothing_is_found_where_nothing_is(store: Store) -> None:
    store.put("innocent/object", b"QXVZKJWPLMRTBDF and G, and " + base64.b64encode(b"something else, as long as that"))
    assert find_names(store, [NAME], [("log", b"no name"), ("empty", b""), ("so too", gzip.compress(b""))]) == []
