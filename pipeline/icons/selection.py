"""The icons data set: which icons of the package are its images, by rule and without looking at a picture's content.

A domain is a drawing style, a class a word of the icon's published name. Labels are cleanest where the word is the whole
name, so the shortest names come first; names of more than two words enter only to fill a cell to `FLOOR`.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from pipeline.icons.iconify import Icon, words

# A class and the words of a published name that mean it, singular or plural. Twenty nouns that every style draws at least
# `MINIMUM` times as designs of their own (freehand publishes only some 220 that any such list can use).
CLASSES = {
    "arrow": "arrow",
    "bag": "bag backpack",
    "camera": "camera",
    "card": "card",
    "clock": "clock time timer stopwatch",
    "cloud": "cloud",
    "face": "face smiley",
    "file": "file",
    "hand": "hand",
    "image": "image picture photo",
    "lock": "lock",
    "mail": "mail email envelope",
    "message": "message chat",
    "music": "music",
    "pen": "pen pencil",
    "phone": "phone smartphone telephone",
    "search": "search",
    "setting": "setting gear cog",
    "user": "user person people",
    "window": "window",
}
DOMAINS = {
    "colour": (
        "icon-park flat-color-icons marketeq streamline-color streamline-plump-color streamline-flex-color "
        "streamline-sharp-color streamline-ultimate-color streamline-kameleon-color"
    ).split(),
    "freehand": ["streamline-freehand", "streamline-freehand-color"],
    "outline": ["tabler", "lucide", "iconoir"],
    "pixel": ["pixelarticons", "streamline-pixel", "memory", "dinkie-icons", "pixel"],
    "solid": ["fa7-solid", "bxs", "mingcute", "ph"],
}
# Sets that hold several styles: which of their names belong to the domain.
NAMES_OF_STYLE = {
    "mingcute": re.compile(r"-fill$"),
    "ph": re.compile(r"-fill$"),
    "tabler": re.compile(r"^(?!.*-filled)"),
    "iconoir": re.compile(r"^(?!.*-solid)"),
}
# Endings by which a set publishes the same design again.
VARIANT = re.compile(r"-(flat|duo|solid|filled|fill|sharp|small|color)$")
PER_CELL, FLOOR, MINIMUM, WORDS = 60, 20, 8, 2
# Where pairs above are the same drawing to the eye; below 0.99 the teacher joins different authors' drawings of a thing.
TWIN_COSINE, FEATURE_COSINE = 0.96, 0.995
_MEANING = {word + end: name for name, means in CLASSES.items() for word in means.split() for end in ("", "s", "es")}


@dataclass(frozen=True)
class Candidate:
    """An icon that may stand in the data set."""

    icon: Icon
    domain: str
    label: str

    @property
    def rank(self) -> tuple[Any, ...]:
        """Shortest names first; among equals by the digest of the name, which no one chose."""
        name = f"{self.icon.prefix}:{self.icon.name}"
        return len(words(self.icon.name)), hashlib.sha256(name.encode()).hexdigest()


def label_of(name: str) -> str | None:
    """The one class that the words of a name mean; None for none or several."""
    found = {_MEANING[word] for word in words(name) if word in _MEANING}
    return found.pop() if len(found) == 1 else None


def design(icon: Icon) -> tuple[str, str]:
    """What two renderings of one design share: the publisher's family and the name without its variant."""
    family = "streamline" if icon.prefix.startswith("streamline") else icon.prefix
    name = icon.name
    while VARIANT.search(name):
        name = VARIANT.sub("", name)
    return family, name


def candidates(sets: dict[str, list[Icon]]) -> list[Candidate]:
    """Every icon that could stand in the data set, one a design, shortest names first.

    Of a design drawn in several sets or domains the digest of its name picks which rendering stays.
    """
    found: dict[tuple[str, str], list[Candidate]] = {}
    for domain, prefixes in DOMAINS.items():
        for icon in (icon for prefix in prefixes for icon in sets[prefix]):
            style = NAMES_OF_STYLE.get(icon.prefix)
            label = label_of(icon.name)
            if label and (style is None or style.search(icon.name)):
                found.setdefault(design(icon), []).append(Candidate(icon, domain, label))
    kept = [min(group, key=lambda c: c.rank) for group in found.values()]
    return sorted(kept, key=lambda c: c.rank)


def near(query: np.ndarray, known: np.ndarray, cosine: float) -> np.ndarray:
    """(Q, D), (K, D) unit float32 rows → (Q,) bool: has a neighbour among `known` above `cosine`."""
    if not len(known):
        return np.zeros(len(query), bool)
    index = faiss.IndexFlatIP(known.shape[1])
    index.add(known)
    return index.search(query, 1)[0][:, 0] > cosine


def without_twins(rows: np.ndarray, cosine: float) -> np.ndarray:
    """(N, D) unit rows in order of preference → indices of those that resemble no earlier kept one."""
    index = faiss.IndexFlatIP(rows.shape[1])
    kept = []
    for position, row in enumerate(rows):
        if index.ntotal and index.search(row[None], 1)[0][0, 0] > cosine:
            continue
        index.add(row[None])
        kept.append(position)
    return np.array(kept, int)


def fill_cells(pool: list[Candidate]) -> list[int]:
    """Positions of at most `PER_CELL` candidates a class and domain, long names only up to `FLOOR`."""
    taken: dict[tuple[str, str], int] = {}
    chosen = []
    for position, candidate in enumerate(pool):
        cell = candidate.domain, candidate.label
        limit = PER_CELL if len(words(candidate.icon.name)) <= WORDS else FLOOR
        if taken.get(cell, 0) < limit:
            taken[cell] = taken.get(cell, 0) + 1
            chosen.append(position)
    return chosen
