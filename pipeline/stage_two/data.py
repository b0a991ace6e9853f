"""Materials → what a trial learns from and what it is judged by."""

from pathlib import Path

import numpy as np
import torch

from pipeline import replay
from pipeline.cache.reader import TeacherCache
from pipeline.evaluation import EvaluationSet
from pipeline.methods.method import Problem
from pipeline.recorded import store_of_views, wanted_pictures
from pipeline.samples.dataset import DatasetSettings
from pipeline.samples.splits import is_out
from pipeline.stage_two.materials import Materials
from pipeline.teacher import zero_shot
from pipeline.training_set import TrainingSet
from pipeline.views import pixels
from pipeline.views.pictures import Pictures, fits

# Fields of a batch that are columns of a cache.
CACHE_COLUMNS = {"teacher_logits": "logits", "teacher_features": "image_features"}


def student_pictures(
    materials: Materials, dataset: DatasetSettings, stores: Path, max_gb: float, seed: int
) -> Pictures:
    """The student's pictures, after a replay has shown that these are what the teacher saw.

    Raises InputError where they are to be stored and are not, ReplayError where they are other pictures.
    """
    cache, views = materials.cache, materials.views
    wanted = wanted_pictures(dataset, materials.samples, cache, views, materials.size)
    stored = fits(len(wanted.ids), views, materials.size, max_gb)
    pictures: Pictures = pixels.opened(store_of_views(stores, cache), wanted) if stored else wanted.drawn
    probes = cache.column("pixel_probe")
    replay.check(wanted.rows, wanted.drawn, probes, cache.attributes.render_size, pictures, seed)
    return pictures


def evaluation_set(materials: Materials, pictures: Pictures, trial: int) -> EvaluationSet:
    """All samples, split for a trial number."""
    samples, settings = materials.samples, materials.student
    row_of = {row.id: at for at, row in enumerate(materials.cache.rows)}
    domain_of = {name: at for at, name in enumerate(samples.domains)}
    return EvaluationSet(
        pictures=pictures,
        rows=np.array([row_of[sample.id] for sample in samples.rows]),
        labels=np.array([sample.label for sample in samples.rows]),
        domains=np.array([domain_of[sample.domain] for sample in samples.rows]),
        out=is_out(samples, trial, settings.split.rule, settings.split.holdout_fraction),
        names=samples.domains,
        mean=settings.model.mean,
        std=settings.model.std,
    )


def training_set(
    materials: Materials, judged: EvaluationSet, sources: list[str], needs: frozenset[str], seed: int
) -> TrainingSet:
    """The in splits of the source domains, with what a method needs of the cache."""
    inside = tuple(np.flatnonzero(judged.split(name, out=False)) for name in sources)
    cache = materials.cache
    return TrainingSet(
        pictures=judged.pictures,
        rows=judged.rows,
        labels=judged.labels,
        sources=inside,
        views=materials.views,
        answers={name: cache.column(column) for name, column in CACHE_COLUMNS.items() if name in needs},
        shared={name: make(cache) for name, make in FROM_TEXT.items() if name in needs},
        needs=needs,
        per_domain=materials.student.batch,
        seed=seed,
        mean=judged.mean,
        std=judged.std,
    )


def problem(materials: Materials, width: int, sources: int) -> Problem:
    """What a method is built for."""
    cache = materials.cache
    return Problem(
        width=width,
        text=class_embeddings(cache),
        logit_scale=cache.attributes.logit_scale,
        domains=sources,
        samples=len(materials.samples.rows),
        steps=materials.student.steps,
    )


def class_embeddings(cache: TeacherCache) -> torch.Tensor:
    """(C, D) float32, unit rows."""
    return torch.from_numpy(zero_shot.class_embeddings(cache.read_text_embeddings()).astype(np.float32))


def template_embeddings(cache: TeacherCache) -> torch.Tensor:
    """(P, C, D) float32, not normalised."""
    return torch.from_numpy(cache.read_text_embeddings().copy())


# Fields of a batch that are the same for all.
FROM_TEXT = {"text": class_embeddings, "template_text": template_embeddings}


def teacher_zero_shot(cache: TeacherCache, judged: EvaluationSet, held_out: str) -> float:
    """The teacher's own accuracy on what the student is judged by: the held-out domain's in split, clean view."""
    there = judged.split(held_out, out=False)
    answers = cache.column("logits")[judged.rows[there], 0].argmax(1)
    return float((answers == judged.labels[there]).mean())
