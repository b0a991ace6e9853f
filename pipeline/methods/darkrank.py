"""DarkRank (Chen et al., AAAI 2018): CE + λ1 · the teacher's ranking of each sample's nearest, as the student would rank them.

Of a sample q its `length` nearest in the batch by the teacher's features are a list; a side's score of x is −α · ‖q − x‖^β of
unit features, the probability of a ranking Plackett and Luce's: the product over places of softmax over those left. `hard` is
−log of the student's probability of the teacher's own ranking, `soft` KL(teacher ‖ student) over all rankings of the list. Means
over q.
"""

from itertools import permutations
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy
from pipeline.methods.method import Method, Terms
from pipeline.methods.settings import MethodSettings


class Settings(MethodSettings):
    """Which rankings, and how sharp."""

    lambda1: float = Field(1.0, ge=0)
    """λ1, of the term."""
    ranking: Literal["hard", "soft"] = "hard"
    """The teacher's own ranking, or all of them."""
    length: int = Field(4, ge=2, le=6)
    """Of a list; a soft ranking goes over all length! of them."""
    alpha: float = Field(3.0, gt=0)
    """α, of scores."""
    beta: float = Field(3.0, gt=0)
    """β, of distances."""


class DarkRank(Method):
    """The cross-entropy, and how near samples come in order."""

    family = "distillation"
    Settings = Settings
    needs = frozenset({"teacher_features"})

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        settings = self.settings
        teacher, student = (
            scores(one, settings.alpha, settings.beta) for one in (batch.teacher_features, outputs.features)
        )
        length = min(settings.length, len(batch) - 1)
        nearest = teacher.fill_diagonal_(-torch.inf).argsort(dim=1, descending=True, stable=True)[:, :length]
        ranking = RANKINGS[settings.ranking](teacher.gather(1, nearest), student.gather(1, nearest))
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "ranking": settings.lambda1 * ranking,
        }


def scores(features: Tensor, alpha: float, beta: float) -> Tensor:
    """(B, D) → (B, B): −α · distance^β of unit features; the gradient is 0 where two are the same."""
    unit = F.normalize(features, dim=1)
    squares = (unit[:, None] - unit[None]).square().sum(2)
    apart = squares > 0
    return -alpha * (torch.where(apart, squares, 1) ** (beta / 2)) * apart


def log_probability(ranked: Tensor) -> Tensor:
    """(…, L) scores in the order of a ranking → (…): Plackett and Luce's log probability."""
    left = ranked.flip(-1).logcumsumexp(-1).flip(-1)
    return (ranked - left).sum(-1)


def hard(_: Tensor, student: Tensor) -> Tensor:
    """(B, L), (B, L) in the teacher's order → ()."""
    return -log_probability(student).mean()


def soft(teacher: Tensor, student: Tensor) -> Tensor:
    """(B, L), (B, L) → (): over all L! rankings."""
    orders = torch.tensor(list(permutations(range(student.shape[1]))), dtype=torch.int64, device=student.device)
    of_teacher, of_student = (log_probability(side[:, orders]) for side in (teacher, student))
    return (of_teacher.exp() * (of_teacher - of_student)).sum(1).mean()


RANKINGS = {"hard": hard, "soft": soft}
