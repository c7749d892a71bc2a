"""Canonical JSON: sorted keys, no white space, UTF-8, shortest floats.

Equal documents have equal bytes, and so equal digests, whichever onnxlet wrote them. It is not quite RFC 8785, which
writes some floats otherwise: 1 for 1.0, say.
"""

from typing import Any

import msgspec


def canonical(value: Any) -> bytes:  # noqa: ANN401 - any value that JSON can say
    """The canonical JSON bytes of `value`."""
    return msgspec.json.encode(value, order="sorted")
