"""Accuracy apart for images that the teacher knows by their class's name, and for those that it does not (in and out of
pretraining, IP and OOP; arXiv 2412.02856): does a student only repeat its teacher?"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.report.accuracies import ZERO_SHOT
from pipeline.report.outcome import Group
from pipeline.report.table import markdown
from pipeline.trials.predictions import Named


def threshold(aligned: np.ndarray, right: np.ndarray) -> float:
    """The alignment from which on the teacher is taken to know an image: of all that stand in (n,) `aligned`, the one that best
    tells images that it names `right` from others, by the mean of the two shares told rightly; the smallest of several."""
    order = np.argsort(aligned, kind="stable")
    values, is_right = aligned[order], right[order].astype(np.int64)
    rights, wrongs = is_right.sum(), len(is_right) - is_right.sum()
    above = rights - (np.cumsum(is_right) - is_right)
    below = np.arange(len(is_right)) - (rights - above)
    first = np.concatenate([[True], values[1:] > values[:-1]])
    told = above * max(1, wrongs) + below * max(1, rights)  # the shares' sum, in whole numbers: several may be equal
    return float(values[np.argmax(np.where(first, told, -1))])


def known(answers: Named, held_out: str, aligned: np.ndarray) -> np.ndarray:
    """(samples,) bool: whose alignment reaches the threshold that suits the sources' in splits. The held-out domain has no part
    in it."""
    sources = answers.inside & (answers.domain != held_out)
    return aligned >= threshold(aligned[sources], (answers.teacher_answer == answers.label)[sources])


def shares(answers: Named, held_out: str, aligned: np.ndarray) -> dict[str, float]:
    """Of the held-out in split: the `share` that is known, and the accuracies of teacher and student on what is known (`ip`) and
    on what is not (`oop`); what there is no image for is not a number."""
    judged, near = answers.inside & (answers.domain == held_out), known(answers, held_out, aligned)
    right, teacher = answers.answer == answers.label, answers.teacher_answer == answers.label
    ip, oop = judged & near, judged & ~near
    return {
        "share": _mean(near, judged),
        "ip": _mean(right, ip),
        "oop": _mean(right, oop),
        "teacher_ip": _mean(teacher, ip),
        "teacher_oop": _mean(teacher, oop),
    }


def section(groups: Sequence[Group], aligned: np.ndarray) -> str:
    """A Markdown table: held-out domain × method, means over trials."""
    methods = list(dict.fromkeys(group.method for group in groups))
    rows = {}
    for domain in dict.fromkeys(group.held_out for group in groups):
        of_method = {group.method: _over_trials(group, aligned) for group in groups if group.held_out == domain}
        first = next(iter(of_method.values()))
        marks = {group.method: group.mark for group in groups if group.held_out == domain}
        students = [_pair(of_method[one], "ip", "oop") + marks[one] if one in of_method else "–" for one in methods]
        rows[domain] = [f"{100 * first['share']:.0f} %", _pair(first, "teacher_ip", "teacher_oop"), *students]
    said = (
        "Accuracy in % on the held-out domain's in split, mean over trials: of images that the teacher knows by their class's "
        "name / of images that it does not (docs/report.md). A method that gains on the former alone repeats its teacher."
    )
    table = markdown(["known", ZERO_SHOT, *methods], rows)
    return "\n".join(["## What the teacher knows, and does not", "", *table, "", said, ""])


def _over_trials(group: Group, aligned: np.ndarray) -> Mapping[str, float]:
    of_each = [shares(one.named(), group.held_out, aligned) for one in group.outcomes]
    return {name: float(np.mean([one[name] for one in of_each])) for name in of_each[0]}


def _pair(found: Mapping[str, float], *names: str) -> str:
    return " / ".join("–" if math.isnan(found[one]) else f"{100 * found[one]:.1f}" for one in names)


def _mean(values: np.ndarray, among: np.ndarray) -> float:
    return float(values[among].mean()) if among.any() else float("nan")
