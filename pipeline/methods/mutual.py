"""Deep mutual learning (Zhang et al., CVPR 2018): CE + KL(softmax(z′) ‖ softmax(z)), and the same of a peer that answers z′.

The peer is a network as the student's, from the same pretrained weights or other random ones, with other heads; both learn at
once, each from what the other answers as a constant. The student alone ships. No teacher.
"""

import torch

from pipeline.batches import Batch, Outputs
from pipeline.losses import cross_entropy, distillation
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.settings import MethodSettings
from pipeline.student.model import Student


class Mutual(Method):
    """The cross-entropy, and what a peer answers."""

    family = "distillation"

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        self.peer = problem.network(problem.classes, int(torch.randint(1 << 31, ())))

    def losses(self, student: Student, batch: Batch) -> Terms:
        return self.between(student(batch.images), self.peer(batch.images), batch)

    def between(self, outputs: Outputs, peer: Outputs, batch: Batch) -> Terms:
        """Of two students that saw the same pictures."""
        return {
            "cross_entropy": cross_entropy(outputs.logits, batch.labels),
            "from_peer": distillation(outputs.logits, peer.logits.detach(), 1.0),
            "peer_cross_entropy": cross_entropy(peer.logits, batch.labels),
            "peer_from_student": distillation(peer.logits, outputs.logits.detach(), 1.0),
        }
