"""Meta-learning domain generalisation (Li et al., 2018): F(θ) + β · G(θ − α · ∇F(θ)), with the second-order gradient.

F is the mean cross-entropy on the meta-train domains of a batch, G that on its meta-test domain: each source in turn (the
authors draw it, and sum over domains). Where a batch has less than two images on either side, as batch norm needs, the
objective is F on all of it. No teacher.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipeline.batches import Batch
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.ranges import Range, Ranges, power
from pipeline.methods.settings import MethodSettings
from pipeline.student.model import Student


class Settings(MethodSettings):
    """The inner step, and what is looked at after it."""

    inner_lr: float = Field(5e-5, gt=0)
    """α, of the inner step. The default is DomainBed's number, whose inner step is Adam's; a plain one of that length hardly
    moves a weight, so that MLDG is then close to ERM. The authors' code takes 0.5, on top of fixed features."""
    beta: float = Field(1.0, ge=0)
    """β, of the loss on the meta-test domains."""


class MLDG(Method):
    """The loss on some domains, and on the others after a step on those."""

    family = "domains"
    Settings = Settings
    needs = frozenset({"domains"})
    compares_domains = True
    replaces_cross_entropy = True
    differentiates_twice = True
    ranges: ClassVar[Ranges] = {"beta": Range("mldg_beta", power(10, -1, 1))}
    updates: Tensor

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.register_buffer("updates", torch.tensor(0))

    def losses(self, student: Student, batch: Batch) -> Terms:
        # The fused kernels of attention have no second derivative.
        with sdpa_kernel(SDPBackend.MATH):
            return self._losses(student, batch)

    def _losses(self, student: Student, batch: Batch) -> Terms:
        present = batch.domains.unique()
        tested = batch.domains == present[int(self.updates) % len(present)]
        self.updates += 1
        if min(int(tested.sum()), int((~tested).sum())) < 2:
            return {"meta_train": cross_entropy(student(batch.images).logits, batch.labels)}
        train, test = (batch.part(torch.nonzero(chosen)[:, 0]) for chosen in (~tested, tested))
        inner = cross_entropy(student(train.images).logits, train.labels)
        names, parameters = zip(*student.predictor.named_parameters(), strict=True)
        gradients = torch.autograd.grad(inner, parameters, create_graph=True)
        ahead = {
            name: parameter - self.settings.inner_lr * gradient
            for name, parameter, gradient in zip(names, parameters, gradients, strict=True)
        }
        logits = functional_call(student.predictor, ahead, (test.images,))
        return {"meta_train": inner, "meta_test": self.settings.beta * cross_entropy(logits, test.labels)}
