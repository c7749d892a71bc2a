"""Bearer tokens (RFC 6750): what says who asks, for whoever sends one and whoever asks for one."""

import re

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


def is_token(value: object) -> bool:
    """Whether something can be a token, as it was issued."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None
