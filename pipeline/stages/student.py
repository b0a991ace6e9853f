"""Stage two: pixels and cached logits → one trained student with its metrics. No teacher is loaded."""

import time
from pathlib import Path

import numpy as np
import torch

from pipeline import replay, results, training
from pipeline.averaging import first_averaged
from pipeline.batches import Lessons, Steps
from pipeline.cache.identity import digest
from pipeline.cache.reader import TeacherCache
from pipeline.engine.device import device
from pipeline.errors import InputError
from pipeline.evaluation import Exam
from pipeline.experiment.places import Plan
from pipeline.experiment.warnings import require_domain, require_pair, schedule_warning
from pipeline.matching import drawn_pictures, open_matching, views_digest
from pipeline.methods import METHODS
from pipeline.progress import say, warn
from pipeline.provenance import versions
from pipeline.samples import table
from pipeline.samples.splits import is_out, seed_hash
from pipeline.samples.table import Samples
from pipeline.student import build
from pipeline.teacher import zero_shot
from pipeline.views import pictures
from pipeline.views.pictures import Pictures, StoredPictures

LIBRARIES = ("torch", "torchvision", "timm", "pillow", "numpy")


def run(plan: Plan, results_folder: Path, held_out: str, method: str, trial: int) -> None:
    """Trains, measures and writes one trial. Raises the errors of what it opens before the first step."""
    method_settings = plan.experiment.method(method)
    samples = table.read(plan.samples_folder)
    cache = open_matching(plan.cache_folder, plan.teacher, samples)
    require_domain(held_out, samples.domains)
    sources = [name for name in samples.domains if name != held_out]
    require_pair(plan.student, method_settings, len(sources))
    if warning := schedule_warning(plan.student, method_settings, len(sources)):
        warn(warning)
    images = plan.student.batch * len(sources)
    say(f"{held_out} held out, {method}, trial {trial}: {plan.student.steps} steps of {images} images")
    exam = _exam(plan, samples, cache, trial)
    lessons = _lessons(plan, cache, exam, sources)
    started = time.monotonic()
    outcome = _train(plan, lessons, exam, sources, method, seed_hash(plan.experiment.dataset, held_out, trial))
    metrics = {
        "held_out": held_out,
        "method": method,
        "trial": trial,
        "accuracy": outcome.chosen.accuracies[f"{held_out}_in"],
        "validation": results.validation(outcome.chosen, sources),
        "step": outcome.chosen.step,
        "teacher_zero_shot": _zero_shot(lessons, exam, held_out),
    }
    card = {
        **trained_from(plan, samples, cache, method),
        "classes": list(samples.classes),
        "made_with": versions(device(), LIBRARIES),
        "metrics": metrics,
    }
    folder = trial_folder(results_folder, held_out, method, trial)
    results.write(folder, weights=outcome.weights, card=card, metrics=metrics, history=outcome.history)
    percent = f"{metrics['accuracy']:.1%} at step {metrics['step']}, validation {metrics['validation']:.1%}"
    say(f"{held_out}: {percent}, {time.monotonic() - started:.0f} s; in {folder}; next: {plan.command('report')}")


def _train(plan: Plan, lessons: Lessons, exam: Exam, sources: list[str], method: str, seed: int) -> training.Outcome:
    settings = plan.student
    # On a GPU some backward passes have no deterministic kernel; on a CPU the same seeds give the same student.
    torch.use_deterministic_algorithms(device().type == "cpu")
    student = build(
        **settings.model.model_dump(include={"backbone", "pretrained", "batch_norm", "dropout", "projector"}),
        classes=lessons.text.shape[0],
        embedding=lessons.text.shape[1],
        size=plan.experiment.pixels.size,
        seed=seed,
    )
    torch.manual_seed(seed)  # dropout's
    return training.train(
        student,
        Steps(lessons, settings.batch, seed, settings.model.mean, settings.model.std),
        exam,
        terms=METHODS[method].terms,
        method=plan.experiment.method(method),
        optimiser_settings=settings.optimiser,
        count=settings.steps,
        average_from=first_averaged(settings.steps, settings.averaging.start, settings.averaging.start_fraction),
        evaluate_every=settings.evaluate_every,
        sources=sources,
        workers=settings.workers,
        device=device(),
    )


