"""By what samples are chosen: each rule scores a batch, and the largest are kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline.batches import Batch

# (logits (B, C), batch) → (B,).
Score = Callable[[Tensor, Batch], Tensor]


@dataclass(frozen=True)
class Rule:
    """`score` makes the scoring function from a method's settings, of which it reads `reads`; where it is None, nothing is scored
    and any sample is as good. `needs` names the fields of the batch, `source` says where the rule is from."""

    score: Callable[[Any], Score] | None
    source: str
    needs: frozenset[str] = frozenset()
    reads: frozenset[str] = frozenset()


def cross_entropies(logits: Tensor, batch: Batch) -> Tensor:
    """(B, C) → (B,): −log softmax(z)[y]. The focal loss is a rising function of it, and so orders samples the same."""
    return F.cross_entropy(logits, batch.labels, reduction="none")


def divergences(logits: Tensor, batch: Batch, temperature: float = 1.0) -> Tensor:
    """(B, C) → (B,): T² · KL(softmax(t/T) ‖ softmax(z/T)) of each sample."""
    student, teacher = (F.log_softmax(one / temperature, dim=1) for one in (logits, batch.teacher_logits))
    return temperature**2 * F.kl_div(student, teacher, reduction="none", log_target=True).sum(1)


def _distillation(settings: Any) -> Score:
    return lambda logits, batch: (
        cross_entropies(logits, batch) + settings.lambda1 * divergences(logits, batch, settings.temperature)
    )


def _without_doubt(settings: Any) -> Score:
    """Those in doubt come after all others, whatever their loss."""
    return lambda logits, batch: torch.where(
        batch.agreement < settings.least_agreement,
        -1 / (1 + cross_entropies(logits, batch)),
        cross_entropies(logits, batch),
    )


_LOGITS = frozenset({"teacher_logits"})
RULES: dict[str, Rule] = {
    "hardest": Rule(
        lambda _: cross_entropies, "SCMD's hard-to-learn samples; the sample dimension of W2D (Huang et al., CVPR 2022)"
    ),
    "easiest": Rule(lambda _: lambda logits, batch: -cross_entropies(logits, batch), "the opposite, to compare with"),
    "random": Rule(None, "as many of any, to compare with"),
    "divergence": Rule(lambda _: divergences, "KL(teacher ‖ student) of each sample", _LOGITS),
    "distillation": Rule(
        _distillation, "CE + λ1 · T² · KL of each sample", _LOGITS, frozenset({"lambda1", "temperature"})
    ),
    "hard_without_doubt": Rule(
        _without_doubt, "the hardest whose label enough of their nearest neighbours share", frozenset({"agreement"})
    ),
}
