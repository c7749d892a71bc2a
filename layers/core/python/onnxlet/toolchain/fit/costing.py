"""Arithmetic on prices: what a million predictions cost. No clock, no file, no network."""

from __future__ import annotations

from math import ceil

from onnxlet.toolchain.fit.limits import LEAST_TMP, Architecture
from onnxlet.toolchain.fit.prices import Prices
from onnxlet.toolchain.fit.sizing import DOCUMENTS

MILLION = 1_000_000
GB = 1e9
MB_PER_GB = 1024
"""Lambda's GB."""
COLD_SHARE = 0.01
"""Of the requests that meet a new function instance: AWS says fewer than 1 % do."""
LOG_BYTES = 1000
"""That a request leaves in logs: Lambda's own lines and the HTTP API's access log."""


def gb_second_price(memory: int, tmp: int, prices: Prices, architecture: Architecture) -> float:
    """What a second of a function of `memory` MB with `tmp` MB of /tmp costs."""
    lambda_price = prices.gb_second.x86_64 if architecture == "x86_64" else prices.gb_second.arm64
    return memory / MB_PER_GB * lambda_price + max(0, tmp - LEAST_TMP) / MB_PER_GB * prices.tmp_gb_second


def billed(seconds: float) -> float:
    """Seconds as Lambda bills them: whole milliseconds, rounded up."""
    return ceil(round(seconds * 1000, 6)) / 1000


def per_million(
    memory: int,
    *,
    warm: float,
    cold: float,
    tmp: int,
    artifacts: int,
    prices: Prices,
    architecture: Architecture,
    rows: int = 1,
) -> float:
    """What a million predictions cost, of which each request asks for `rows`.

    Requests to Lambda and to the HTTP API, seconds of warm and cold calls, what a cold one reads from S3, and logs.
    """
    seconds = (1 - COLD_SHARE) * billed(warm) + COLD_SHARE * billed(cold)
    request = (
        prices.million_requests / MILLION
        + prices.http_api_million_requests / MILLION
        + seconds * gb_second_price(memory, tmp, prices, architecture)
        + COLD_SHARE * (DOCUMENTS + artifacts) * prices.s3_thousand_gets / 1000
        + LOG_BYTES * prices.logs_gb / GB
    )
    return request * MILLION / rows


def assumptions() -> tuple[str, ...]:
    """What the figures of this module rest on besides prices."""
    return (
        f"{COLD_SHARE:.0%} of the requests are cold starts, all of whose seconds are billed",
        f"a request leaves {LOG_BYTES} bytes of logs, and comes through the HTTP API with at most 512 kB",
        "left out: free tiers, taxes, traffic out of AWS, storage, reads of aliases, KMS, alarms",
    )
