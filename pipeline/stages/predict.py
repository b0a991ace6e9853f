"""A finished student on a user's images."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pipeline.engine.cores import processes
from pipeline.engine.device import device
from pipeline.errors import InputError
from pipeline.finished import answers, found, student, tables, texts
from pipeline.finished.found import Found
from pipeline.progress import say, warn
from pipeline.trials import predictions
from pipeline.trials.files import PREDICTIONS

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan
    from pipeline.finished.answers import Answer
    from pipeline.finished.student import Classifier, FinishedStudent
    from pipeline.finished.texts import TextTower

# New class names, and the experiment whose teacher speaks of them.
ZeroShot = tuple[Sequence[str], "Plan"]


def run(
    folder: Path, images: Sequence[str], to: Path | None, top: int, workers: int | None, zero_shot: ZeroShot | None
) -> None:
    """Answers to `images`, or to a list on standard input, on the terminal or in the file `to`."""
    one = student.load(folder, device())
    classifier = _classifier(one, zero_shot)
    named = _named(images, classifier.classes)
    # Of a list that comes in nobody knows how long it is.
    started = processes(workers, len(named) if isinstance(named, list) else sys.maxsize)
    taught = _taught(one)
    known, new, broken = Tally(), Tally(), 0
    with tables.opened(to) as sink:
        for answer in answers.answers(classifier, named, top=top, workers=started, device=device()):
            sink(answer)
            broken += answer.error is not None
            if answer.label and answer.top:
                (known if answer.sha256 in taught else new).add(answer.top[0][0] == answer.label)
    for line in _accuracy(known, new):
        say(line)
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


@dataclass
class Tally:
    """Of images that lie in a folder of a class's name, how many were named so."""

    right: int = 0
    count: int = 0

    def add(self, right: bool) -> None:
        """One more."""
        self.right, self.count = self.right + right, self.count + 1

    def __str__(self) -> str:
        return f"accuracy {self.right / self.count:.1%}: {self.right} of {self.count} images"


def _taught(one: FinishedStudent) -> frozenset[str]:
    """The SHA-256 of each image that the student learnt from; none where they did not come along, as with an export."""
    file = one.folder / PREDICTIONS
    return predictions.learnt_from(file, one.key.held_out) if file.is_file() else frozenset()


def _accuracy(known: Tally, new: Tally) -> Iterator[str]:
    if new.count:
        yield f"{new} that lie in a folder of a class's name"
    if known.count:
        yield f"{known} that it was trained on, which says little of others"


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
