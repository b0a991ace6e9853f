"""Materials → what a trial learns from and what it is judged by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from pipeline import methods, replay
from pipeline.adapters.choosing import Chosen
from pipeline.evaluation import EvaluationSet, ZeroShot
from pipeline.evaluation import zero_shot as zero_shot_of
from pipeline.methods.method import Problem
from pipeline.recorded import store_of_views, wanted_pictures
from pipeline.samples.dataset import DatasetSettings
from pipeline.samples.splits import is_out, seed_hash
from pipeline.stage_two.materials import Assignment, Materials
from pipeline.student.building import others
from pipeline.student.model import Student
from pipeline.teacher import zero_shot
from pipeline.training_set import Column, TrainingSet
from pipeline.views import pixels
from pipeline.views.pictures import CleanStored, Pictures, stored_views


def student_pictures(
    materials: Materials, dataset: DatasetSettings, stores: Path, max_gb: float, seed: int
) -> Pictures:
    """The student's pictures, after a replay has shown that these are what the teacher saw.

    Raises InputError where they are to be stored and are not, ReplayError where they are other pictures.
    """
    cache, views = materials.cache, materials.views
    wanted = wanted_pictures(dataset, materials.samples, cache, views, materials.size)
    stored = stored_views(len(wanted.ids), views, materials.size, max_gb)
    pictures: Pictures = wanted.drawn
    if stored:
        opened = pixels.opened(store_of_views(stores, cache), wanted.first(stored))
        pictures = opened if stored == views else CleanStored(opened, wanted.drawn)
    probes = cache.rows_of("pixel_probe")
    replay.check(wanted.rows, wanted.drawn, probes, cache.attributes.render_size, pictures, seed)
    return pictures


def evaluation_set(materials: Materials, one: Assignment, pictures: Pictures) -> EvaluationSet:
    """All samples, split for the trial's number."""
    samples, settings = materials.samples, one.student
    row_of = {row.id: at for at, row in enumerate(materials.cache.rows)}
    domain_of = {name: at for at, name in enumerate(samples.domains)}
    return EvaluationSet(
        pictures=pictures,
        rows=np.array([row_of[sample.id] for sample in samples.rows]),
        labels=np.array([sample.label for sample in samples.rows]),
        domains=np.array([domain_of[sample.domain] for sample in samples.rows]),
        out=is_out(samples, one.key.trial, settings.split.rule, settings.split.holdout_fraction),
        names=samples.domains,
        mean=settings.model.mean,
        std=settings.model.std,
    )


# Rows of logits that are looked at at a time.
SOME = 1 << 14
# Fields of a batch that are columns of a cache.
CACHE_COLUMNS = {"teacher_logits": "logits", "teacher_features": "image_features"}


@dataclass(frozen=True)
class Adaptation:
    """What adapts a teacher's logits, and the accuracy of these on the held-out domain's in split, which chooses nothing."""

    chosen: Chosen
    accuracy: float


@dataclass(frozen=True)
class Answers:
    """What a trial takes of the teacher, read once: `columns` (N, V, …) by their fields of a batch, and the raw `text` (P, C, D).
    `zero_shot` is what the teacher itself answers to what the student is judged by. With the sources' labels there may be
    besides: fields `of_samples` (samples,), and the `adapter` whose logits stand among the columns."""

    columns: Mapping[str, Column]
    text: np.ndarray
    zero_shot: ZeroShot
    of_samples: Mapping[str, np.ndarray] = field(default_factory=dict)
    adapter: Adaptation | None = None


def answers(materials: Materials, judged: EvaluationSet, needs: frozenset[str]) -> Answers:
    """The columns that a method needs; logits are read for the teacher's own answers, whoever trains."""
    cache = materials.cache
    logits = cache.rows_of("logits")
    columns = {
        name: logits if column == "logits" else cache.rows_of(column)
        for name, column in CACHE_COLUMNS.items()
        if name in needs
    }
    return Answers(columns, cache.read_text_embeddings(), _zero_shot(logits, judged.rows))


def _zero_shot(logits: Column, rows: np.ndarray) -> ZeroShot:
    """Some rows at a time: what is made on the way takes four times the room of the logits."""
    parts = [zero_shot_of(logits[rows[at : at + SOME], 0]) for at in range(0, len(rows), SOME)]
    answers = np.concatenate([part.answers for part in parts])
    return ZeroShot(answers, np.concatenate([part.probabilities for part in parts]))


def seed_of(materials: Materials, one: Assignment) -> int:
    """Of everything that is random in a trial; neither method nor hyperparameters have a part in it, so that all start equal."""
    return seed_hash(materials.dataset, one.key.held_out, one.key.trial)


def training_set(
    materials: Materials, one: Assignment, answers: Answers, judged: EvaluationSet, sources: list[str]
) -> TrainingSet:
    """The in splits of the source domains, with what the method needs of the cache."""
    inside = tuple(np.flatnonzero(judged.split(name, out=False)) for name in sources)
    return TrainingSet(
        pictures=judged.pictures,
        rows=judged.rows,
        labels=judged.labels,
        sources=inside,
        views=materials.views,
        answers=answers.columns,
        of_samples=answers.of_samples,
        shared={name: make(answers.text) for name, make in FROM_TEXT.items() if name in one.needs},
        needs=one.needs,
        per_domain=one.student.batch,
        seed=seed_of(materials, one),
        mean=judged.mean,
        std=judged.std,
    )


def problem(
    materials: Materials, one: Assignment, text: np.ndarray, student: Student, sources: Sequence[str]
) -> Problem:
    """What a method is built for; `text` (P, C, D) as the cache has it."""
    asked = methods.templates(one.method, one.settings, sources)
    prompts = materials.cache.read_prompts() if asked else {}
    return Problem(
        width=student.predictor.width,
        text=class_embeddings(text),
        logit_scale=materials.cache.attributes.logit_scale,
        domains=len(sources),
        samples=len(materials.samples.rows),
        steps=one.student.steps,
        network=others(one.student.model, materials.size),
        sources=tuple(sources),
        prompts={template: torch.from_numpy(prompts[template].copy()) for template in asked},
    )


def class_embeddings(text: np.ndarray) -> torch.Tensor:
    """(P, C, D) → (C, D) float32, unit rows."""
    return torch.from_numpy(zero_shot.class_embeddings(text).astype(np.float32))


def template_embeddings(text: np.ndarray) -> torch.Tensor:
    """(P, C, D) float32, not normalised."""
    return torch.from_numpy(text.copy())


# Fields of a batch that are the same for all.
FROM_TEXT = {"text": class_embeddings, "template_text": template_embeddings}
