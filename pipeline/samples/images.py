"""Bytes → an upright RGB picture as a viewer would show it, or the reason why not. The one decoder of the project."""

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pipeline.errors import reason

# Goes up when the same bytes become other pixels: it is part of a teacher cache's identity.
DECODING_VERSION = 1
FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
MAX_PIXELS = 100_000_000


class UnreadableError(Exception):
    """These bytes are no picture that can be shown as RGB; the message is the reason for the quarantine list."""


def decode(data: bytes, *, exif: bool) -> Image.Image:
    """An RGB image, transparency over white, the first frame of several, turned as EXIF says if `exif`.

    Raises UnreadableError with the reason, for anything that a hostile or broken file can do.
    """
    if not data:
        raise UnreadableError("empty file")
    try:
        with Image.open(io.BytesIO(data), formats=[name for name in FORMATS if name != "MPO"]) as image:
            if image.format not in FORMATS:
                raise UnreadableError(f"format {image.format} is not read")
            if image.width * image.height > MAX_PIXELS:
                raise UnreadableError(f"{image.width} × {image.height} pixels, more than {MAX_PIXELS:,}")
            image.load()
            upright = ImageOps.exif_transpose(image) if exif else image
            return _as_rgb(upright)
    except UnreadableError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableError("not an image, or of a format that is not read") from error
    except Image.DecompressionBombError as error:
        raise UnreadableError(f"more than {MAX_PIXELS:,} pixels") from error
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, ArithmeticError) as error:
        raise UnreadableError(f"damaged: {reason(error)}") from error


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
