"""Image + eleven numbers + size → uint8 pixels: the definition of a view, for teacher and student alike.

torchvision's functional operations on a Pillow image: what the paper's code draws, and fixed-point arithmetic that
hardly differs between machines. Normalisation comes after and is each network's own.
"""

import numpy as np
import torchvision.transforms.v2.functional as tv
from PIL import Image
from torchvision.transforms import InterpolationMode

from pipeline.views.distribution import COLUMNS, ORDERS

_AT = {name: index for index, name in enumerate(COLUMNS)}
_COLOUR = (
    (tv.adjust_brightness, "brightness"),
    (tv.adjust_contrast, "contrast"),
    (tv.adjust_saturation, "saturation"),
    (tv.adjust_hue, "hue"),
)
NEUTRAL = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
# The probe's fixed 4 × 4 grid, as shares of the side; rounding tolerance in levels of 255.
PROBE_AT = (0.125, 0.375, 0.625, 0.875)
PROBE_TOLERANCE = 2


def render(image: Image.Image, view: np.ndarray, size: int) -> np.ndarray:
    """An upright RGB image and a view's (11,) numbers → (size, size, 3) uint8."""
    box = crop_box(view, image.width, image.height)
    picture = tv.resized_crop(image, *box, [size, size], InterpolationMode.BILINEAR, antialias=True)
    if view[_AT["flip"]]:
        picture = tv.horizontal_flip(picture)
    for operation in ORDERS[int(view[_AT["order"]])]:
        change, column = _COLOUR[operation]
        factor = float(view[_AT[column]])
        # torchvision's ColorJitter leaves out what is not asked for; a hue of 0 would still round through HSV.
        if factor != NEUTRAL[column]:
            picture = change(picture, factor)
    if view[_AT["grey"]]:
        picture = tv.rgb_to_grayscale(picture, num_output_channels=3)
    return np.asarray(picture)


def crop_box(view: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """top, left, height, width in whole pixels: each relative number times the side, rounded to the nearest."""
    left, top, crop_width, crop_height = (
        round(float(view[_AT[name]]) * side)
        for name, side in (("left", width), ("top", height), ("width", width), ("height", height))
    )
    return top, left, max(1, crop_height), max(1, crop_width)


def squash(image: Image.Image, size: int) -> np.ndarray:
    """The student's clean view, DomainBed's evaluation transform: the whole image at size × size, bilinear."""
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR))


def probe(pixels: np.ndarray) -> np.ndarray:
    """(side, side, 3) uint8 → (48,) uint8: sixteen pixels of a fixed grid, row by row, RGB."""
    at = [int(share * pixels.shape[0]) for share in PROBE_AT]
    return pixels[np.ix_(at, at)].reshape(48)