def trained_from(plan: Plan, samples: Samples, cache: TeacherCache, method: str) -> dict:
    """The part of a trial's card that says what it was trained from: two trials that differ here are two results."""
    return {
        **plan.trained_with(method),
        "samples": digest(
            {
                "rows": [[row.id, row.domain, row.label, row.position] for row in samples.rows],
                "found": samples.found,
                "domains": list(samples.domains),
                "exif": samples.exif,
            }
        ),
        "dataset": plan.experiment.dataset,  # it seeds the trial
        "teacher_cache": cache.identity_digest,
        "views": plan.teacher.views,
    }


def trial_folder(results_folder: Path, held_out: str, method: str, trial: int) -> Path:
    return results_folder / "trials" / held_out / method / str(trial)


def _exam(plan: Plan, samples: Samples, cache: TeacherCache, trial: int) -> Exam:
    """All samples with the student's pictures of them, after a replay has shown that these are what the teacher saw."""
    rendered = drawn_pictures(plan.dataset, samples, cache, plan.experiment.pixels.size)
    shown: Pictures = rendered
    if pictures.facts(plan.pixels_folder)["stored"]:
        shown = StoredPictures(plan.pixels_folder, views_digest(samples, cache, rendered.numbers), rendered)
    row_of = {row.id: at for at, row in enumerate(cache.rows)}
    names = {name: at for at, name in enumerate(samples.domains)}
    split = plan.student.split
    rows = np.array([row_of[sample.id] for sample in samples.rows])
    probes = cache.column("pixel_probe")
    replay.check(np.unique(rows), rendered, probes, cache.attributes.render_size, shown, trial)
    return Exam(
        pictures=shown,
        rows=rows,
        labels=np.array([sample.label for sample in samples.rows]),
        domains=np.array([names[sample.domain] for sample in samples.rows]),
        out=is_out(samples, trial, split.rule, split.holdout_fraction),
        names=samples.domains,
        mean=plan.student.model.mean,
        std=plan.student.model.std,
    )


def _lessons(plan: Plan, cache: TeacherCache, exam: Exam, sources: list[str]) -> Lessons:
    environments = [list(exam.names).index(name) for name in sources]
    inside = tuple(np.flatnonzero((exam.domains == environment) & ~exam.out) for environment in environments)
    if empty := [name for name, rows in zip(sources, inside, strict=True) if not len(rows)]:
        raise InputError(
            f"domain `{empty[0]}` has no image left to train on after the split; add images or leave it out"
        )
    for name, environment in zip(sources, environments, strict=True):
        if not (exam.out & (exam.domains == environment)).any():
            raise InputError(
                f"domain `{name}` has no image in its out split, by which the checkpoint is chosen; it needs more images, "
                "or a larger `split.holdout_fraction` in the student's configuration"
            )
    text = zero_shot.class_embeddings(cache.read_text_embeddings()).astype(np.float32)
    # A cache may hold more views than this experiment asks for.
    logits = cache.column("logits")[:, : plan.teacher.views]
    return Lessons(exam.pictures, logits, text, exam.rows, exam.labels, inside)


def _zero_shot(lessons: Lessons, exam: Exam, held_out: str) -> float:
    """The teacher's own accuracy on what the student is judged by: the held-out domain's in split, clean view."""
    judged = (exam.domains == list(exam.names).index(held_out)) & ~exam.out
    answers = lessons.logits[exam.rows[judged], 0].argmax(1)
    return float((answers == exam.labels[judged]).mean())
