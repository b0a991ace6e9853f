"""A method with others beside it: their terms are summed.

The first says how the student answers, which samples it learns from and how its weights are averaged; those beside it bring
networks of their own and terms. Of all methods that learn by the plain cross-entropy one such term remains, and none where one
of them has a classification loss of its own (GroupDRO, Mixup, focal …), which takes its place. Where the first answers without
the student's classifier (VL2V-ADiP, label-free distillation), nothing that stands beside it brings its classifier the labels;
terms of another kind may read them (`unicl`, `clip_kd`, the peer of `mutual`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from pipeline.averaging.averaging import Averaging
from pipeline.averaging.settings import AveragingSettings
from pipeline.batches import Batch
from pipeline.losses import CROSS_ENTROPY
from pipeline.methods.method import Method, Phase, Terms, overrides
from pipeline.student.model import Projection, Shipped, Student

# Of a method what only the first may have.
_FIRSTS_OWN = ("predictor", "averaging", "selection")


class Joined(Method):
    """`first` with the methods of `beside`, by name."""

    def __init__(self, first: Method, beside: Mapping[str, Method]) -> None:
        super().__init__(first.settings, first.problem)
        self.first = first
        self.beside = nn.ModuleDict(beside)
        self.selector = first.selector

    @property
    def members(self) -> dict[str, Any]:
        """All methods by name; the first has none."""
        return {"": self.first, **dict(self.beside.items())}

    def losses(self, student: Student, batch: Batch) -> Terms:
        members = self.members
        outputs = student(batch.images) if any(one.takes_one_pass for one in members.values()) else None
        found = {
            name: one.terms(outputs, batch) if one.takes_one_pass else one.losses(student, batch)
            for name, one in members.items()
        }
        own = [name for name, one in members.items() if one.replaces_cross_entropy]
        joined: Terms = {}
        keeps_plain = not own and classifies(type(self.first))
        for name, terms in found.items():
            for term, loss in terms.items():
                if term == CROSS_ENTROPY and name not in own:
                    if keeps_plain:
                        joined[CROSS_ENTROPY] = loss
                else:
                    joined[f"{name}_{term}" if term in joined else term] = loss
        return joined

    def groups(self, lr: float) -> list[dict[str, Any]]:
        return [group for one in self.members.values() for group in one.groups(lr)]

    def predictor(self, student: Student) -> nn.Module:
        return self.first.predictor(student)

    def projection(self, student: Student) -> Projection | None:
        return self.first.projection(student)

    def averaging(self, shipped: Shipped, students: AveragingSettings, steps: int) -> Averaging:
        return self.first.averaging(shipped, students, steps)

    def phases(self) -> tuple[Phase, ...]:
        """Those of the one that has some of its own, if any; in them the others' own parameters learn throughout, and so do the
        student's heads, by which they ask it."""
        for name, one in self.members.items():
            if overrides(type(one), "phases"):
                place = f"method.beside.{name}." if name else "method.first."
                return tuple(replace(phase, learns=_within(place, phase.learns)) for phase in one.phases())
        return super().phases()


def _within(place: str, learns: Callable[[str], bool]) -> Callable[[str], bool]:
    """What a method says of its own parameters, where these lie at a place among other methods', and of the backbone."""

    def accepts(name: str) -> bool:
        if name.startswith(place):
            return learns(f"method.{name.removeprefix(place)}")
        return not name.startswith("student.predictor.backbone.") or learns(name)

    return accepts


def classifies(method: type[Method]) -> bool:
    """Whether its student answers by the classifier, which a classification loss would teach."""
    return not overrides(method, "predictor")


def fault(first: type[Method], beside: Mapping[str, type[Method]]) -> str | None:
    """Why these methods cannot be joined, or None."""
    for name, one in beside.items():
        if hooks := [hook for hook in _FIRSTS_OWN if overrides(one, hook)]:
            return f"`{name}` has its own {hooks[0]}, and so cannot stand beside another method"
    if beside and overrides(first, "selection"):
        return "the first method draws its samples unevenly and weighs them for it, which other methods' terms would not be"
    if len([one for one in (first, *beside.values()) if overrides(one, "phases")]) > 1:
        return "two of these methods train in phases of their own"
    if not classifies(first) and (losing := [name for name, one in beside.items() if one.replaces_cross_entropy]):
        return f"`{losing[0]}` is a classification loss, and the first method has no classifier that it could teach"
    if len([one for one in (first, *beside.values()) if one.replaces_cross_entropy]) > 1:
        return "two of these methods put a classification loss of their own in the place of the cross-entropy"
    return None
