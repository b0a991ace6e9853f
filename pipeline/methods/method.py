"""What a method is: an objective over what the student says, and hooks whose default is the plain rule.

The loop calls these and knows no method by name. A method is a module: networks and buffers that it makes are its own, learn
with the student, move to the device and are written down with the trial.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from pipeline.averaging.averaging import Averaging
from pipeline.averaging.running_mean import RunningMean
from pipeline.batches import Batch, Outputs
from pipeline.methods.settings import MethodSettings
from pipeline.selection.scoring import SCORING
from pipeline.selection.selector import HardestFirst, Selector
from pipeline.student.model import Projection, Shipped, Student

Family = Literal["baseline", "distillation", "weights of samples", "domains", "averaging"]
# Named, weighted scalars; their sum is the objective.
Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Problem:
    """What a method is built for: `width` d of the student's features; the cache's unit class embeddings `text` (C, D) and its
    exp(logit scale); the numbers of source domains, of samples in the data set and of steps in the trial."""

    width: int
    text: Tensor
    logit_scale: float
    domains: int
    samples: int
    steps: int

    @property
    def embedding(self) -> int:
        """D, of the teacher's space."""
        return self.text.shape[1]


@dataclass(frozen=True)
class Phase:
    """From step `first` on, the parameters learn whose name `learns` accepts: `student.…` of the student, `method.…` of the
    method. A phase begins with the average of the one before it, and with an optimiser and an average of its own; the learning
    rate's schedule is the trial's."""

    first: int
    learns: Callable[[str], bool]


class Method(nn.Module):
    """`family` is the kind of what it adds to the cross-entropy; `needs` names the fields of `Batch` that it reads besides
    pictures and labels; `version` goes up when its numbers change."""

    family: ClassVar[Family]
    Settings: ClassVar[type[MethodSettings]] = MethodSettings
    needs: ClassVar[frozenset[str]] = frozenset()
    version: ClassVar[int] = 1

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__()
        self.settings: Any = settings  # of the class that `Settings` names
        self.problem = problem
        self.selector: Selector = HardestFirst(
            settings.hard_fraction, settings.full_batch_fraction, problem.steps, SCORING[settings.scoring]
        )

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        """The objective, term by term."""
        raise NotImplementedError

    def losses(self, student: Student, batch: Batch) -> Terms:
        """The objective where it takes more than one pass of the student; what is summed, differentiated and stepped on."""
        return self.terms(student(batch.images), batch)

    def groups(self, lr: float) -> list[dict[str, Any]]:
        """Optimiser groups of its own networks; `lr` is the student's rate."""
        return [{"params": list(self.parameters()), "lr": lr}]

    def predictor(self, student: Student) -> nn.Module:
        """Pictures → logits: what is averaged, evaluated and shipped."""
        return student.predictor

    def projection(self, student: Student) -> Projection | None:  # noqa: ARG002
        """What this method taught to map the student's features into the teacher's space, if anything; it ships, too."""
        return None

    def averaging(self, shipped: Shipped, first: int) -> Averaging:
        """How weights are averaged; `first` is the first averaged update by the student's settings."""
        return RunningMean(shipped, first)

    def phases(self) -> tuple[Phase, ...]:
        """In order, the first at step 0."""
        return (Phase(0, lambda _: True),)
