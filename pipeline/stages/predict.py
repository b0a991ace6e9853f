"""A finished student on a user's images."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pipeline.engine.device import device
from pipeline.errors import InputError
from pipeline.finished import answers, found, student, tables, texts
from pipeline.finished.found import Found
from pipeline.progress import say, warn

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan
    from pipeline.finished.answers import Answer
    from pipeline.finished.student import Classifier, FinishedStudent
    from pipeline.finished.texts import TextTower

# New class names, and the experiment whose teacher speaks of them.
ZeroShot = tuple[Sequence[str], "Plan"]


def run(
    folder: Path, images: Sequence[str], to: Path | None, top: int, workers: int, zero_shot: ZeroShot | None
) -> None:
    """Answers to `images`, or to a list on standard input, on the terminal or in the file `to`."""
    one = student.load(folder, device())
    classifier = _classifier(one, zero_shot)
    named = _named(images, classifier.classes)
    right = judged = broken = 0
    with tables.opened(to) as sink:
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


def answered(
    one: FinishedStudent, images: Iterable[Path], top: int, workers: int, zero_shot: ZeroShot | None
) -> Iterator[Answer]:
    """The same for paths, an answer each."""
    classifier = _classifier(one, zero_shot)
    named = (found.found(Path(path), classifier.classes) for path in images)
    return answers.answers(classifier, named, top=top, workers=workers, device=device())


def _named(images: Sequence[str], classes: Sequence[str]) -> Iterable[Found]:
    if images:
        return found.named(images, classes)
    if sys.stdin.isatty():
        raise InputError(
            "name images, folders or patterns, or pipe a list of paths: `find . -name '*.jpg' | scmd predict …`"
        )
    return found.listed(cast(BufferedIOBase, sys.stdin.buffer), classes)


def _classifier(one: FinishedStudent, zero_shot: ZeroShot | None) -> Classifier:
    """Raises InputError, before the teacher is loaded, where the student cannot answer by new names."""
    if zero_shot is None:
        return one.classifier()
    _ = one.projection
    classes, plan = zero_shot
    texts.require_names(classes)

    def tower() -> TextTower:
        from pipeline.teacher import clip

        return clip.load(plan.teacher, device())

    return one.zero_shot(classes, texts.embeddings(one.card.teacher, classes, tower).to(device()))
