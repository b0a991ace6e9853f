"""Bytes → an upright RGB picture as a viewer would show it, or the reason why not. The one decoder of the project."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.errors import reason

# Goes up when the same bytes become other pixels: it is part of a teacher cache's identity.
DECODING_VERSION = 1
# The same in words, for the cards of students.
DECODING = {"frame": "first", "transparency": "over white", "sixteen_bits": "high byte", "mode": "RGB"}
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF", "AVIF")
MAX_PIXELS = 100_000_000
# A picture whose brightest value is below this is almost black, as 12-bit data in 16-bit files become.
DIM = 32
_ORIENTATION = 0x0112
# What libraries raise on bytes that are no sound picture.
_DAMAGE = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, ArithmeticError, AttributeError),
    *(struct.error, RuntimeError, AssertionError),
)


class UnreadableError(Exception):
    """These bytes are no picture that can be shown as RGB; the message is the reason for the quarantine list."""


def decode(data: bytes, *, exif: bool) -> Image.Image:
    """An RGB image, transparency over white, the first frame of several, turned as EXIF's orientation says if `exif`.

    Raises UnreadableError with the reason, for anything that a hostile or broken file can do.
    """
    if not data:
        raise UnreadableError("empty file")
    try:
        with _without_warnings(), _opened(data) as image:
            if image.format not in FORMATS:
                raise UnreadableError(f"format {image.format} is not read")
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableError(f"{image.width} × {image.height} pixels, more than {MAX_PIXELS:,}")
            image.load()
            picture = _as_rgb(image)
            turn = _turn(image) if exif else None
            return picture if turn is None else picture.transpose(turn)
    except UnreadableError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableError("not an image, or of a format that is not read") from error
    except Image.DecompressionBombError as error:
        raise UnreadableError(f"more than {MAX_PIXELS:,} pixels") from error
    except _DAMAGE as error:
        raise UnreadableError(f"damaged: {reason(error)}") from error


def peculiarities(data: bytes, picture: Image.Image) -> list[str]:
    """What a user may not expect of bytes that decode to `picture`, a few words each."""
    found = []
    if np.asarray(picture).max() < DIM:
        found.append(f"almost black: nothing above {DIM - 1} of 255")
    with suppress(*_DAMAGE), _without_warnings(), Image.open(io.BytesIO(data)) as image:
        if getattr(image, "n_frames", 1) > 1:
            found.append("several frames, of which the first is taken")
    return found


# EXIF's orientations, by which a viewer turns what is stored.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _opened(data: bytes) -> Image.Image:
    formats = [name for name in FORMATS if name != "MPO"]
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except UnidentifiedImageError:
        # Pillow reads a JPEG's resolution from its EXIF, and gives up where that is odd.
        plain = _without_exif(data)
        if plain == data:
            raise
        return Image.open(io.BytesIO(plain), formats=formats)


def _without_exif(data: bytes) -> bytes:
    """A JPEG without its EXIF segments, which stand before its pixels; anything else as it is."""
    if not data.startswith(b"\xff\xd8"):
        return data
    kept, at = data[:2], 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda" and at + 4 <= len(data):
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] != 0xE1 or data[at + 4 : at + 8] != b"Exif":
            kept += data[at:end]
        at = max(end, at + 2)
    return kept + data[at:]


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Pillow's warnings name no file; what is wrong enough is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _turn(image: Image.Image) -> Image.Transpose | None:
    """By EXIF's orientation, the one entry that is read; None where odd EXIF does not tell it, as the pixels are sound."""
    with suppress(*_DAMAGE):
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    return None


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit grey at 255; a viewer shows its high byte.
        grey = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise UnreadableError("floating-point pixels have no agreed brightness")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    return image.convert("RGB")
