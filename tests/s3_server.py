"""S3 played by moto's server, whose conditional writes are as atomic as S3's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests

from onnxlet.local.twin.aws_server import serve_aws


@contextmanager
def s3_server() -> Iterator[str]:
    """The URL of an S3 server on a free port, in which every object is lost at the end."""
    with serve_aws() as url:
        requests.get(url, timeout=60).raise_for_status()  # moto loads its S3 at the first request, which takes seconds
        yield url
