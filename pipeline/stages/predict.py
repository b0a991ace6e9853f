"""A finished student on a user's images."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine.device import device
from pipeline.errors import InputError
from pipeline.finished import answers, found, student, tables, texts
from pipeline.progress import say, warn

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan
    from pipeline.finished.found import Found
    from pipeline.finished.student import Classifier, FinishedStudent
    from pipeline.finished.texts import TextTower


def run(
    folder: Path, images: Sequence[str], to: Path | None, top: int, workers: int, zero_shot: tuple[str, Plan] | None
) -> None:
    """Answers to `images`, or to a list on standard input; `zero_shot` holds new class names and whose teacher speaks of them."""
    one = student.load(folder, device())
    classifier = _by_new_names(one, *zero_shot) if zero_shot else one.classifier()
    right = judged = broken = 0
    with tables.opened(to) as sink:
        named = _images(images, classifier)
        for answer in answers.answers(classifier, named, top=top, workers=workers, device=device()):
            sink(answer)
            broken += answer.error is not None
            if answer.label and answer.top:
                judged, right = judged + 1, right + (answer.top[0][0] == answer.label)
    if judged:
        say(f"accuracy {right / judged:.1%}: {right} of {judged} images that lie in a folder of a class's name")
    if broken:
        warn(f"{broken} could not be read; their rows say why")
    if to:
        say(f"in {to}")


def _images(images: Sequence[str], classifier: Classifier) -> Iterable[Found]:
    if images:
        return found.named(images, classifier.classes)
    if sys.stdin.isatty():
        raise InputError(
            "name images, folders or patterns, or pipe a list of paths: `find . -name '*.jpg' | scmd predict …`"
        )
    return found.listed(sys.stdin, classifier.classes)


def _by_new_names(one: FinishedStudent, names: str, plan: Plan) -> Classifier:
    """Raises InputError before the teacher is loaded where the student cannot."""
    _ = one.projection

    def tower() -> TextTower:
        from pipeline.teacher import clip

        return clip.load(plan.teacher, device())

    classes = texts.split(names)
    return one.zero_shot(classes, texts.embeddings(one.card.teacher, classes, tower).to(device()))
