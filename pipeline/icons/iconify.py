"""The icon package `@iconify/json`: one JSON file a set, each icon an SVG body and a published name."""

import io
import json
import re
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.errors import InputError

IMAGE_SIZE = 64

# What names say of the drawing and not of the thing drawn: grid sizes, weights, fills and variants.
STYLE_WORDS = frozenset(
    "outline outlined line linear broken solid fill filled flat duo duotone twotone tone bold bolder light lighter thin "
    "regular rounded round sharp small large mini micro alt variant one two three four five six big xs sm md lg xl "
    "ios dark color colour colored rtl ltr stroke bulk loop twotone".split()
)


@dataclass(frozen=True)
class Icon:
    """One drawing: its set (prefix), its published name, further names (aliases) and a whole SVG document."""

    prefix: str
    name: str
    aliases: tuple[str, ...]
    svg: str


def find_package(folder: Path) -> Path:
    """The unpacked package's root (`npm pack @iconify/json`, then `tar xzf`). Raises InputError if it is not one."""
    for root in (folder, folder / "package", folder / "node_modules/@iconify/json"):
        if (root / "collections.json").is_file():
            return root
    raise InputError(
        f"{folder}: no unpacked @iconify/json package here (collections.json is missing); "
        "run `npm pack @iconify/json`, unpack the archive and name its folder"
    )


def read_collections(package: Path) -> dict[str, dict[str, Any]]:
    """Prefix → the set's published facts (name, category, licence)."""
    collections: dict[str, dict[str, Any]] = json.loads((package / "collections.json").read_text())
    return collections


def read_set(package: Path, prefix: str) -> list[Icon]:
    """All visible icons of a set in the order of the file, aliases that do not transform the drawing attached."""
    data = json.loads((package / "json" / f"{prefix}.json").read_text())
    aliases: dict[str, list[str]] = {}
    for name, alias in data.get("aliases", {}).items():
        if set(alias) == {"parent"}:
            aliases.setdefault(alias["parent"], []).append(name)
    icons = []
    for name, icon in data["icons"].items():
        if icon.get("hidden"):
            continue
        left, top, width, height = (
            icon.get(key, data.get(key, default))
            for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
        )
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" color="#000" '
            f'width="{IMAGE_SIZE}" height="{IMAGE_SIZE}" viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
        )
        icons.append(Icon(prefix, name, tuple(aliases.get(name, ())), svg))
    return icons


def words(name: str) -> tuple[str, ...]:
    """The words of a published name that say what is drawn: `bell-02-solid` → ("bell",)."""
    return tuple(word for word in re.split(r"[^a-z]+", name.lower()) if word and word not in STYLE_WORDS)


def rasterise(icon: Icon) -> np.ndarray | None:
    """(64, 64, 3) uint8 on white, or None where the renderer refuses the drawing or it leaves no mark."""
    import resvg_py

    try:
        png = resvg_py.svg_to_bytes(
            svg_string=icon.svg,
            width=IMAGE_SIZE,
            height=IMAGE_SIZE,
            background="#ffffff",
            skip_system_fonts=True,
        )
    except ValueError:
        return None
    pixels = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))
    if pixels.shape != (IMAGE_SIZE, IMAGE_SIZE, 3) or pixels.min() > 160:
        return None
    return pixels


def rasterise_all(icons: list[Icon], workers: int = 2) -> list[np.ndarray | None]:
    """`rasterise` over several processes, in order."""
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(rasterise, icons, chunksize=256))


def descriptors(images: np.ndarray) -> np.ndarray:
    """(N, 64, 64, 3) uint8 → (N, 576) float32 unit rows: the ink, cropped to its box, at 24 × 24 and centred.

    Two drawings whose rows have a cosine near 1 are the same shape whatever their size, place and colour.
    """
    rows = np.empty((len(images), 24 * 24), np.float32)
    for index, image in enumerate(images):
        ink = 255 - image.min(2)
        mark = np.argwhere(ink > 32)
        (top, left), (bottom, right) = mark.min(0), mark.max(0) + 1
        shape = Image.fromarray(ink).resize((24, 24), Image.Resampling.BOX, box=(left, top, right, bottom))
        row = np.asarray(shape, np.float32).ravel()
        row -= row.mean()
        rows[index] = row / max(float(np.linalg.norm(row)), 1e-6)
    return rows
