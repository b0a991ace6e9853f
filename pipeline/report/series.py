"""Histories of a group's trials → lines over training, each the mean over the trials."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipeline.report.outcome import Group, Outcome
from pipeline.report.plots import Line


def judged_by(domain: str, held_out: str) -> str:
    """The split of a domain that counts: a source's out split chooses the checkpoint, the held-out in split is the result."""
    return f"{domain}_{'in' if domain == held_out else 'out'}"


def accuracies(group: Group, domains: Sequence[str]) -> list[Line]:
    """The held-out domain's line, and one of each source on the split that counts."""
    sources = [name for name in domains if name != group.held_out]
    keys = {name: judged_by(name, group.held_out) for name in sources}
    return [
        held_out_accuracy(group, group.held_out),
        *(Line(name, steps(group), _means(group, keys[name]), strong=False) for name in sources),
    ]


def held_out_accuracy(group: Group, name: str) -> Line:
    """The held-out domain's, with the chosen checkpoint of each trial marked."""
    key = judged_by(group.held_out, group.held_out)
    return Line(name, steps(group), _means(group, key), chosen=[_chosen(one, key) for one in group.outcomes])


def losses(group: Group) -> list[Line]:
    """A line a term of the objective, and the validation loss; where the steps between two evaluations had no such term, its line
    has a gap."""
    rows = [row for one in group.outcomes for row in one.history]
    terms = dict.fromkeys(key for row in rows for key in row if key.startswith("loss_"))
    names = {key: key.removeprefix("loss_").replace("_", " ") for key in terms}
    return [
        *(Line(names[key], steps(group), _means(group, key)) for key in terms),
        Line("validation loss", steps(group), _means(group, "validation_loss"), strong=False),
    ]


def logit_scale(group: Group) -> Line | None:
    """exp(s) of the projection; None where no term of the method moves it."""
    values = _means(group, "logit_scale")
    return Line("exp(s)", steps(group), values) if max(values) > min(values) else None


def domain_shares(group: Group) -> list[Line]:
    """Of what was learnt from since the evaluation before, the share of each source domain."""
    names = [name for name in group.outcomes[0].history[0]["learnt"]["domains"] if name != group.held_out]
    shares = _shares(group, lambda learnt: [learnt["domains"][name] for name in names])
    return [Line(name, steps(group), shares[:, at].tolist()) for at, name in enumerate(names)]


def class_shares(group: Group) -> np.ndarray:
    """(C, evaluations): the same of each class."""
    return _shares(group, lambda learnt: learnt["classes"]).T


def steps(group: Group) -> list[int]:
    """Of the evaluations, which all trials of a group have."""
    return [row["step"] for row in _on_the_way(group.outcomes[0])]


def _on_the_way(one: Outcome) -> list[dict[str, Any]]:
    """The first evaluation of each step: a mean that is made at the end is evaluated beside the weights that it is of."""
    return list({row["step"]: row for row in reversed(one.history)}.values())[::-1]


def _means(group: Group, key: str) -> list[float]:
    """Not a number at an evaluation that lacks it in some trial."""
    values = np.array([[row.get(key, np.nan) for row in _on_the_way(one)] for one in group.outcomes])
    return [float(value) for value in values.mean(0)]


def _chosen(one: Outcome, key: str) -> tuple[int, float]:
    """The last of the chosen step: where a mean was made at the end, that is the result."""
    step = one.card["metrics"]["step"]
    return step, [row for row in one.history if row["step"] == step][-1][key]


def _shares(group: Group, pick: Callable[[dict[str, Any]], list[int]]) -> np.ndarray:
    """(evaluations, names): shares of the counts since the evaluation before, over all trials."""
    until = np.array([[pick(row["learnt"]) for row in _on_the_way(one)] for one in group.outcomes]).sum(0)
    counts = np.diff(until, axis=0, prepend=np.zeros_like(until[:1]))
    return np.asarray(counts / np.maximum(1, counts.sum(1, keepdims=True)))
