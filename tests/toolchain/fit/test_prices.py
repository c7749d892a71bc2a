"""Price lists: unverified until their reader says otherwise, whole, and refused where they are none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from measurements import PRICES
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.fit.prices import SHIPPED, read_prices, write_prices


def test_prices_are_unverified_until_their_reader_says_otherwise(tmp_path: Path) -> None:
    assert not PRICES.verified
    path = tmp_path / "prices.json"
    write_prices(path)
    path.write_text(path.read_text().replace('"verified": false', '"verified": true'))
    assert str(read_prices(path).tag) == f"us-east-1, {PRICES.date}, verified"
    with pytest.raises(InvalidInputError, match="exists already"):
        write_prices(path)
    with pytest.raises(InvalidInputError, match="cannot be written"):
        write_prices(tmp_path / "nowhere" / "prices.json")


def test_prices_that_a_full_disk_does_not_take_leave_nothing(tmp_path: Path) -> None:
    program = f"""
import resource
from pathlib import Path
from onnxlet.errors import InvalidInputError
from onnxlet.toolchain.fit.prices import write_prices

resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write_prices(Path({str(tmp_path / "prices.json")!r}))
except InvalidInputError as error:
    print(error.detail)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "cannot be written: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"region": None}, "missing required field 'region'"),
        ({"region": ""}, r"length >= 1 - at '\$.region'"),
        ({"date": "yesterday"}, r"at '\$.date'"),
        ({"million_requests": -0.2}, r">= 0.* - at '\$.million_requests'"),
        ({"gb_second": {"x86_64": 0.1}}, "missing required field 'arm64'"),
        ({"milion_requests": 0.2}, "unknown field 'milion_requests'"),
        ({"verified": "yes"}, r"at '\$.verified'"),
    ],
)
def test_a_bad_price_list_is_refused_by_what_is_wrong_with_it(
    tmp_path: Path, change: dict[str, object], said: str
) -> None:
    document = json.loads(SHIPPED.read_bytes()) | change
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not None}))
    with pytest.raises(InvalidInputError, match=f"is no price list: .*{said}"):
        read_prices(path)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff"])
def test_what_is_no_price_list_at_all_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError, match="--write-prices"):
        read_prices(path)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_prices(tmp_path)
