"""A cache and its samples → unit features of the clean views, a row a sample."""

from dataclasses import dataclass

import numpy as np

from pipeline.cache.reader import TeacherCache
from pipeline.samples.table import Sample, Samples
from pipeline.teacher.zero_shot import unit


@dataclass(frozen=True)
class Features:
    """`rows` (n, D) float32 of length 1, in the order of `samples`: those whose clean view the cache holds."""

    samples: tuple[Sample, ...]
    rows: np.ndarray

    def part(self, which: np.ndarray) -> "Features":
        """Of the samples where `which` (n,) is true."""
        return Features(tuple(self.samples[at] for at in np.flatnonzero(which)), self.rows[which])

    def values(self, name: str) -> np.ndarray:
        """(n,) of a field of the samples."""
        return np.array([getattr(sample, name) for sample in self.samples])


def features(cache: TeacherCache, samples: Samples) -> Features:
    """Raises CacheError where a chunk is missing or damaged."""
    there = {row.id: at for at, row in enumerate(cache.rows) if not cache.absent[at, 0]}
    known = tuple(sample for sample in samples.rows if sample.id in there)
    clean = cache.clean_features()[[there[sample.id] for sample in known]].astype(np.float32)
    return Features(known, unit(clean))
