"""A trial's history, and the choice of its checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Evaluation:
    """Of the weights after `step` + 1 updates (DomainBed's step counts from 0): accuracies by domain and split, the mean of
    each loss term since the evaluation before, the sources' mean out-split loss, exp(s) of the student's projection, and how
    often until then a sample of each domain, and of each class by its label, was learnt from."""

    step: int
    accuracies: Mapping[str, float]
    terms: Mapping[str, float]
    validation_loss: float
    logit_scale: float
    learnt_domains: Mapping[str, int]
    learnt_classes: Sequence[int]


def validation(evaluation: Evaluation, sources: Sequence[str]) -> float:
    """Training-domain validation: the mean out-split accuracy of the source domains. The held-out one has no part."""
    return sum(evaluation.accuracies[f"{name}_out"] for name in sources) / len(sources)


def is_better(evaluation: Evaluation, best: Evaluation | None, sources: Sequence[str]) -> bool:
    """Whether it becomes the chosen one: the first of the highest validation accuracies wins, as in DomainBed."""
    return best is None or validation(evaluation, sources) > validation(best, sources)
