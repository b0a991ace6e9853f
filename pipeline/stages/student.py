"""Stage two: pixels and cached logits → one trained student with its metrics. No teacher is loaded."""

import time
from pathlib import Path

import numpy as np
import torch

from pipeline import experiment as experiments
from pipeline import replay, results, training
from pipeline.averaging import first_averaged
from pipeline.batches import Lessons, Steps
from pipeline.cache.reader import TeacherCache
from pipeline.errors import InputError
from pipeline.evaluation import Exam
from pipeline.experiment import Plan
from pipeline.methods import METHODS
from pipeline.progress import say, warn
from pipeline.samples.splits import is_out, seed_hash
from pipeline.samples.table import Samples
from pipeline.stages.opening import device, opened_cache, rendered_pictures, views_digest
from pipeline.student import build
from pipeline.teacher import zero_shot
from pipeline.views import store
from pipeline.views.store import Pictures, Stored


def run(plan: Plan, results_folder: Path, held_out: str, method: str, trial: int) -> None:
    """Pixels and cached logits → one trained student with its metrics."""
    torch.use_deterministic_algorithms(torch.cuda.is_available() is False)
    method_settings = plan.experiment.method(method)
    samples, cache = opened_cache(plan)
    experiments.require_domain(held_out, samples.domains)
    settings = plan.student
    sources = [name for name in samples.domains if name != held_out]
    if warning := experiments.schedule_warning(settings, method_settings, len(sources)):
        warn(warning)
    rendered = rendered_pictures(plan, samples, cache)
    pictures: Pictures = rendered
    if store.facts(plan.pixels_folder)["stored"]:
        pictures = Stored(plan.pixels_folder, views_digest(cache, rendered.numbers))
    say(
        f"{held_out} held out, {method}, trial {trial}: {settings.steps} steps of {settings.batch * len(sources)} images"
    )
    replay.check(
        rendered.load,
        rendered.load.samples,
        rendered.numbers,
        cache.column("pixel_probe"),
        cache.attributes["render_size"],
        pictures,
        trial,
    )
    seed = seed_hash(plan.experiment.dataset, held_out, trial)
    exam = _exam(plan, samples, cache, pictures, trial)
    student = build(
        **settings.model.model_dump(include={"backbone", "pretrained", "batch_norm", "dropout", "projector"}),
        classes=len(samples.classes),
        embedding=cache.shape.embedding,
        seed=seed,
    )
    started = time.monotonic()
    outcome = training.train(
        student,
        Steps(_lessons(cache, exam, sources), settings.batch, seed, settings.model.mean, settings.model.std),
        exam,
        terms=METHODS[method].terms,
        method=method_settings,
        optimiser_settings=settings.optimiser,
        count=settings.steps,
        average_from=first_averaged(settings.steps, settings.averaging.start, settings.averaging.start_fraction),
        evaluate_every=settings.evaluate_every,
        sources=sources,
        workers=settings.workers if pictures is rendered else 0,
        device=device(),
    )
    metrics = {
        "held_out": held_out,
        "method": method,
        "trial": trial,
        "accuracy": outcome.chosen.accuracies[f"{held_out}_in"],
        "validation": results.validation(outcome.chosen, sources),
        "step": outcome.chosen.step,
        "teacher_zero_shot": _zero_shot(cache, exam, held_out),
    }
    card = {
        "classes": list(samples.classes),
        "input": {
            "size": pictures.size,
            "resize": "squash, bilinear",
            "mean": settings.model.mean,
            "std": settings.model.std,
        },
        "model": settings.model.model_dump(mode="json"),
        "method": {"name": method, **method_settings.model_dump(mode="json")},
        "student": settings.model_dump(mode="json"),
        "teacher_cache": cache.identity_digest,
        "metrics": metrics,
    }
    folder = trial_folder(results_folder, held_out, method, trial)
    results.write(folder, weights=outcome.weights, card=card, metrics=metrics, history=outcome.history)
    say(
        f"{held_out}: {metrics['accuracy']:.1%} at step {metrics['step']}, validation {metrics['validation']:.1%}, "
        f"{time.monotonic() - started:.0f} s; in {folder}; next: scmd report"
    )


def trial_folder(results_folder: Path, held_out: str, method: str, trial: int) -> Path:
    return results_folder / "trials" / held_out / method / str(trial)


def _exam(plan: Plan, samples: Samples, cache: TeacherCache, pictures: Pictures, trial: int) -> Exam:
    row_of = {row.id: at for at, row in enumerate(cache.rows)}
    names = {name: at for at, name in enumerate(samples.domains)}
    split = plan.student.split
    return Exam(
        pictures=pictures,
        rows=np.array([row_of[sample.id] for sample in samples.rows]),
        labels=np.array([sample.label for sample in samples.rows]),
        domains=np.array([names[sample.domain] for sample in samples.rows]),
        out=is_out(samples, trial, split.rule, split.holdout_fraction),
        names=samples.domains,
        mean=plan.student.model.mean,
        std=plan.student.model.std,
    )


def _lessons(cache: TeacherCache, exam: Exam, sources: list[str]) -> Lessons:
    environments = [list(exam.names).index(name) for name in sources]
    inside = tuple(np.flatnonzero((exam.domains == environment) & ~exam.out) for environment in environments)
    if empty := [name for name, rows in zip(sources, inside, strict=True) if not len(rows)]:
        raise InputError(
            f"domain `{empty[0]}` has no image left to train on after the split; add images or leave it out"
        )
    text = zero_shot.class_embeddings(cache.read_text_embeddings()).astype(np.float32)
    return Lessons(exam.pictures, cache.column("logits"), text, exam.rows, exam.labels, exam.domains, inside)


def _zero_shot(cache: TeacherCache, exam: Exam, held_out: str) -> float:
    """The teacher's own accuracy on what the student is judged by: the held-out domain's in split, clean view."""
    judged = (exam.domains == list(exam.names).index(held_out)) & ~exam.out
    answers = cache.column("logits")[exam.rows[judged], 0].argmax(1)
    return float((answers == exam.labels[judged]).mean())
