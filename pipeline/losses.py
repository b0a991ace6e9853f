"""Losses as pure functions. Section 3 of the paper; notation: z, c student logits, t teacher logits, T temperature."""

import torch.nn.functional as F
from torch import Tensor

# The term of this name is the plain mean of what is learnt from, whatever the method.
CROSS_ENTROPY = "cross_entropy"


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(B, C), (B,) int64 → (), the mean of −log softmax(z)[y]."""
    return F.cross_entropy(logits, labels)


def distillation(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """(B, C), (B, C), T → (): T² · KL(softmax(t/T) ‖ softmax(z/T)), summed over classes, averaged over the batch."""
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    return temperature**2 * F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def cross_modal_logits(embeddings: Tensor, text: Tensor, log_scale: Tensor) -> Tensor:
    """Projected student features (B, D), unit class embeddings (C, D), s () → (B, C): exp(s) · normalize(Pf) · Eᵀ."""
    return log_scale.exp() * F.normalize(embeddings, dim=1) @ text.T
