"""A trial as an object: everything that training changes, which can be written down and read back (`snapshot`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline import optimiser
from pipeline.averaging.averaging import Averaging
from pipeline.methods.method import Method, Phase
from pipeline.results import Evaluation
from pipeline.selection.collapse import Collapse
from pipeline.student.compute import Compute, resolve
from pipeline.student.model import Shipped, Student
from pipeline.trials.settings import StudentSettings


@dataclass(frozen=True)
class Chosen:
    """The evaluation that is the trial's result so far, with its weights; `projection` is empty where the method taught none."""

    evaluation: Evaluation
    weights: dict[str, Tensor]
    projection: dict[str, Tensor]


@dataclass
class Trial:
    """Before update `step`. `drawn` and `selected` (samples,) count how often a sample was drawn, and learnt from; the latter on
    the device, where it is known. `collapse` watches what selecting updates learn from.

    `sums` has of each loss term, since the last evaluation, its sum and of how many steps; `random` is the state of the
    generators that dropout and methods draw from: several trials can share a process and none sees another.
    """

    student: Student
    method: Method
    settings: StudentSettings
    sources: Sequence[str]
    device: torch.device
    optimizer: torch.optim.Optimizer
    averaging: Averaging
    random: list[Tensor]
    drawn: np.ndarray
    selected: Tensor
    compute: Compute
    collapse: Collapse
    step: int = 0
    history: list[Evaluation] = field(default_factory=list)
    chosen: Chosen | None = None
    sums: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    seconds_evaluating: float = 0.0
    said_of_collapse: bool = False

    @property
    def predictor(self) -> nn.Module:
        """What answers to pictures."""
        return self.method.predictor(self.student)

    @property
    def shipped(self) -> Shipped:
        """What is averaged, evaluated and shipped."""
        return shipped(self.student, self.method)

    def phase_of(self, step: int) -> Phase:
        """The phase that update `step` belongs to."""
        return [phase for phase in self.method.phases() if phase.first <= step][-1]

    def stretch_of(self, step: int) -> tuple[int, int]:
        """Where the part of the trial begins that update `step` belongs to, and how many updates it has: from one phase that
        begins with the average to the next. Its average and its learning rates are its own."""
        return _stretch(self.method.phases(), step, self.settings.steps)

    def enter(self, phase: Phase) -> None:
        """A fresh optimiser over what learns in a phase, and where it begins with the average a fresh average over its steps."""
        self.optimizer = _optimizer(self.student, self.method, self.settings, phase)
        if phase.begins_with == "average":
            self.averaging = _averaging(self.student, self.method, self.settings, phase)

    def go_on_from_average(self) -> None:
        """The student and the method take the weights that the phase before ended with."""
        self.averaging.conclude()
        self.shipped.load_state_dict(self.averaging.model.state_dict())


def shipped(student: Student, method: Method) -> Shipped:
    """The student as a method lets it answer, with what it taught it of the teacher's space."""
    return Shipped(method.predictor(student), method.projection(student))


def start(
    student: Student, method: Method, settings: StudentSettings, sources: Sequence[str], seed: int, device: torch.device
) -> Trial:
    """A trial before its first update; what is random in it depends on `seed` alone."""
    student.to(device)
    method.to(device)
    compute = resolve(settings.compute, student.predictor.backbone, device)
    for one in (student, *(part for part in method.modules() if isinstance(part, Student))):
        one.computed_as(compute)
    student.train()  # and so it stays: what is evaluated is the average
    first = method.phases()[0]
    optimizer = _optimizer(student, method, settings, first)
    averaging = _averaging(student, method, settings, first)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        random = _random_state(device)
    drawn = np.zeros(method.problem.samples, np.int64)
    selected = torch.zeros(len(drawn), dtype=torch.int64, device=device)
    batch = settings.batch * len(sources)
    selecting = sum(method.selector.selects(step, batch) for step in range(settings.steps))
    collapse = Collapse(method.problem.classes, settings.steps, selecting, device)
    return Trial(
        student, method, settings, sources, device, optimizer, averaging, random, drawn, selected, compute, collapse
    )


def _random_state(device: torch.device) -> list[Tensor]:
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def exchange_random_state(trial: Trial, state: list[Tensor]) -> list[Tensor]:
    """Sets the generators' state and returns what it was."""
    before = _random_state(trial.device)
    torch.set_rng_state(state[0])
    if trial.device.type == "cuda":
        torch.cuda.set_rng_state(state[1], trial.device)
    return before


def _optimizer(student: Student, method: Method, settings: StudentSettings, phase: Phase) -> torch.optim.Optimizer:
    for name, parameter in nn.ModuleDict({"student": student, "method": method}).named_parameters():
        parameter.requires_grad_(phase.learns(name))
    groups = [*_student_groups(student, settings.optimiser), *method.groups(settings.optimiser.lr)]
    return optimiser.build(groups, settings.optimiser)


def _averaging(student: Student, method: Method, settings: StudentSettings, phase: Phase) -> Averaging:
    _, length = _stretch(method.phases(), phase.first, settings.steps)
    return method.averaging(shipped(student, method), settings.averaging, length)


def _stretch(phases: Sequence[Phase], step: int, steps: int) -> tuple[int, int]:
    begins = [phase.first for phase in phases if phase.begins_with == "average"]
    first = max(begin for begin in begins if begin <= step)
    return first, min([begin for begin in begins if begin > step], default=steps) - first


def _student_groups(student: Student, settings: optimiser.OptimiserSettings) -> list[dict[str, Any]]:
    """The logit scale is a group with a rate of its own."""
    others = [parameter for name, parameter in student.named_parameters() if name != "log_scale"]
    return [{"params": others, "lr": settings.lr}, {"params": [student.log_scale], "lr": settings.scale_lr}]
