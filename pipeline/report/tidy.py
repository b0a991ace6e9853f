"""What the page plots, as rows for other tools (`dvc plots`): one number a row, with what it is of."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.report import series
from pipeline.report.details import Details
from pipeline.report.outcome import Group

Rows = list[dict[str, Any]]
# Cells of a confusion matrix that a plot is given: all of 44 classes, and of more the fullest.
MOST_CELLS = 2000


def accuracy(groups: Sequence[Group], domains: Sequence[str]) -> Rows:
    """Of every domain over steps, on the split that counts; means over trials."""
    return [
        {**_of(group), "domain": line.name, "step": step, "accuracy": value}
        for group in groups
        for line in series.accuracies(group, domains)
        for step, value in zip(line.steps, line.values, strict=True)
        if math.isfinite(value)  # a domain may have no image in a split
    ]


def held_out(rows: Rows) -> Rows:
    """Of `accuracy` those that are results."""
    return [row for row in rows if row["domain"] == row["held_out"]]


def losses(groups: Sequence[Group]) -> Rows:
    """Of every term over steps; means over trials."""
    return [
        {**_of(group), "term": line.name, "step": step, "loss": value}
        for group in groups
        for line in series.losses(group)
        for step, value in zip(line.steps, line.values, strict=True)
        if math.isfinite(value)  # a term may be there in some steps only
    ]


def confusions(details: Sequence[Details], classes: Sequence[str]) -> Rows:
    """How often a student gave each answer to each label of the held-out domain, the `MOST_CELLS` most frequent; without
    those that it never gave."""
    return [
        {**_of(one.group), "label": classes[label], "answer": classes[answer], "images": int(matrix[label, answer])}
        for one in details
        for matrix in (one.confusions["student"],)
        for label, answer in _largest(matrix)
    ]


def _largest(matrix: np.ndarray) -> list[tuple[int, int]]:
    """Places of the largest numbers above zero, a row after the other."""
    order = np.argsort(-matrix, axis=None, kind="stable")[:MOST_CELLS]
    places = np.sort(order[matrix.ravel()[order] > 0])
    return [divmod(int(at), matrix.shape[1]) for at in places]


def _of(group: Group) -> dict[str, Any]:
    return {"held_out": group.held_out, "method": group.method}
