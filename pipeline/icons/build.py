"""The icon package → the data set's Parquet, the teacher's corpus, and the NOTICE of both."""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.errors import InputError
from pipeline.icons import corpus
from pipeline.icons.corpus import Pairs
from pipeline.icons.iconify import descriptors, rasterise_all, read_collections, read_set
from pipeline.icons.selection import (
    CLASSES,
    DOMAINS,
    FEATURE_COSINE,
    MINIMUM,
    TWIN_COSINE,
    Candidate,
    candidates,
    fill_cells,
    without_twins,
)
from pipeline.progress import say, track

Embed = Callable[[np.ndarray], np.ndarray]


def draw_candidates(package: Path) -> tuple[list[Candidate], np.ndarray]:
    """All icons that could stand in the data set, shortest names first, and their (N, 64, 64, 3) uint8 pictures."""
    sets = {prefix: read_set(package, prefix) for prefixes in DOMAINS.values() for prefix in prefixes}
    pool = candidates(sets)
    drawn = [
        (c, image) for c, image in zip(pool, rasterise_all([c.icon for c in pool]), strict=True) if image is not None
    ]
    return [c for c, _ in drawn], np.stack([image for _, image in drawn])


def choose(pool: list[Candidate], images: np.ndarray, embed: Embed) -> tuple[list[Candidate], np.ndarray]:
    """Drops twins by shape, then by the teacher's features (`embed`: images → unit float32 rows), then fills the cells.

    Raises InputError where a class and domain has fewer than `MINIMUM` left.
    """
    for rows, cosine in ((descriptors, TWIN_COSINE), (embed, FEATURE_COSINE)):
        kept = without_twins(rows(images), cosine)
        pool, images = [pool[at] for at in kept], images[kept]
    chosen = fill_cells(pool)
    pool, images = [pool[at] for at in chosen], images[chosen]
    counts = Counter((c.domain, c.label) for c in pool)
    poor = [(domain, label) for domain in DOMAINS for label in CLASSES if counts[domain, label] < MINIMUM]
    if poor:
        domain, label = poor[0]
        raise InputError(
            f"only {counts[poor[0]]} icons of `{label}` in domain `{domain}`; at least {MINIMUM} are needed"
        )
    return pool, images


def write_data_set(pool: Sequence[Candidate], images: np.ndarray, path: Path) -> None:
    """Sorted by domain, class and published name: image (PNG), domain, label, icon set and name."""
    order = sorted(
        range(len(pool)), key=lambda at: (pool[at].domain, pool[at].label, pool[at].icon.prefix, pool[at].icon.name)
    )
    table = pa.table(
        {
            "image": [_png(images[at]) for at in order],
            "domain": [pool[at].domain for at in order],
            "label": [pool[at].label for at in order],
            "set": [pool[at].icon.prefix for at in order],
            "name": [pool[at].icon.name for at in order],
        }
    )
    pq.write_table(table, path, compression="zstd")


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def write_corpus_list(pairs: Pairs, path: Path) -> None:
    """Set, name and pixel digest (first half of SHA-256) of every icon that the teacher read; no pictures."""
    table = pa.table(
        {
            "set": pa.array(pairs.prefixes).dictionary_encode(),
            "name": pairs.names,
            "digest": pa.array(pairs.digests, pa.binary(16)),
        }
    )
    pq.write_table(table, path, compression="zstd", compression_level=19)


def notice(collections: dict[str, dict[str, Any]], sections: dict[str, list[str]]) -> str:
    """Heading → icon sets, as the text that lists every set's author and licence."""
    lines = []
    for heading, prefixes in sections.items():
        lines += [heading, "=" * len(heading), ""]
        for prefix in prefixes:
            facts = collections[prefix]
            lines.append(
                f"{prefix}: {facts['name']} by {facts['author']['name']} ({facts['author'].get('url', 'no address')}), "
                f"{facts['license']['title']} ({facts['license'].get('url', facts['license'].get('spdx'))})"
            )
        lines.append("")
    return "\n".join(lines)


def read_corpus(package: Path) -> Pairs:
    """Draws all pairs of the corpus, set by set (some 2 GB of pictures)."""
    _, candidates = draw_candidates(package)
    count = len(corpus.allowed_sets(read_collections(package)))
    parts = []
    for prefix, resembling, pairs in track(corpus.gather(package, candidates), count, "drawing sets"):
        say(f"{prefix}: {len(pairs.names)} icons, {resembling} left out as they resemble the data set's")
        parts.append(pairs)
    return corpus.joined(parts)
