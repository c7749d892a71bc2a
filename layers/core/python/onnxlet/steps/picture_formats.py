"""Formats of pictures that are decoded, told by their first bytes; no decoder is needed for that."""

from __future__ import annotations

LARGEST_SIDE = 4096
"""Pixels of a side of what a graph gets, at most."""

FORMATS = "JPEG, PNG, WebP or TIFF"
DICOM = "DICOM"
"""Read besides these where the version says how."""

_MAGIC = (("JPEG", b"\xff\xd8\xff"), ("PNG", b"\x89PNG\r\n\x1a\n"), ("TIFF", b"II*\0"), ("TIFF", b"MM\0*"))
_RIFF, _WEBP = b"RIFF", b"WEBP"
_PREAMBLE, _DICM = 128, b"DICM"
_TYPES = {
    "image/jpeg": "JPEG",
    "image/jpg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/tiff": "TIFF",
    "application/dicom": DICOM,
}


def format_of(data: bytes) -> str:
    """JPEG, PNG, WEBP, TIFF or DICOM; empty for anything else."""
    if data.startswith(_RIFF) and data[8:12] == _WEBP:
        return "WEBP"
    if data.startswith(_DICM, _PREAMBLE):
        return DICOM
    return next((name for name, magic in _MAGIC if data.startswith(magic)), "")


def format_of_type(media_type: str) -> str:
    """The format that a media type names; empty for others."""
    return _TYPES.get(media_type, "")
