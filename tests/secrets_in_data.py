"""Data with a secret in it, in every way that it can be where it is not expected, and who looks for it."""

from __future__ import annotations

import io
import traceback
from collections.abc import Iterable
from pathlib import Path

import numpy as np

SECRETS = (b"SECRET", b"7731.25", b"77312500")
"""As texts, as numbers, and as numbers in other forms."""
TEXT, NUMBER = "SECRET Müller", 7731.25


def assert_no_secret(*texts: str | bytes) -> None:
    """Nobody's values are in the texts."""
    for text in texts:
        raw = text.encode() if isinstance(text, str) else text
        for secret in SECRETS:
            assert secret not in raw, raw[:2000].decode(errors="replace")


def assert_no_secret_in_files(folder: Path, *, but: Iterable[str] = ()) -> None:
    """Nor in any file under the folder, arrays unpacked, except those of these names."""
    for file in folder.rglob("*"):
        if file.is_file() and file.name not in but:
            assert_no_secret(file.read_bytes(), *_unpacked(file))


def error_text(error: BaseException | None) -> str:
    """What an error that nobody catches prints, with its causes and contexts."""
    return "" if error is None else "".join(traceback.format_exception(error))


def _unpacked(file: Path) -> list[str]:
    if file.suffix != ".npz":
        return []
    text = io.StringIO()
    with np.load(file) as arrays:
        for name in arrays.files:
            text.write(f"{name} {arrays[name].tolist()}")
    return [text.getvalue()]
