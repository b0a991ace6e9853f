"""Samples that are the same picture, or nearly so, and what that does to a result.

The teacher's features alone do not tell: two authors' arrows are nearer to each other than 0.99. Near duplicates are therefore
looked for by features, and told by their pixels.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.queries.features import Features
from pipeline.queries.index import Index
from pipeline.samples.table import Sample

SIDE = 32


@dataclass(frozen=True)
class Pair:
    """Two samples, of the same bytes where `exact`; `score` is the cosine of the teacher's features."""

    one: Sample
    other: Sample
    score: float
    exact: bool

    def leaks(self, held_out: Sequence[str]) -> bool:
        """Whether a picture of a held-out domain stands in another domain, too."""
        domains = {self.one.domain, self.other.domain}
        return len(domains) == 2 and bool(domains & set(held_out))


def exact(samples: Sequence[Sample]) -> Iterator[Pair]:
    """Each copy with the first of its picture."""
    first: dict[str, Sample] = {}
    for sample in samples:
        if sample.id in first:
            yield Pair(first[sample.id], sample, 1.0, exact=True)
        first.setdefault(sample.id, sample)


def near(features: Features, index: Index, least: float) -> list[Pair]:
    """Other pictures with a cosine of at least `least`, nearest first. `index` is of `features.rows`."""
    samples = features.samples
    found = [
        Pair(samples[one], samples[other], float(score), exact=False)
        for score, one, other in zip(*index.pairs(least), strict=True)
        if samples[one].id != samples[other].id
    ]
    return sorted(found, key=lambda pair: -pair.score)


def pattern(image: Image.Image) -> np.ndarray:
    """(SIDE²,) float32: the picture in grey at `SIDE` × `SIDE` pixels, of mean 0 and length 1; zeros where it has one colour."""
    grey = np.asarray(image.convert("L").resize((SIDE, SIDE)), np.float64).ravel()
    grey = grey - grey.mean()
    norm = np.linalg.norm(grey)
    return np.asarray(grey / norm if norm else grey, np.float32)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """The correlation of two pictures by their patterns: 1 for the same, whatever brightness and contrast; 0 for one colour."""
    return float(one @ other)


def kind(pair: Pair, held_out: Sequence[str], out: dict[str, bool]) -> str:
    """What a pair does, in words; `out` says by key which samples are in their domain's out split."""
    if pair.leaks(held_out):
        return "held-out domain leaks"
    if pair.one.domain != pair.other.domain:
        return "across domains"
    if pair.one.label != pair.other.label:
        return "two labels"
    return "across splits" if out[pair.one.key] != out[pair.other.key] else "same split"


def to_exclude(found: Sequence[Pair]) -> list[Sample]:
    """All but the first sample of each group of pictures that are the same, directly or by others between them."""
    leader: dict[str, str] = {}

    def root(key: str) -> str:
        while leader.setdefault(key, key) != key:
            key = leader[key]
        return key

    samples: dict[str, Sample] = {}
    for pair in found:
        one, other = root(pair.one.key), root(pair.other.key)
        leader[other] = one
        samples |= {sample.key: sample for sample in (pair.one, pair.other)}
    groups: dict[str, list[str]] = defaultdict(list)
    for key in samples:
        groups[root(key)].append(key)
    dropped = {key for keys in groups.values() for key in sorted(keys, key=lambda k: _place(samples[k]))[1:]}
    return sorted((samples[key] for key in dropped), key=_place)


def _place(sample: Sample) -> tuple[str, int]:
    return sample.domain, sample.position
