"""How near each image is, in the teacher's space, to the text of its true class."""

import numpy as np

from pipeline.cache.reader import TeacherCache
from pipeline.queries.features import features
from pipeline.samples.table import Samples
from pipeline.teacher.zero_shot import class_embeddings

NOT_THERE = -1.0


def alignments(cache: TeacherCache, samples: Samples) -> np.ndarray:
    """(samples,) float32 cosines of the clean view and its true class; the least that there is for what the cache lacks. Raises
    CacheError where a chunk is missing or damaged."""
    found = features(cache, samples)
    text = class_embeddings(cache.read_text_embeddings()).astype(np.float32)
    of_known = np.einsum("nd,nd->n", found.rows, text[found.values("label")])
    place = {sample.key: at for at, sample in enumerate(samples.rows)}
    aligned = np.full(len(samples.rows), NOT_THERE, np.float32)
    aligned[[place[sample.key] for sample in found.samples]] = of_known
    return aligned
