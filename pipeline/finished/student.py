"""A trial's folder → the student that it shipped, ready to answer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline import methods, weights
from pipeline.errors import InputError, ScmdError, reason
from pipeline.finished import card as cards
from pipeline.finished.card import Card, Preprocessing
from pipeline.losses import cross_modal_logits
from pipeline.methods import METHODS
from pipeline.methods.method import Problem
from pipeline.student.building import build, others
from pipeline.student.model import Projection, Shipped
from pipeline.teacher.settings import digest
from pipeline.trials.files import PROJECTION, WEIGHTS, classes_of
from pipeline.trials.key import TrialKey


@dataclass(frozen=True)
class Classifier:
    """`logits` maps (B, 3, size, size) pictures, prepared as `preprocessing` says, to (B, C) of `classes`."""

    logits: Callable[[Tensor], Tensor]
    classes: Sequence[str]
    preprocessing: Preprocessing


@dataclass(frozen=True)
class FinishedStudent:
    """`shipped` maps (B, 3, size, size) normalised pictures to logits (B, C); `key` says which trial it was."""

    folder: Path
    card: Card
    shipped: Shipped

    @property
    def key(self) -> TrialKey:
        """Of the trial."""
        return TrialKey(**self.card.trial.model_dump())

    @property
    def size(self) -> int:
        """The side of its pictures, in pixels."""
        return self.card.preprocessing.resize.size

    @property
    def projection(self) -> Projection:
        """Raises InputError where the method taught none."""
        if self.shipped.projection is None:
            raise InputError(
                f"{self.folder}: method `{self.card.method.name}` taught this student nothing of the teacher's space, so that it "
                "cannot answer with new class names; take a trial with a cross-modality term (`scmd` with `lambda2` above 0)"
            )
        return self.shipped.projection

    def classifier(self) -> Classifier:
        """By the classes that it was taught."""
        return Classifier(self.shipped, self.card.classes, self.card.preprocessing)

    def zero_shot(self, classes: Sequence[str], text: Tensor) -> Classifier:
        """By new classes, of which `text` (C, D) holds unit embeddings: the logits of the cross-modality term.

        Raises InputError where the student has no projection.
        """
        projection = self.projection
        predictor: Any = self.shipped.predictor

        def logits(images: Tensor) -> Tensor:
            return cross_modal_logits(projection.projector(predictor.features(images)), text, projection.log_scale)

        return Classifier(logits, classes, self.card.preprocessing)


def load(folder: Path, device: torch.device) -> FinishedStudent:
    """The student in evaluation mode. Raises InputError where a file is missing, damaged, or not the others'."""
    card = cards.read(folder)
    tensors = _tensors(folder / WEIGHTS, card.weights_sha256)
    if (own := classes_of(folder / WEIGHTS)) != list(card.classes):
        raise InputError(
            f"{folder / WEIGHTS}: its classes are {', '.join(own)}, and the card's are others; take both as a trial left them"
        )
    projection = _tensors(folder / PROJECTION, card.projection_sha256) if card.projection_sha256 else {}
    try:
        shipped = _built(card, tensors, projection)
        shipped.predictor.load_state_dict(tensors)
        if shipped.projection:
            shipped.projection.load_state_dict(projection)
    except (RuntimeError, KeyError, TypeError, ValueError, ScmdError) as error:
        raise InputError(
            f"{folder}: card and weights do not make a student ({reason(error)}); take the folder as a trial left it"
        ) from error
    return FinishedStudent(folder, card, shipped.eval().to(device))


def _tensors(file: Path, expected: str) -> dict[str, Tensor]:
    """Raises InputError for a file that is not the card's."""
    tensors = weights.read(file)
    if digest(file) != expected:
        raise InputError(f"{file}: not the file that the card beside it is of; take the folder as a trial left it")
    return tensors


def _built(card: Card, tensors: dict[str, Tensor], projection: dict[str, Tensor]) -> Shipped:
    """A network as the trial's, whose weights are to be loaded: the method says what of it answers."""
    model = card.student.model.model_copy(update={"pretrained": False})
    embedding = _embedding(tensors, projection)
    student = build(model, classes=len(card.classes), embedding=embedding, size=card.preprocessing.resize.size, seed=0)
    values = {name: value for name, value in card.method.model_dump().items() if name not in ("name", "version")}
    settings = METHODS[card.method.name].Settings.model_validate(values, strict=False)
    # What only training reads has the shapes that it had, and no numbers.
    text = torch.zeros(len(card.classes), embedding)
    problem = Problem(
        width=student.predictor.width,
        text=text,
        logit_scale=1.0,
        domains=len(card.domains),
        samples=1,
        steps=1,
        network=others(model, card.preprocessing.resize.size),
        sources=tuple(card.domains),
        prompts=dict.fromkeys(methods.templates(card.method.name, settings, card.domains), text),
    )
    method = methods.build(card.method.name, settings, problem, 0)
    return Shipped(method.predictor(student), method.projection(student) if projection else None)


def _embedding(tensors: dict[str, Tensor], projection: dict[str, Tensor]) -> int:
    """D, of the teacher's space; 1 where nothing that ships is of it."""
    found = {**tensors, **projection}
    return next((len(found[name]) for name in reversed(list(found)) if name.startswith("projector.")), 1)
