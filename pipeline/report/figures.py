"""Groups of trials → the figures of the page, an `<svg>` each with the words that stand for it."""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from pipeline.report import plots, series
from pipeline.report.details import Details
from pipeline.report.outcome import Group
from pipeline.report.plots import Line
from pipeline.report.svg import inline

# Above so many classes a matrix has no room for their names: the largest confusions stand alone.
MOST_CLASSES = 30
# Classes whose shares are shown, the largest at the end.
MOST_SHARES = 20


def by_method(number: int, held_out: str, groups: Sequence[Group], methods: Sequence[str]) -> Markup:
    """The held-out domain's accuracy over steps, a line a method."""
    lines = [series.held_out_accuracy(group, group.method) for group in groups if group.held_out == held_out]
    told = f"Accuracy on {held_out}, held out, over steps. {_ends(lines)}"
    return _over_steps(f"methods-{number}", f"{held_out} held out", "accuracy", lines, methods, told, share=True)


def by_domain(number: int, group: Group, domains: Sequence[str]) -> Markup:
    """Accuracy over steps, a line a domain."""
    lines = series.accuracies(group, domains)
    told = f"Accuracy of {group.name}, by domain, over steps. {_ends(lines)}"
    return _over_steps(f"domains-{number}", group.name, "accuracy", lines, domains, told, share=True)


def objective(number: int, group: Group, terms: Sequence[str]) -> Markup:
    """Terms of the loss over steps."""
    lines = series.losses(group)
    told = f"Loss terms of {group.name}. {_ends(lines, 1.0)}"
    return _over_steps(f"loss-{number}", group.name, "loss", lines, terms, told)


def scale(number: int, group: Group) -> Markup | None:
    """exp(s) over steps; None where the method has none."""
    line = series.logit_scale(group)
    if line is None:
        return None
    told = f"Logit scale of the projection of {group.name}. {_ends([line], 1.0)}"
    return _over_steps(f"scale-{number}", group.name, "logit scale", [line], [line.name], told)


def domain_shares(number: int, group: Group, domains: Sequence[str]) -> Markup:
    """What was selected, by domain, over steps."""
    lines = series.domain_shares(group)
    told = f"Share of each source domain among the selected, {group.name}. {_ends(lines)}"
    return _over_steps(
        f"selected-domains-{number}", group.name, "share of the selected", lines, domains, told, share=True
    )


def class_shares(number: int, group: Group, classes: Sequence[str]) -> Markup:
    """What was selected, by class, over steps."""
    shares = series.class_shares(group)
    shown = np.argsort(-shares[:, -1], kind="stable")[:MOST_SHARES]
    figure = plots.over_time(group.name, shares[shown], [classes[at] for at in shown], series.steps(group))
    largest = ", ".join(f"{classes[at]} {shares[at, -1]:.0%}" for at in shown[:3])
    told = f"Share of each class among the selected, {group.name}; at the end most are {largest}."
    return inline(figure, f"selected-classes-{number}", told)


def confusions(number: int, one: Details, classes: Sequence[str]) -> list[Markup]:
    """Teacher and student side by side; none where there are too many classes."""
    if len(classes) > MOST_CLASSES:
        return []
    found = []
    for who, matrix in one.confusions.items():
        title = f"{who}: {one.group.name}"
        right = np.trace(matrix) / max(1, matrix.sum())
        told = f"Confusion matrix of the {title}; {right:.1%} of the answers stand on its diagonal."
        found.append(inline(plots.confusion(title, matrix, classes), f"confusion-{who}-{number}", told))
    return found


def calibration(number: int, one: Details) -> Markup:
    """Reliability of teacher and student."""
    errors = ", ".join(f"{who} {error:.1%}" for who, error in one.errors.items())
    told = f"Reliability diagram of {one.group.name}; expected calibration error: {errors}."
    figure = plots.reliability(one.group.name, one.curves, one.errors)
    return inline(figure, f"calibration-{number}", told)


def _over_steps(
    name: str, title: str, label: str, lines: Sequence[Line], order: Sequence[str], told: str, *, share: bool = False
) -> Markup:
    return inline(plots.over_steps(title, label, lines, order, share=share), name, told)


def _ends(lines: Sequence[Line], times: float = 100.0) -> str:
    unit = " %" if times == 100 else ""
    return "At the end: " + ", ".join(f"{line.name} {times * _end(line):.1f}{unit}" for line in lines) + "."


def _end(line: Line) -> float:
    """The last value; where evaluations did not look at the domain (`evaluate: deciding`), the mean of what was chosen."""
    last = line.values[-1]
    return last if math.isfinite(last) or not line.chosen else sum(value for _, value in line.chosen) / len(line.chosen)
