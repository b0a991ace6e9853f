"""Samples worth looking at → their pictures, small and within the page."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image

from pipeline.samples.loading import where_there

# The longer side, in pixels.
SIDE = 96


@dataclass(frozen=True)
class Shown:
    """A sample in a gallery. `picture` is a `data:` address, None where the image is not on this machine; `note` says why it is
    here, and its answers come with their probabilities."""

    picture: str | None
    key: str
    domain: str
    label: str
    student: str
    teacher: str
    note: str


@dataclass(frozen=True)
class Gallery:
    """Samples under one heading; `empty` is said where there are none."""

    title: str
    shown: list[Shown]
    empty: str


def picture(load: Callable[[int], Image.Image], row: int) -> str | None:
    """The image of a sample, reduced, as WebP; None where it cannot be read."""
    image = where_there(load, row)
    if image is None:
        return None
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
