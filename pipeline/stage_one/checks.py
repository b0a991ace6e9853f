"""Do images and teacher give what a cache holds? Random views are drawn, or encoded, once more."""

from pathlib import Path

import numpy as np

from pipeline.cache import reader
from pipeline.cache.identity import require_same
from pipeline.cache.reader import TeacherCache
from pipeline.errors import CacheError
from pipeline.progress import say
from pipeline.recorded import recorded_views
from pipeline.replay import require_seen
from pipeline.samples.dataset import DatasetSettings
from pipeline.samples.loading import loader
from pipeline.samples.table import Samples
from pipeline.stage_one.task import Task
from pipeline.teacher import prompts, zero_shot
from pipeline.views.render import PROBE_TOLERANCE

# A recomputed row may differ by another device's rounding, which half precision keeps below this share of its norm.
FEATURE_TOLERANCE = 2e-3
# Logits are computed from what is stored, so that only the last bit of half precision may differ.
LOGIT_TOLERANCE = 2e-3


def draw_again(folder: Path, dataset: DatasetSettings, samples: Samples, count: int) -> None:
    """Draws `count` random views of a cache again and compares them with its pixel probes."""
    cache = reader.open_complete(folder)
    chosen = _chosen(cache, samples, count, first_view=1)
    require_seen(
        chosen,
        loader(dataset, samples, [row.id for row in cache.rows]),
        recorded_views(cache),
        cache.column("pixel_probe"),
        cache.attributes.render_size,
    )
    say(f"{folder}: {len(chosen)} views drawn again: the same pictures within {PROBE_TOLERANCE} levels of 255")


def encode_again(folder: Path, task: Task, count: int) -> None:
    """Encodes `count` random views and all prompts again with the live teacher; compares features, text and logits."""
    cache = reader.open_complete(folder)
    require_same(cache.identity, task.identity, folder)
    text = cache.read_text_embeddings()
    largest = _require_text(task, cache)
    encoder = task.encoder(cache.rows)
    features, logits = cache.column("image_features"), cache.column("logits")
    chosen = _chosen(cache, task.samples, count, first_view=0)
    for row, view in chosen:
        place = f"{folder}: sample {encoder.pictures.load.key(row)}, view {view}"
        gap = _gap(encoder.one(row, view), features[row, view])
        largest = max(largest, gap)
        if gap > FEATURE_TOLERANCE:
            raise CacheError(
                f"{place}: the live teacher's features differ by {gap:.1e} of their norm, {FEATURE_TOLERANCE:.0e} is "
                "rounding; this cache was not made by this teacher"
            )
        follows = zero_shot.logits(features[row, view], text, cache.attributes.logit_scale)
        if not np.allclose(logits[row, view], follows, rtol=LOGIT_TOLERANCE, atol=LOGIT_TOLERANCE):
            raise CacheError(f"{place}: its logits do not follow from its features and the text embeddings")
    say(f"{folder}: {len(chosen)} views encoded again: features and text differ by at most {largest:.1e} of their norm")


def _require_text(task: Task, cache: TeacherCache) -> float:
    """Returns how far the embeddings of a cache's prompts are from the live teacher's."""
    stored = cache.read_prompts()
    again = task.clip.encode_texts(prompts.texts(list(stored), task.samples.classes))
    gap = max(_gap(*pair) for pair in zip(np.concatenate(again), np.concatenate(list(stored.values())), strict=True))
    if gap > FEATURE_TOLERANCE:
        raise CacheError(
            f"{cache.folder}: the live teacher's text embeddings differ by {gap:.1e} of their norm, {FEATURE_TOLERANCE:.0e} is "
            "rounding; this cache was not made by this teacher"
        )
    return gap


def _gap(one: np.ndarray, other: np.ndarray) -> float:
    """The distance of two embeddings, as a share of the norm of the other."""
    there = other.astype(np.float64)
    return float(np.linalg.norm(one.astype(np.float64) - there) / max(float(np.linalg.norm(there)), 1e-12))


def _chosen(cache: TeacherCache, samples: Samples, count: int, first_view: int) -> list[tuple[int, int]]:
    """Random (row, view) pairs of images that are there, others at each call: no one can know what is looked at."""
    there = {sample.id for sample in samples.rows}
    made = ~cache.absent & np.array([[row.id in there] for row in cache.rows])
    made[:, : min(first_view, cache.shape.views - 1)] = False
    pairs = np.argwhere(made)
    if not len(pairs):
        raise CacheError(f"{cache.folder}: none of its images is among the samples")
    chosen = np.random.default_rng().choice(pairs, count)
    return [(int(row), int(view)) for row, view in chosen]
