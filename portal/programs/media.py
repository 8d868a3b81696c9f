"""What may pass from a tool to an agent as an image, as sound or as a file, and what only claims to."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Literal

Kind = Literal["image", "audio", "resource"]

UNKNOWN = "application/octet-stream"
MAX_TYPE_CHARS = 100
_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*")
# No SVG: it is a program. An image that does not begin as its type must is not shown as one.
_IMAGES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
_AUDIO = frozenset(
    {"audio/aac", "audio/flac", "audio/mp4", "audio/mpeg", "audio/ogg", "audio/wav", "audio/webm", "audio/x-wav"}
)


class NotBase64(Exception):
    """The text is not base64."""


def media_type(claimed: object) -> str:
    """Return a media type without its parameters, UNKNOWN for what is none."""
    if not isinstance(claimed, str):
        return UNKNOWN
    name = claimed[: MAX_TYPE_CHARS + 1].partition(";")[0].strip().lower()
    return name if len(name) <= MAX_TYPE_CHARS and _TYPE.fullmatch(name) else UNKNOWN


def decoded(text: str) -> bytes:
    """Return the bytes of strict base64. Raises NotBase64."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotBase64 from None


def unfit(kind: Kind, name: str, data: bytes) -> str:
    """Return why ``data`` of type ``name`` must not be shown as a ``kind``; "" when it may. Any file may be a file."""
    if kind == "image":
        if name not in _IMAGES:
            return "not a type of image that is passed on"
        if not data.startswith(_IMAGES[name]) or (name == "image/webp" and data[8:12] != b"WEBP"):
            return "its data is no such image"
    if kind == "audio" and name not in _AUDIO:
        return "not a type of sound that is passed on"
    return ""
