"""Routing keys that were seen in a window, so that of the rows of one key one counts.

Keys are hashed with a secret that the process draws and forgets: nothing that is written tells one, and no other
process can know it again. Across processes a key may count once in each.
"""

from __future__ import annotations

import os
from hashlib import blake2b

MOST_KEYS = 100_000
"""Keys of one window; of more none counts."""


class SeenKeys:
    """The keys of windows: model, version and day."""

    def __init__(self) -> None:
        self._secret = os.urandom(16)
        self._seen: dict[tuple[str, int, str], set[bytes]] = {}

    def is_new(self, window: tuple[str, int, str], key: str) -> bool:
        """Whether the window has not seen the key yet; from now on it has."""
        seen = self._seen.setdefault(window, set())
        hashed = blake2b(key.encode("utf-8", "surrogatepass"), key=self._secret, digest_size=8).digest()
        if hashed in seen or len(seen) >= MOST_KEYS:
            return False
        seen.add(hashed)
        return True

    def forget_before(self, day: str) -> None:
        """Forget windows to which nothing is added any more."""
        self._seen = {window: seen for window, seen in self._seen.items() if window[2] >= day}
