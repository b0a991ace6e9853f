"""AFLAC (Akuzawa et al., ECML 2019): CE + weight · mean of KL(p(d | y) ‖ q(d | f)), where q learns to tell d from f.

Where domains have classes unequally often, features that know nothing of the domain cannot know the class: they are drawn to
say of it just what the label says. p(d | y) is counted over all samples learnt from so far, each class's shares of domains. No
teacher.
"""

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.func import functional_call

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods import dann
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """The objective's weight and the discriminator."""

    weight: float = Field(1.0, ge=0)
    """Of the divergence."""
    hidden: int = Field(256, ge=1, le=65536)
    """The width of the discriminator's layers."""


class AFLAC(Method):
    """The cross-entropy, and features that say of the domain what the label says."""

    family = "domains"
    Settings = Settings
    needs = frozenset({"domains"})
    compares_domains = True
    seen: Tensor

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.discriminator = dann.discriminator(problem.width, self.settings.hidden, problem.domains)
        self.register_buffer("seen", torch.zeros(problem.classes, problem.domains))

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        self.seen.index_put_((batch.labels, batch.domains), torch.ones_like(outputs.features[:, 0]), accumulate=True)
        expected = self.seen[batch.labels] / self.seen[batch.labels].sum(1, keepdim=True)
        # As it is now, and not learning: what the features are drawn by.
        fixed = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        told = F.log_softmax(functional_call(self.discriminator, fixed, (outputs.features,)), dim=1)
        own = self.discriminator(outputs.features.detach())
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "domain_given_label": self.settings.weight * F.kl_div(told, expected, reduction="batchmean"),
            "discriminator": cross_entropy(own, batch.domains),
        }
