"""Trials small enough to run by the dozen: 24 samples of noise in three domains, a real ResNet (timm's smallest) at 16 px."""

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pipeline import methods, training
from pipeline.averaging.settings import AveragingSettings
from pipeline.evaluation import EvaluationSet
from pipeline.methods import METHODS
from pipeline.methods.method import Problem
from pipeline.optimiser import OptimiserSettings
from pipeline.student.building import build, others
from pipeline.student.model import Predictor, Student
from pipeline.student.settings import ModelSettings
from pipeline.training_set import TrainingSet
from pipeline.trials.settings import StudentSettings
from pipeline.trials.trial import Trial, start

CPU = torch.device("cpu")
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
CLASSES, SAMPLES, VIEWS, WIDTH = 3, 24, 3, 8
SOURCES = ["a", "b"]
TEXT = F.normalize(torch.randn(CLASSES, WIDTH, generator=torch.Generator().manual_seed(0)), dim=1)


class Noise:
    """Pictures that are a function of row and view; those of the held-out domain (rows from 16) also of `seed`."""

    size = 16

    def __init__(self, seed=0):
        self.seed = seed

    @property
    def maker(self):
        return self

    def order(self, rows, views):
        return rows, views

    def __getitem__(self, order):
        return self.take(*order)

    def take(self, rows, views):
        return np.stack(
            [
                np.random.default_rng([row, view, self.seed if row >= 16 else 0]).integers(
                    0, 256, (16, 16, 3), np.uint8
                )
                for row, view in zip(rows, views, strict=True)
            ]
        )


def judged(labels=None, seed=0) -> EvaluationSet:
    """Domains a, b (sources) and h (held out), eight samples each, every fourth in the out split."""
    numbers = np.arange(SAMPLES)
    return EvaluationSet(
        pictures=Noise(seed),
        rows=numbers,
        labels=numbers % CLASSES if labels is None else labels,
        domains=numbers // 8,
        out=numbers % 4 == 0,
        names=["a", "b", "h"],
        mean=MEAN,
        std=STD,
    )


def predictor_of(width: int):
    """As `Problem.network`: students of pictures (B, 3, 2, 2) with `width` features, small enough to reckon with."""

    def network(answers: int, seed: int) -> Student:
        torch.manual_seed(seed)
        predictor = Predictor(nn.Sequential(nn.Flatten(), nn.Linear(12, width)), width, answers, 0.0)
        return Student(predictor, nn.Linear(width, 1), freeze_statistics=False)

    return network


def prompts(templates: Iterable[str], classes: int, width: int) -> dict[str, torch.Tensor]:
    """Embeddings (classes, width) of texts, not normalised."""
    random = torch.Generator().manual_seed(2)
    return {template: 3 * torch.randn(classes, width, generator=random) for template in templates}


def data_of(of: EvaluationSet, method: str, **values) -> TrainingSet:
    random = np.random.default_rng(1)
    logits = random.standard_normal((SAMPLES, VIEWS, CLASSES)).astype(np.float16)
    features = random.standard_normal((SAMPLES, VIEWS, WIDTH)).astype(np.float16)
    needs = methods.needs(method, METHODS[method].Settings(**values))
    return TrainingSet(
        pictures=of.pictures,
        rows=of.rows,
        labels=of.labels,
        sources=tuple(np.flatnonzero((of.domains == d) & ~of.out) for d in (0, 1)),
        views=VIEWS,
        answers={
            name: column
            for name, column in (("teacher_logits", logits), ("teacher_features", features))
            if name in needs
        },
        shared={"text": TEXT} if "text" in needs else {},
        of_samples={"agreement": np.linspace(0, 1, SAMPLES, dtype=np.float32)} if "agreement" in needs else {},
        needs=needs,
        per_domain=4,
        seed=5,
        mean=MEAN,
        std=STD,
    )


def started(
    name: str,
    *,
    steps=5,
    optimiser=None,
    dropout=0.0,
    every=2,
    batch_norm="trained",
    evaluate="all",
    backbone="test_resnet",
    **values,
) -> Trial:
    """A trial of a method before its first update; `values` are the method's settings."""
    if name == "scmd":
        values = {"hard_fraction": 0.5, **values}
    settings = StudentSettings(
        model=ModelSettings(
            backbone=backbone, pretrained=False, batch_norm=batch_norm, dropout=dropout, mean=MEAN, std=STD
        ),
        optimiser=optimiser or OptimiserSettings(lr=1e-3),
        averaging=AveragingSettings(start=3),
        steps=steps,
        batch=4,
        evaluate_every=every,
        evaluate=evaluate,
    )
    student = build(settings.model, classes=CLASSES, embedding=WIDTH, size=16, seed=0)
    problem = Problem(
        width=student.predictor.width,
        text=TEXT.clone(),
        logit_scale=10.0,
        domains=2,
        samples=SAMPLES,
        steps=steps,
        network=others(settings.model, 16),
        sources=tuple(SOURCES),
        prompts=prompts(methods.templates(name, METHODS[name].Settings(**values), SOURCES), CLASSES, WIDTH),
    )
    method = methods.build(name, METHODS[name].Settings(**values), problem, seed=0)
    return start(student, method, settings, SOURCES, 0, CPU)


def run(name: str, *, of=None, **changes) -> Trial:
    """The same, trained to its end."""
    trial = started(name, **changes)
    of = of or judged()
    training.train(trial, data_of(of, name, **trial.method.settings.model_dump()), of)
    return trial


def assert_same_end(one: Trial, other: Trial) -> None:
    """Two trials have gone the same way to the same bits."""
    assert one.history == other.history
    assert one.chosen.evaluation == other.chosen.evaluation
    for mine, theirs in (
        (one.student.state_dict(), other.student.state_dict()),
        (one.method.state_dict(), other.method.state_dict()),
        (one.chosen.weights, other.chosen.weights),
        (one.chosen.projection, other.chosen.projection),
    ):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[key]) for key, tensor in mine.items())
    assert one.drawn.tolist() == other.drawn.tolist()
    assert one.selected.tolist() == other.selected.tolist()
