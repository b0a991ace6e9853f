"""The answers of a group's trials, one in memory at a time → confusions, calibration, and samples to look at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipeline.report.gallery import Gallery, Shown, picture
from pipeline.report.measures import Reliability, confusion, most_selected, surest
from pipeline.report.outcome import Group
from pipeline.samples.table import Sample
from pipeline.trials.predictions import Answers

# Pictures in a row of a gallery.
SHOWN = 8


@dataclass(frozen=True)
class Details:
    """Of teacher and student on the held-out in split, over all trials: `confusions` (C, C), `curves`, and the mean of the
    trials' calibration `errors`, which a pooled curve would hide; `galleries` of the
    first trial."""

    group: Group
    confusions: dict[str, np.ndarray]
    curves: dict[str, Reliability]
    errors: dict[str, float]
    galleries: list[Gallery]


def details(
    group: Group, samples: Sequence[Sample], classes: Sequence[str], load: Callable[[int], Image.Image]
) -> Details:
    """Raises InputError where a trial's predictions are missing or damaged."""
    confusions = {who: np.zeros((len(classes), len(classes)), np.int64) for who in ("teacher", "student")}
    curves: dict[str, Reliability] = {}
    errors: dict[str, list[float]] = {"teacher": [], "student": []}
    galleries: list[Gallery] = []
    for one in group.outcomes:
        answers = one.answers()
        judged = (answers.domain == group.held_out) & answers.inside
        labels = answers.label[judged]
        for who, answer, confidence in (
            ("teacher", answers.teacher_answer, answers.teacher_confidence),
            ("student", answers.answer, answers.confidence),
        ):
            confusions[who] += confusion(labels, answer[judged], len(classes))
            curve = Reliability.of(confidence[judged], answer[judged] == labels)
            curves[who] = curves[who] + curve if who in curves else curve
            errors[who].append(curve.ece)
        galleries = galleries or _galleries(answers, judged, samples, classes, load)
    means = {who: sum(each) / len(each) for who, each in errors.items()}
    return Details(group, confusions, curves, means, galleries)


def _galleries(
    answers: Answers,
    judged: np.ndarray,
    samples: Sequence[Sample],
    classes: Sequence[str],
    load: Callable[[int], Image.Image],
) -> list[Gallery]:
    wrong, differs = answers.answer != answers.label, answers.answer != answers.teacher_answer
    selecting = bool((answers.selected < answers.drawn).any())

    def shown(rows: np.ndarray, note: Callable[[int], str]) -> list[Shown]:
        return [_shown(row, answers, samples[row], classes, picture(load, row), note(row)) for row in rows.tolist()]

    def times(row: int) -> str:
        return f"selected {answers.selected[row]} of {answers.drawn[row]} times"

    often = most_selected(answers.selected, SHOWN) if selecting else np.zeros(0, int)
    mistakes, apart = (surest(answers.confidence, judged & which, SHOWN) for which in (wrong, differs))
    return [
        Gallery("Selected most often", shown(often, times), "This method learns from every image that it draws."),
        Gallery("The student's surest mistakes", shown(mistakes, lambda _: ""), "The student makes no mistake here."),
        Gallery("Where student and teacher differ", shown(apart, lambda _: ""), "They agree on every image."),
    ]


def _shown(row: int, answers: Answers, sample: Sample, classes: Sequence[str], address: str | None, note: str) -> Shown:
    return Shown(
        picture=address,
        key=sample.key,
        domain=sample.domain,
        label=classes[answers.label[row]],
        student=f"{classes[answers.answer[row]]} ({answers.confidence[row]:.0%})",
        teacher=f"{classes[answers.teacher_answer[row]]} ({answers.teacher_confidence[row]:.0%})",
        note=note,
    )
