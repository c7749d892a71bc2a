"""Pictures as bodies: one as it is, or several in the parts of a form."""

from __future__ import annotations

from email.message import Message

from onnxlet.dataplane.messages import Request
from onnxlet.errors import InvalidInputError
from onnxlet.steps.picture_formats import FORMATS, format_of, format_of_type

MAX_PARTS = 256
"""Parts that a form may have."""
_BLANK = b"\r\n\r\n"
_SHOWN = 40


def pictures_in(request: Request) -> list[bytes] | None:
    """The pictures of a body whose Content-Type is `image/…`, `application/dicom` or `multipart/form-data`; None for
    other bodies.

    Raises InvalidInputError for formats that are not read, for bytes that are not of the type that is said, and for
    forms that are not well formed.
    """
    content_type = request.headers.get("content-type", "")
    if content_type[:6].lower() == "image/" or content_type[:17].lower() == "application/dicom":
        return [_checked(request.body, content_type, "the body")]
    if content_type[:19].lower() == "multipart/form-data":
        return _read_form(request.body, content_type)
    return None


def _read_form(body: bytes, content_type: str) -> list[bytes]:
    """The contents of each part, in their order (RFC 7578); what stands before and behind them is nothing."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_boundary()
    if not boundary or not boundary.isascii():
        raise InvalidInputError("the form's Content-Type names no boundary")
    delimiter = b"\r\n--" + boundary.encode()
    if body.count(delimiter) > MAX_PARTS:
        raise InvalidInputError(f"the form has more than {MAX_PARTS} parts: send fewer pictures per call")
    _, *parts = (b"\r\n" + body).split(delimiter)
    if not parts or not parts[-1].startswith(b"--"):
        raise InvalidInputError("the form ends too soon: its last boundary is missing")
    return [_read_part(part, index) for index, part in enumerate(parts[:-1])]


def _read_part(part: bytes, index: int) -> bytes:
    head, blank, content = part.partition(_BLANK)
    if not blank:
        raise InvalidInputError(f"part {index} of the form has no content")
    from email.parser import BytesHeaderParser

    # what is no ASCII there comes as an object of its own
    declared = str(BytesHeaderParser().parsebytes(head.lstrip() + _BLANK).get("Content-Type", ""))
    return _checked(content, declared, f"part {index} of the form")


def _checked(content: bytes, content_type: str, place: str) -> bytes:
    """The content, if it is of the type that is said. What says `application/octet-stream`, or nothing, may be any."""
    media_type = content_type.partition(";")[0].strip().lower()
    said, found = format_of_type(media_type), format_of(content)
    if not (said or media_type.startswith("image/")):
        return content
    if not said:
        raise InvalidInputError(f"{place} is {media_type[:_SHOWN]!r}, which is not read: send {FORMATS}")
    if said != found:
        raise InvalidInputError(f"{place} is said to be {media_type!r}, and is {found or 'no picture that is known'}")
    return content
