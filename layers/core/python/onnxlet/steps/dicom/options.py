"""What a version declares of the DICOM files that it takes."""

from __future__ import annotations

from math import isfinite
from typing import Literal

import msgspec


class Dicom(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How values become the 256 levels that the rest of the step works on.

    `window`: `file`, the first one that the file has, which must have one; `range`, from the least to the greatest
    value of the picture; or a center and width for all files, in the units that rescale slope and intercept lead to.
    """

    window: Literal["file", "range"] | tuple[float, float] = "file"

    def __post_init__(self) -> None:
        """Raise ValueError for what is no window."""
        if isinstance(self.window, tuple) and not (all(map(isfinite, self.window)) and self.window[1] >= 1):
            raise ValueError("a window is a center and a width of at least 1")

    def describe(self) -> str:
        """The window, in words."""
        if isinstance(self.window, tuple):
            return "DICOM in the window {:g} / {:g}".format(*self.window)
        return "DICOM in the file's window" if self.window == "file" else "DICOM from its least to its greatest value"
