"""Prices: a file with region, date and source, unverified until its reader says otherwise."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import msgspec

from onnxlet.errors import InvalidInputError
from onnxlet.store.files import replace_whole

SHIPPED = Path(__file__).with_name("prices.json")

Price = Annotated[float, msgspec.Meta(ge=0)]
Word = Annotated[str, msgspec.Meta(min_length=1)]


class PriceTag(msgspec.Struct, frozen=True):
    """Whose prices a figure rests on. Every figure in money travels with one."""

    region: Word
    currency: Word
    date: dt.date
    source: Word
    verified: bool

    def __str__(self) -> str:
        return f"{self.region}, {self.date}, {'verified' if self.verified else 'unverified'}"


class ByArchitecture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A price per processor architecture."""

    x86_64: Price
    arm64: Price


class Prices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A price list. Each price is in `currency`, for what its name says; GB are GiB where Lambda counts them."""

    region: Word
    currency: Word
    date: dt.date
    source: Word
    verified: bool
    gb_second: ByArchitecture
    million_requests: Price
    tmp_gb_second: Price
    http_api_million_requests: Price
    s3_thousand_gets: Price
    logs_gb: Price

    @property
    def tag(self) -> PriceTag:
        """Where and when these prices hold."""
        return PriceTag(self.region, self.currency, self.date, self.source, self.verified)


def read_prices(path: Path | None = None) -> Prices:
    """The price list at `path`, or the one that comes with the package.

    Raises InvalidInputError for a file that cannot be read or is no price list.
    """
    path = path or SHIPPED
    try:
        return msgspec.json.decode(path.read_bytes(), type=Prices)
    except OSError as error:
        raise InvalidInputError(f"the prices file {str(path)!r} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{str(path)!r} is no price list: {_lowercase_first(error)}; "
            "`onnxlet fit --write-prices PATH` writes one to edit"
        ) from error


def write_prices(path: Path) -> None:
    """Write the package's own price list to `path`, whole, for its reader to edit.

    Raises InvalidInputError if it exists, or cannot be written.
    """
    if path.exists():
        raise InvalidInputError(f"{str(path)!r} exists already: name another file, or move it away")
    try:
        replace_whole(path, SHIPPED.read_bytes())
    except OSError as error:
        raise InvalidInputError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def _lowercase_first(error: Exception) -> str:
    text = str(error).replace("`", "'")
    return text[:1].lower() + text[1:]
