"""Importance sampling by the gradient's norm (Katharopoulos and Fleuret, ICML 2018): mean over what is drawn of w_i · CE_i.

Of a batch of B samples b = ⌊p · B⌋ are drawn with replacement, with probabilities p_i in proportion to ‖softmax(z_i) − y_i‖₂,
which bounds the gradient's norm; w_i = 1 / (B · p_i) keeps the mean unbiased. It does so where the gain τ in variance was above
`threshold` in the updates before, τ ← 0.9 · τ + 0.1 · (1 − ‖p − u‖² / ‖p‖²)^(−½) with u uniform, from 0 on; elsewhere b are
drawn evenly, and these alone are scored (algorithm 1). No teacher.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pipeline.batches import Batch, Outputs
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.settings import MethodSettings
from pipeline.selection.schedule import Schedule
from pipeline.selection.scoring import SCORING, Answer, scoring
from pipeline.selection.selector import Selector

# What is kept of τ at each update.
SMOOTHING = 0.9


class Settings(MethodSettings):
    """How much is drawn, and from when by importance."""

    hard_fraction: float = Field(1 / 3, gt=0, le=1)
    """p: the share of a batch that is drawn."""
    full_batch_fraction: float = Field(0.0, ge=0, le=1)
    """k: the share of the steps, at the end, that learn from whole batches; the published method has none."""
    threshold: float = Field(0.0, ge=0)
    """τ above which samples are drawn by importance; at 0 always, but for the first update. The paper's is (B + 3b) / (3b), 2 at
    a third, from which it expects to save time: a student from scratch on icons stays near 1, and would never get there."""


class ImportanceSampling(Method):
    """The cross-entropy, of samples that were drawn by how much they would move the weights."""

    family = "weights of samples"
    Settings = Settings
    replaces_cross_entropy = True
    version = 3
    gain: Tensor

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.register_buffer("gain", torch.zeros((), dtype=torch.float64))

    def selection(self) -> Selector:
        schedule = Schedule(self.settings, self.problem.steps)
        return ByImportance(schedule, SCORING[self.settings.scoring], self)

    @property
    def pays(self) -> bool:
        """Whether τ says that drawing by importance is worth scoring all of a batch."""
        return float(self.gain) > float(self.settings.threshold)

    def remember(self, probabilities: Tensor) -> None:
        """Of what was scored, for τ."""
        self.gain.mul_(SMOOTHING).add_((1 - SMOOTHING) * gain(probabilities))

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        losses = F.cross_entropy(outputs.logits, batch.labels, reduction="none")
        weights = getattr(batch, "weights", None)
        return {"weighted": (losses if weights is None else weights * losses).mean()}


@dataclass(frozen=True)
class ByImportance:
    """Draws what the schedule keeps, and says how each weighs; `method` knows whether importance pays."""

    schedule: Schedule
    answer: Answer
    method: ImportanceSampling

    def part(self, step: int, predictor: nn.Module, batch: Batch) -> Batch:
        count = self.schedule.kept(step, len(batch))
        if count == len(batch):
            return batch
        if not self.method.pays:
            evenly = batch.part(torch.randint(len(batch), (count,), device=batch.labels.device))
            self.method.remember(self._scored(predictor, evenly))
            return evenly
        probabilities = self._scored(predictor, batch)
        self.method.remember(probabilities)
        drawn = torch.multinomial(probabilities, count, replacement=True)
        return batch.part(drawn, weights=1 / (len(batch) * probabilities[drawn]))

    def _scored(self, predictor: nn.Module, batch: Batch) -> Tensor:
        with scoring(predictor):
            return importance(self.answer(predictor, batch.images), batch.labels)

    def selects(self, step: int, batch: int) -> bool:
        return self.schedule.selects(step, batch)


def importance(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, C), (B,) → (B,), of sum 1; even where no sample would move anything."""
    norms = (logits.softmax(1) - F.one_hot(labels, logits.shape[1])).norm(dim=1)
    total = norms.sum()
    return norms / total if total > 0 else torch.full_like(norms, 1 / len(norms))


def gain(probabilities: Tensor) -> float:
    """τ of (B,): 1 where all are alike."""
    uniform = 1 / len(probabilities)
    away, size = (probabilities - uniform).square().sum(), probabilities.square().sum()
    return 1 / math.sqrt(max(1 - float(away / size), 1e-12))
