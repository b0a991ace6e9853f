"""One trial, from its materials to its files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline import methods, training
from pipeline.engine.device import device
from pipeline.evaluation import EvaluationSet, Predictions, ZeroShot
from pipeline.experiment.checks import require_batch, require_derivatives, require_pair, require_prompts, require_splits
from pipeline.experiment.rehearsal import require_scoring
from pipeline.provenance import versions
from pipeline.results import validation
from pipeline.samples.images import DECODING
from pipeline.stage_two import data, teaching
from pipeline.stage_two.data import Adaptation, Answers
from pipeline.stage_two.materials import Assignment, Materials, made_from
from pipeline.student.backbone import size_arguments
from pipeline.student.building import build
from pipeline.student.settings import ModelSettings
from pipeline.trials import checkpoints, files, predictions
from pipeline.trials.key import TrialKey
from pipeline.trials.trial import Trial, start
from pipeline.views.pictures import Pictures

LIBRARIES = ("torch", "torchvision", "timm", "pillow", "numpy")


def sources_of(materials: Materials, assignment: Assignment) -> list[str]:
    """The domains to learn from. Raises ConfigError or InputError where the assignment is impossible with this data."""
    samples, held_out = materials.samples, assignment.key.held_out
    samples.require_domain(held_out)
    require_batch(assignment.student, samples.count(), assignment.key)
    require_splits(assignment.student, samples, held_out, assignment.key.trial)
    sources = [name for name in samples.domains if name != held_out]
    require_pair(assignment.student, assignment.settings, len(sources), assignment.key.hparams_seed)
    require_derivatives(assignment.student, (assignment.method, *assignment.settings.beside))
    identity = materials.cache.identity
    asked = methods.templates(assignment.method, assignment.settings, sources)
    require_prompts(identity["templates"], identity.get("further_templates", []), asked)
    return sources


def run(
    materials: Materials, assignment: Assignment, sources: list[str], pictures: Pictures, folder: Path
) -> dict[str, Any]:
    """Trains, measures and writes a trial; returns its metrics, times among them."""
    judged = data.evaluation_set(materials, assignment, pictures)
    answers = teaching.taught(materials, assignment, data.answers(materials, judged, assignment.needs), judged, sources)
    learnt_from = data.training_set(materials, assignment, answers, judged, sources)
    expected = made_from(materials, assignment)
    trial = checkpoints.resumed(lambda: started(materials, assignment, answers.text, sources), folder, expected)
    # On a GPU some backward passes have no deterministic kernel; on a CPU the same seeds give the same student.
    torch.use_deterministic_algorithms(trial.device.type == "cpu")
    files.require_room_for(folder, trial.averaging.model.state_dict())
    answered = training.train(trial, learnt_from, judged, lambda now: checkpoints.keep(now, folder, expected))
    metrics = leave(materials, assignment, trial, answers, judged, answered, folder, expected)
    checkpoints.remove(folder)
    return metrics


def leave(
    materials: Materials,
    assignment: Assignment,
    trial: Trial,
    answers: Answers,
    judged: EvaluationSet,
    answered: Predictions,
    folder: Path,
    made: Mapping[str, Any],
) -> dict[str, Any]:
    """Writes what a trial has chosen, with a card that says of what it was `made`, and how it does; returns its metrics, times
    among them."""
    key, backbone = assignment.key, assignment.student.model.backbone
    assert trial.chosen is not None
    times = {name: round(getattr(trial, name), 1) for name in files.TIMES}
    metrics = _metrics(trial, judged, answers.zero_shot, key)
    card = {
        **made,
        "classes": list(materials.samples.classes),
        "domains": list(materials.samples.domains),
        "teacher": _teacher(materials),
        **({"adapter": _adapter(answers.adapter)} if answers.adapter else {}),
        "network": {"backbone": backbone, "arguments": {"num_classes": 0, **size_arguments(backbone, materials.size)}},
        "preprocessing": preprocessing(materials, assignment.student.model),
        "made_with": {**versions(trial.device, LIBRARIES), **trial.compute.told()},
        "metrics": metrics,
        "accuracies": trial.chosen.evaluation.accuracies,
    }
    files.write_or_spare(
        folder,
        files.Finished(
            weights=trial.chosen.weights,
            projection=trial.chosen.projection,
            adapter=answers.adapter.chosen.adapter.tensors if answers.adapter else {},
            card=card,
            times=times,
            history=trial.history,
            predictions=predictions.table(
                [sample.id for sample in materials.samples.rows],
                judged,
                answered,
                answers.zero_shot,
                trial.drawn,
                trial.selected.cpu().numpy(),
            ),
        ),
    )
    return {**metrics, **times}


def _adapter(adapted: Adaptation) -> dict[str, Any]:
    """By what the teacher's logits were adapted, how that was chosen, and what it then answers to the held-out domain."""
    chosen = adapted.chosen
    return {
        "name": chosen.adapter.name,
        **chosen.adapter.settings,
        "validation": chosen.validation,
        "accuracy": adapted.accuracy,
    }


def _teacher(materials: Materials) -> dict[str, Any]:
    """Whose text tower speaks of new class names in the space that the student was taught."""
    identity = materials.cache.identity
    facts = identity["teacher"]
    return {**{name: facts.get(name) for name in ("model", "weights_sha256")}, "templates": identity["templates"]}


def preprocessing(materials: Materials, model: ModelSettings) -> dict[str, Any]:
    """From the bytes of an image to what the student takes, for who has the card and not this code."""
    return {
        "decode": {**DECODING, "exif_orientation": materials.samples.exif},
        "resize": {"size": materials.size, "keep_ratio": False, "filter": "bilinear", "library": "pillow"},
        "normalise": {"divide_by": 255, "mean": list(model.mean), "std": list(model.std)},
    }


def started(materials: Materials, assignment: Assignment, text: np.ndarray, sources: list[str]) -> Trial:
    """A trial before its first update; `text` (P, C, D) as the cache has it. Raises ConfigError where it could not be scored."""
    require_scoring(assignment.student.model, assignment.settings, materials.size)
    settings, (_, classes, embedding), seed = assignment.student, text.shape, data.seed_of(materials, assignment)
    student = build(settings.model, classes=classes, embedding=embedding, size=materials.size, seed=seed)
    problem = data.problem(materials, assignment, text, student, sources)
    method = methods.build(assignment.method, assignment.settings, problem, seed)
    return start(student, method, settings, sources, seed, device())


def _metrics(trial: Trial, judged: EvaluationSet, zero_shot: ZeroShot, key: TrialKey) -> dict[str, Any]:
    assert trial.chosen is not None
    evaluation, there = trial.chosen.evaluation, judged.split(key.held_out, out=False)
    return {
        **vars(key),
        "accuracy": evaluation.accuracies[f"{key.held_out}_in"],
        "validation": validation(evaluation, trial.sources),
        "step": evaluation.step,
        "collapsed": trial.collapse.noticed,
        "images_drawn": int(trial.drawn.sum()),
        "images_learnt_from": int(trial.selected.sum()),
        "teacher_zero_shot": float((zero_shot.answers == judged.labels)[there].mean()),
    }
