"""(cache seed, sample id, view number, width, height) → the eleven numbers of a view. Pure.

The distribution is that of the paper's code: `RandomResizedCrop(scale=(0.7, 1))`, horizontal flip,
`ColorJitter(0.3, 0.3, 0.3, 0.3)`, `RandomGrayscale(0.1)`. `cache/README.md` says the same for other languages.
"""

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from pydantic import Field, model_validator

from pipeline.config import Section
from pipeline.errors import InputError

DRAWING_VERSION = 1
COLUMNS = ("left", "top", "width", "height", "flip", "brightness", "contrast", "saturation", "hue", "order", "grey")
CLEAN = np.array([0, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0], np.float32)
# The colour operations in the order that a view's `order` names: 0 brightness, 1 contrast, 2 saturation, 3 hue.
ORDERS = tuple(itertools.permutations(range(4)))
CROP_TRIES = 10


class Distribution(Section):
    """How views are drawn; the defaults are the official code's. Jitters are half-widths around 1 (hue: around 0, in turns)."""

    scale: tuple[float, float] = (0.7, 1.0)
    """The crop's share of the area, from and to."""
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """The crop's width over height, from and to."""
    flip: float = Field(0.5, ge=0, le=1)
    """How often a view is mirrored."""
    brightness: float = Field(0.3, ge=0, lt=1)
    """Half the width of the factor around 1."""
    contrast: float = Field(0.3, ge=0, lt=1)
    """Half the width of the factor around 1."""
    saturation: float = Field(0.3, ge=0, lt=1)
    """Half the width of the factor around 1."""
    hue: float = Field(0.3, ge=0, le=0.5)
    """Half the width of the shift around 0, in turns."""
    grey: float = Field(0.1, ge=0, le=1)
    """How often a view is grey."""

    @model_validator(mode="after")
    def _ordered(self) -> "Distribution":
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError("scale must be two growing shares of the area, above 0 and at most 1")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError("ratio must be two growing positive numbers")
        return self


def uniforms(seed: int, sample_id: str, view: int) -> Iterator[float]:
    """An endless stream in [0, 1): SHA-256 of "seed:id:view:k" for k = 0, 1 …, each eight bytes giving 53 bits."""
    for block in itertools.count():
        digest = hashlib.sha256(f"{seed}:{sample_id}:{view}:{block}".encode()).digest()
        for start in range(0, 32, 8):
            yield (int.from_bytes(digest[start : start + 8], "big") >> 11) * 2.0**-53


def view_numbers(
    distribution: Distribution, seed: int, sample_id: str, view: int, width: int, height: int
) -> np.ndarray:
    """(11,) float32 in the order of `COLUMNS`, for an upright image of width × height pixels. View 0 is clean."""
    if view == 0:
        return CLEAN.copy()
    random = uniforms(seed, sample_id, view)
    left, top, crop_width, crop_height = _crop(distribution, random, width, height)
    flip = next(random) < distribution.flip
    jitter = [
        1 + (2 * next(random) - 1) * half
        for half in (distribution.brightness, distribution.contrast, distribution.saturation)
    ]
    hue = (2 * next(random) - 1) * distribution.hue
    order = int(next(random) * len(ORDERS))
    grey = next(random) < distribution.grey
    box = [left / width, top / height, crop_width / width, crop_height / height]
    return np.array([*box, flip, *jitter, hue, order, grey], np.float32)


def in_known_columns(numbers: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(…, K) recorded numbers, K their names → (…, 11) in the order of `COLUMNS`; what was not recorded was not changed.
    Where they are so already, they are given back.

    Raises InputError for a column without a name, or by which this version cannot draw.
    """
    if len(names) != numbers.shape[-1]:
        raise InputError(f"views have {numbers.shape[-1]} numbers, and `view_columns` names {len(names)}")
    if unknown := [name for name in names if name not in COLUMNS]:
        raise InputError(
            f"views were drawn with `{unknown[0]}`, by which this version cannot draw (it knows {', '.join(COLUMNS)})"
        )
    if tuple(names) == COLUMNS:
        return numbers.astype(CLEAN.dtype, copy=False)
    known = np.broadcast_to(CLEAN, (*numbers.shape[:-1], len(COLUMNS))).copy()
    for at, name in enumerate(names):
        known[..., COLUMNS.index(name)] = numbers[..., at]
    return known


def is_drawable(numbers: np.ndarray) -> np.ndarray:
    """(…, 11) → (…) bool: whether a view can be drawn by such numbers, wherever they come from."""
    left, top, width, height, flip, brightness, contrast, saturation, hue, order, grey = np.moveaxis(numbers, -1, 0)
    good = (left >= 0) & (top >= 0) & (width > 0) & (height > 0)
    good &= (left + width <= 1 + 1e-6) & (top + height <= 1 + 1e-6)
    for switch in (flip, grey):
        good &= (switch == 0) | (switch == 1)
    for factor in (brightness, contrast, saturation):
        good &= (factor >= 0) & (factor <= 2)
    good &= (np.abs(hue) <= 0.5) & (order >= 0) & (order < len(ORDERS)) & (order % 1 == 0)
    return np.asarray(good)


def _crop(distribution: Distribution, random: Iterator[float], width: int, height: int) -> tuple[int, int, int, int]:
    """left, top, width, height in pixels, as `RandomResizedCrop.get_params` chooses them."""
    low, high = (math.log(bound) for bound in distribution.ratio)
    for _ in range(CROP_TRIES):
        area = width * height * _between(random, *distribution.scale)
        aspect = math.exp(_between(random, low, high))
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(next(random) * (height - crop_height + 1))
            left = int(next(random) * (width - crop_width + 1))
            return left, top, crop_width, crop_height
    aspect = min(max(width / height, distribution.ratio[0]), distribution.ratio[1])
    crop_width, crop_height = min(width, round(height * aspect)), min(height, round(width / aspect))
    return (width - crop_width) // 2, (height - crop_height) // 2, max(1, crop_width), max(1, crop_height)


def _between(random: Iterator[float], low: float, high: float) -> float:
    return low + next(random) * (high - low)
