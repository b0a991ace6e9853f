"""The teacher's corpus: every other permissive set of the package, as (icon, name) pairs.

Nothing of the data set is in it: not its sets, not what is derived from them, not a drawing that resembles one of its
candidates. Emoji, logos and flags are left out, as they are pictures of another kind.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.icons.iconify import Icon, descriptors, rasterise_all, read_collections, read_set, words
from pipeline.icons.selection import DOMAINS, TWIN_COSINE, near

PERMISSIVE = frozenset("MIT ISC Apache-2.0 BSD-3-Clause CC0-1.0 CC-BY-3.0 CC-BY-4.0 Unlicense".split())
# The data set's sets, other themes of them, and forks of them.
DATA_SET_FAMILIES = re.compile(
    r"^(streamline|icon-park|fa\d?(-|$)|bx|boxicons|la$|feather|tabler|lucide|iconoir|flat-color|pixel|memory|dinkie|"
    r"marketeq|mingcute|ph$)"
)
OTHER_PICTURES = re.compile(r"emoji|emoticon|noto|flag|logos|^(devicon|skill-icons|file-icons|svg-spinners|cif)")
OTHER_CATEGORIES = frozenset(("Emoji", "Logos"))
# Technology logos hide among programming sets; only this one draws interface icons.
PROGRAMMING_KEPT = frozenset(("codicon",))
MAX_WORDS = 5
# Drawings a set gives one name: grid sizes, weights and corners of a single design crowd out other names.
MAX_VARIANTS = 4


@dataclass(frozen=True)
class Pairs:
    """What the teacher reads: images (N, 64, 64, 3) uint8 and for each its captions, set, name and digest."""

    images: np.ndarray
    captions: list[tuple[str, ...]]
    prefixes: list[str]
    names: list[str]
    digests: list[bytes]


def allowed_sets(collections: dict[str, dict[str, Any]]) -> list[str]:
    """Prefixes of the corpus, sorted."""
    of_data_set = {prefix for prefixes in DOMAINS.values() for prefix in prefixes}
    return sorted(
        prefix
        for prefix, facts in collections.items()
        if facts["license"].get("spdx") in PERMISSIVE
        and prefix not in of_data_set
        and not DATA_SET_FAMILIES.search(prefix)
        and not OTHER_PICTURES.search(prefix)
        and facts.get("category") not in OTHER_CATEGORIES
        and (facts.get("category") != "Programming" or prefix in PROGRAMMING_KEPT)
    )


def captions(icon: Icon) -> tuple[str, ...]:
    """The names by which the icon was published, in plain words; none where a name says too much or nothing."""
    texts = dict.fromkeys(" ".join(words(name)) for name in (icon.name, *icon.aliases))
    return tuple(text for text in texts if text and len(text.split()) <= MAX_WORDS)


def gather(package: Path, images_of_data_set: np.ndarray) -> Iterator[tuple[str, int, Pairs]]:
    """Yields set by set: prefix, how many of its icons resemble one of its images, and the pairs that stay.

    Exact copies of a drawing under the same caption (grid sizes) are kept once.
    """
    known = descriptors(images_of_data_set)
    seen: set[bytes] = set()
    drawings: Counter[tuple[str, str]] = Counter()
    for prefix in allowed_sets(read_collections(package)):
        named = [(icon, texts) for icon in read_set(package, prefix) if (texts := captions(icon))]
        named = list({(texts[0], icon.svg): (icon, texts) for icon, texts in named}.values())
        images = rasterise_all([icon for icon, _ in named])
        drawn = [(icon, texts, image) for (icon, texts), image in zip(named, images, strict=True) if image is not None]
        if not drawn:
            continue
        resembling = near(descriptors(np.stack([image for *_, image in drawn])), known, TWIN_COSINE)
        kept = []
        for (icon, texts, image), twin in zip(drawn, resembling, strict=True):
            digest = hashlib.sha256(image.tobytes()).digest()[:16]
            if not twin and digest not in seen and drawings[prefix, texts[0]] < MAX_VARIANTS:
                seen.add(digest)
                drawings[prefix, texts[0]] += 1
                kept.append((icon, texts, image, digest))
        if kept:
            icons, texts, images, digests = zip(*kept, strict=True)
            yield (
                prefix,
                int(resembling.sum()),
                Pairs(
                    np.stack(images),
                    list(texts),
                    [prefix] * len(icons),
                    [icon.name for icon in icons],
                    list(digests),
                ),
            )


def joined(parts: list[Pairs]) -> Pairs:
    """All pairs of several sets, in order."""
    return Pairs(
        np.concatenate([part.images for part in parts]),
        [captions for part in parts for captions in part.captions],
        [prefix for part in parts for prefix in part.prefixes],
        [name for part in parts for name in part.names],
        [digest for part in parts for digest in part.digests],
    )
