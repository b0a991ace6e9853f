"""What a method is: an objective over what the student says, and hooks whose default is the plain rule.

The loop calls these and knows no method by name. A method is a module: networks and buffers that it makes are its own, learn
with the student, move to the device and are written down with the trial.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from pipeline.averaging import building
from pipeline.averaging.averaging import Averaging
from pipeline.averaging.settings import AveragingSettings
from pipeline.batches import Batch, Outputs
from pipeline.methods.ranges import DOMAINBED, Ranges
from pipeline.methods.settings import MethodSettings
from pipeline.selection.selector import Selector, by_settings
from pipeline.student.model import Projection, Shipped, Student

Family = Literal["baseline", "distillation", "weights of samples", "domains", "averaging"]
# Named, weighted scalars; their sum is the objective.
Terms = dict[str, Tensor]


@dataclass(frozen=True)
class Problem:
    """What a method is built for: `width` d of the student's features; the cache's unit class embeddings `text` (C, D) and its
    exp(logit scale); the numbers of source domains, of samples in the data set and of steps in the trial. `network` makes one
    more network as the student's, from the same starting weights, with other heads: (answers, seed) → a student. `prompts` has
    the (C, D) embeddings, not normalised, of the templates that the method's `templates` asks for; `sources` are the domains."""

    width: int
    text: Tensor
    logit_scale: float
    domains: int
    samples: int
    steps: int
    network: Callable[[int, int], Student]
    sources: tuple[str, ...] = ()
    prompts: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        """C."""
        return len(self.text)

    @property
    def embedding(self) -> int:
        """D, of the teacher's space."""
        return self.text.shape[1]


@dataclass(frozen=True)
class Phase:
    """From step `first` on, the parameters learn whose name `learns` accepts: `student.…` of the student, `method.…` of the
    method. A phase begins with an optimiser of its own; with `begins_with: average` from the average of the one before it, with
    an average and a schedule of the learning rate of its own; with `last weights` from where that one ended, and its average and
    schedule go on."""

    first: int
    learns: Callable[[str], bool]
    begins_with: Literal["average", "last weights"] = "average"


class Method(nn.Module):
    """`family` is the kind of what it adds to the cross-entropy; `needs` names the fields of `Batch` that it reads besides
    pictures and labels; `replaces_cross_entropy` says that its classification loss is not the plain mean, so that beside
    another method it takes that one's place; `differentiates_twice` that the student must have second derivatives, which a
    compiled one has not; `compares_domains` that it is nothing of one source domain; `version` goes up when its numbers
    change. Hyperparameter seeds draw from `ranges` its own settings, from `student_ranges` the student's."""

    family: ClassVar[Family]
    Settings: ClassVar[type[MethodSettings]] = MethodSettings
    needs: ClassVar[frozenset[str]] = frozenset()
    replaces_cross_entropy: ClassVar[bool] = False
    differentiates_twice: ClassVar[bool] = False
    compares_domains: ClassVar[bool] = False
    version: ClassVar[int] = 1
    ranges: ClassVar[Ranges] = {}
    student_ranges: ClassVar[Ranges] = DOMAINBED

    @classmethod
    def templates(cls, settings: Any, sources: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG003
        """Prompts of the cache that it reads besides the class embeddings, for these source domains."""
        return ()

    @classmethod
    def idle(cls, settings: Any, steps: int, domains: int) -> str | None:  # noqa: ARG003
        """Why in a trial of so many steps and source domains these settings come to nothing, after the method's name; or None."""
        return "compares source domains, and there is one" if cls.compares_domains and domains < 2 else None

    @classmethod
    def shortest_run(cls, settings: Any, steps: int) -> int:  # noqa: ARG003
        """The fewest steps over which its weights are averaged, of so many, where it trains in runs."""
        return steps

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__()
        self.settings: Any = settings  # of the class that `Settings` names
        self.problem = problem
        self.selector = self.selection()

    def selection(self) -> Selector:
        """Which samples of a batch it learns from."""
        return by_settings(self.settings, self.problem.steps)

    @property
    def takes_one_pass(self) -> bool:
        """Whether `terms`, of the student's pass over a batch, is all of its objective."""
        return not overrides(type(self), "losses")

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

    def averaging(self, shipped: Shipped, students: AveragingSettings, steps: int) -> Averaging:
        """How weights are averaged over the `steps` of a phase; `students` is what the student's configuration says."""
        return building.build(self.settings.averaging or students, shipped, steps)

    def phases(self) -> tuple[Phase, ...]:
        """In order, the first at step 0."""
        return (Phase(0, lambda _: True),)


def overrides(method: type[Method], hook: str) -> bool:
    """Whether a method has a hook of its own."""
    return getattr(method, hook) is not getattr(Method, hook)
