"""CrossGrad (Shankar et al., ICLR 2018): (1 − α) · CE(x) + α · CE(x + ε · ∇_x J_d), with J_d the loss of a domain classifier.

The domain classifier is a network as the student's, and learns the same way: (1 − α) · J_d(x) + α · J_d(x + ε · ∇_x J_l), with
J_l the student's cross-entropy. Gradients are those of a batch's mean loss, each value within ± `clip` (Dassl.pytorch's form). No
teacher: it has not seen these pictures.
"""

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.settings import MethodSettings
from pipeline.student.model import Student


class Settings(MethodSettings):
    """How far pictures are moved, and what moved ones weigh."""

    alpha: float = Field(0.5, ge=0, le=1)
    """α, of the moved pictures."""
    epsilon: float = Field(1.0, ge=0)
    """ε, of both gradients."""
    clip: float = Field(0.1, gt=0)
    """The most that a gradient moves a value of a picture, before ε (Dassl.pytorch's)."""


class CrossGrad(Method):
    """The cross-entropy of pictures, and of those moved to where their domain is less sure."""

    family = "domains"
    Settings = Settings
    needs = frozenset({"domains"})
    compares_domains = True
    replaces_cross_entropy = True

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.domain_network = problem.network(problem.domains, int(torch.randint(1 << 31, ())))

    def losses(self, student: Student, batch: Batch) -> Terms:
        def of_labels(images: Tensor) -> Tensor:
            outputs: Outputs = student(images)
            return cross_entropy(outputs.logits, batch.labels)

        def of_domains(images: Tensor) -> Tensor:
            outputs: Outputs = self.domain_network(images)
            return cross_entropy(outputs.logits, batch.domains)

        return {
            "moved": self._both(of_labels, batch.images, self._moved(of_domains, batch.images)),
            "domain": self._both(of_domains, batch.images, self._moved(of_labels, batch.images)),
        }

    def _both(self, loss: Callable[[Tensor], Tensor], images: Tensor, moved: Tensor) -> Tensor:
        alpha = self.settings.alpha
        both: Tensor = (1 - alpha) * loss(images) + alpha * loss(moved)
        return both

    def _moved(self, loss: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        seen = images.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(seen), seen)
        clip = self.settings.clip
        moved: Tensor = images + self.settings.epsilon * gradient.clamp(-clip, clip)
        return moved
