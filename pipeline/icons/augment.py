"""Restyling of corpus icons, so that a teacher of mostly line icons also reads pixels, fills, colours and shaky pens.

All functions map ink (B, 3, H, W) float32 in 0 … 1, where 0 is paper and 1 is full ink, to the same shape.
Colour jitter as photographs get it is left out: a trial lost ten points on pixel icons by it.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

FREE_HAND, STROKE, CONTOUR, FILL, HATCH, PIXELS, TINT, FADE = 0.35, 0.3, 0.12, 0.2, 0.1, 0.25, 0.25, 0.3


def restyle(pixels: Tensor, flippable: Tensor, size: int, random: Generator) -> Tensor:
    """(B, 3, 64, 64) uint8 and (B,) bool → (B, 3, size, size) float32 in 0 … 1 on white, each image restyled at random."""
    ink = 1 - pixels.float() / 255
    for change, share in ((stroke, STROKE), (contour, CONTOUR), (fill, FILL), (hatch, HATCH)):
        ink = _on_some(change, ink, share, random)
    ink = warp(ink, flippable, size, random)
    ink = _on_some(pixelate, ink, PIXELS, random)
    ink = _on_some(fade, ink, FADE, random)
    return 1 - _on_some(tint, ink, TINT, random).clamp(0, 1)


def _on_some(change: Callable[[Tensor, Generator], Tensor], ink: Tensor, share: float, random: Generator) -> Tensor:
    rows = torch.nonzero(torch.rand(len(ink), generator=random) < share)[:, 0]
    if not len(rows):
        return ink
    return ink.index_copy(0, rows, change(ink[rows], random))


def _uniform(rows: int, low: float, high: float, random: Generator) -> Tensor:
    return (torch.rand(rows, 1, 1, 1, generator=random) * (high - low)) + low


def _grow(ink: Tensor, width: int) -> Tensor:
    return F.max_pool2d(ink, width, 1, width // 2)


def _shrink(ink: Tensor, width: int) -> Tensor:
    return -F.max_pool2d(-ink, width, 1, width // 2)


def stroke(ink: Tensor, random: Generator) -> Tensor:
    """Heavier or lighter lines, by up to two pixels."""
    amount = _uniform(len(ink), -0.7, 1.0, random)
    heavy, light = _grow(ink, 3), _shrink(ink, 3)
    return torch.where(amount > 0, ink + amount * (heavy - ink), ink - amount * (light - ink))


def contour(ink: Tensor, random: Generator | None = None) -> Tensor:  # noqa: ARG001
    """Only the edges of what was filled."""
    return _grow(ink, 3) - _shrink(ink, 3)


def fill(ink: Tensor, random: Generator) -> Tensor:
    """A tinted body beneath the lines, by closing the gaps between them."""
    coarse = F.pad(F.max_pool2d(ink.amax(1, keepdim=True), 2), (4, 4, 4, 4))
    body = F.interpolate(_shrink(_grow(coarse, 9), 9)[..., 4:-4, 4:-4], ink.shape[2:], mode="bilinear")
    colour = torch.rand(len(ink), 3, 1, 1, generator=random) * _uniform(len(ink), 0.3, 1.0, random)
    return torch.maximum(ink, body * colour)


def hatch(ink: Tensor, random: Generator) -> Tensor:
    """Parallel strokes in place of a flat fill; the edges stay."""
    y, x = torch.meshgrid(torch.arange(ink.shape[2]), torch.arange(ink.shape[3]), indexing="ij")
    angle = _uniform(len(ink), 0, 3.14, random)
    wave = torch.sin((x * torch.cos(angle) + y * torch.sin(angle)) * _uniform(len(ink), 0.8, 1.8, random))
    return torch.maximum(ink * (wave > 0), contour(ink))


def warp(ink: Tensor, flippable: Tensor, size: int, random: Generator) -> Tensor:
    """Turned, scaled, shifted, mirrored where the name allows it, and for some drawn with a shaking hand."""
    rows = len(ink)
    angle = _uniform(rows, -0.2, 0.2, random)[:, 0, 0, 0]
    scale = _uniform(rows, 0.85, 1.35, random)[:, 0, 0, 0]
    stretch = _uniform(rows, 0.9, 1.1, random)[:, 0, 0, 0]
    mirror = torch.where(flippable & (torch.rand(rows, generator=random) < 0.5), -1.0, 1.0)
    shift = torch.rand(rows, 2, generator=random) * 0.3 - 0.15
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    matrix = torch.stack(
        [torch.stack([cos * stretch * mirror, -sin, shift[:, 0]], 1), torch.stack([sin * mirror, cos, shift[:, 1]], 1)],
        1,
    )
    grid = F.affine_grid(matrix, [rows, 3, size, size], align_corners=False)
    shaky = (torch.rand(rows, 1, 1, 1, generator=random) < FREE_HAND) * _uniform(rows, 0.02, 0.09, random)
    noise = torch.randn(rows, 2, 6, 6, generator=random)
    shake = F.interpolate(noise, (size, size), mode="bicubic", align_corners=False) * shaky
    return F.grid_sample(ink, grid + shake.permute(0, 2, 3, 1), align_corners=False, padding_mode="zeros")


def pixelate(ink: Tensor, random: Generator) -> Tensor:
    """As a grid of 12 to 24 squares, their ink full or none for most."""
    cells = (12, 14, 16, 18, 20, 24)[int(torch.randint(6, (), generator=random))]
    coarse = F.interpolate(ink, (cells, cells), mode="area")
    sharp = ((coarse - 0.35) * 8).clamp(0, 1)
    coarse = torch.where(_uniform(len(ink), 0, 1, random) < 0.75, sharp, coarse)
    return F.interpolate(coarse, ink.shape[2:], mode="nearest")


def fade(ink: Tensor, random: Generator) -> Tensor:
    """Weaker ink."""
    return ink * _uniform(len(ink), 0.35, 1.0, random)


def tint(ink: Tensor, random: Generator) -> Tensor:
    """Coloured ink, for some on coloured paper or light on dark."""
    colour = torch.rand(len(ink), 3, 1, 1, generator=random)
    paper = torch.rand(len(ink), 3, 1, 1, generator=random) * 0.4 * (_uniform(len(ink), 0, 1, random) < 0.4)
    drawn = ink * (1 - colour * 0.8)
    inverted = 1 - drawn
    dark = _uniform(len(ink), 0, 1, random) < 0.15
    return torch.where(dark, inverted, paper + (1 - paper) * drawn)
