"""Is it an image, and one that may be sent? Decided by its content, never by its name (B121, B122)."""

from __future__ import annotations

from io import BytesIO
from typing import Final

import filetype
from PIL import Image

from beat.schedule_form.values import MAX_IMAGE_BYTES, ImageFacts, Problem

MAX_PIXELS: Final = 50_000_000  # decoded about 200 MB; a few kilobytes can claim far more
_FORMATS: Final = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
_WANTED: Final = "JPEG, PNG, GIF or WebP"


def check_image(name: str, data: bytes, max_bytes: int = MAX_IMAGE_BYTES) -> ImageFacts | Problem:
    """The image's facts, or the reason why it is refused (always on the field `images`).

    Reads the whole first picture, so a truncated file is found here and not by the provider. Needs no
    file and no network; decoding costs up to about 200 MB for a moment.
    """
    if not data:
        return Problem("images", f"{name} is empty", _WANTED)
    if len(data) > max_bytes:
        return Problem("images", f"{name} has {len(data):,} bytes", f"at most {max_bytes:,}")
    mime = filetype.guess_mime(data)
    if mime not in _FORMATS.values():
        return Problem("images", f"{name} is no image but {mime or 'of an unknown kind'}", _WANTED)
    return _decoded(name, data)


def _decoded(name: str, data: bytes) -> ImageFacts | Problem:
    try:
        with Image.open(BytesIO(data), formats=list(_FORMATS)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return _too_large(name, f"{width} x {height} pixels")
            image.load()
            return ImageFacts(name, _FORMATS[str(image.format)], len(data), width, height)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return _too_large(name, "more pixels than can be decoded")
    except Exception as broken:  # a damaged file makes decoders raise almost anything
        return Problem("images", f"{name} is damaged: {broken}"[:300], "save it anew and try again")


def _too_large(name: str, size: str) -> Problem:
    return Problem("images", f"{name} has {size}", f"at most {MAX_PIXELS:,} pixels")
