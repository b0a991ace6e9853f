"""All of an experiment that can be tried before the work: a fault that shows after hours of it would be told too late."""

from collections.abc import Iterator
from pathlib import Path

import torch

from pipeline import methods
from pipeline.errors import ConfigError, InputError, is_out_of_memory, reason
from pipeline.experiment import draws
from pipeline.experiment.checks import require_batch, require_derivatives, require_pair, require_prompts, require_splits
from pipeline.experiment.places import Plan
from pipeline.methods import METHODS
from pipeline.methods.settings import MethodSettings
from pipeline.samples import table
from pipeline.samples.table import Samples
from pipeline.student.backbone import size_arguments
from pipeline.student.building import build
from pipeline.student.settings import ModelSettings
from pipeline.writing import require_room


def rehearse(plan: Plan, results: Path | None) -> None:
    """Raises InputError or ConfigError for a student that cannot be built or learn, for trials that the samples table, where
    it stands, makes impossible; ResourceError for folders that cannot be written."""
    for folder in (plan.samples_folder, results):
        if folder is not None:
            require_room(folder)
    matrix, experiment = plan.experiment.matrix, plan.experiment
    if table.stands(plan.samples_folder):
        samples = table.read(plan.samples_folder)
        for held_out in matrix.held_out:
            samples.require_domain(held_out)
            for trial in matrix.trial:
                require_splits(plan.student, samples, held_out, trial)
        _require_batches(plan, samples)
        require_prompts(plan.teacher.templates, plan.teacher.further_templates, _prompts(plan, samples))
    for name in matrix.method:
        method, settings = experiment.method(name)
        require_derivatives(plan.student, (method, *settings.beside))
        require_scoring(plan.student.model, settings, experiment.pixels.size)
    try_a_step(plan.student.model, experiment.pixels.size)


def _require_batches(plan: Plan, samples: Samples) -> None:
    """Of every trial, by its own hyperparameters."""
    images = samples.count()
    for key in plan.experiment.trials():
        method, settings = plan.experiment.method(key.method)
        drawn, student = draws.drawn(key, METHODS[method], settings, plan.student, plan.experiment.dataset)
        require_batch(student, images, key)
        require_pair(student, drawn, len(samples.domains) - 1, key.hparams_seed)


def _prompts(plan: Plan, samples: Samples) -> Iterator[str]:
    """That some trial reads."""
    for held_out in plan.experiment.matrix.held_out:
        sources = [name for name in samples.domains if name != held_out]
        for method in plan.experiment.matrix.method:
            yield from methods.templates(*plan.experiment.method(method), sources)


def require_scoring(model: ModelSettings, method: MethodSettings, size: int) -> None:
    """Raises ConfigError where pictures of half the side are to be scored and the network takes those of one size alone, or
    none that small."""
    if method.scoring != "half_size":
        return
    if size_arguments(model.backbone, size):
        raise ConfigError(
            f"`scoring: half_size` needs a backbone that takes pictures of any size, and `{model.backbone}` takes those "
            "of one; leave `scoring` out, or choose another backbone"
        )
    try:
        try_a_step(model, size // 2)
    except InputError as error:
        raise ConfigError(
            f"`scoring: half_size` halves the side of {size} pixels: {error}; or leave `scoring` out"
        ) from error


def try_a_step(settings: ModelSettings, size: int) -> None:
    """A forward and a backward pass of two pictures, as a trial does them. The hub's weights are left for the trial to load."""
    pretrained = settings.pretrained if isinstance(settings.pretrained, str) else False
    student = build(settings.model_copy(update={"pretrained": pretrained}), classes=2, embedding=2, size=size, seed=0)
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            outputs = student.train()(torch.rand(2, 3, size, size))
            (outputs.logits.sum() + outputs.embeddings.sum()).backward()
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"student backbone `{settings.backbone}` cannot learn from pictures of {size} × {size} pixels ({reason(error)}); "
            "set another `pixels.size`, or another backbone"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before)
