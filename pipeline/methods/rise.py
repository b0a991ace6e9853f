"""RISE (Huang et al., ICCV 2023): a student regularised by the language of its teacher.

w1 · T² · KL(softmax(t/T) ‖ softmax(z/T)) + w2 · CE(z, y) + w3 · (mean(1 − cos(e, w_y)) + 10 · mean((p − q)²)), where e = P f are
the student's features in the teacher's space; w_c is the mean of the raw embeddings of class c's `prompts`; a_{c,j} is its text
in domain j; and p = softmax_j cos(e, a_{y,j}), q = softmax_j cos(w_y, a_{y,j}), at temperature 1.

Its defaults are the released code's for PACS, which searches w1, w2 among (0.9, 0.1), (0.8, 0.2) and w3 among 0.5, 1, 2. There z
is a layer on e that starts from the texts; here it is the classifier on f that every method has, so that all start alike. There t
is of the texts w; here it is the cache's, by its `templates`, as every method has it. There prompts end with a full stop, and
names keep their underscores; here they read as the cache's own prompts do.
"""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor

from pipeline.batches import Batch, Outputs
from pipeline.errors import ConfigError
from pipeline.losses import cross_entropy, distillation
from pipeline.methods.method import Method, Problem, Terms
from pipeline.methods.settings import MethodSettings
from pipeline.samples.names import spoken
from pipeline.student.model import Projection, Student

# The factor of the released code.
RELATIVE = 10.0
# In an anchor, what stands for each source domain in turn.
DOMAIN = "{domain}"
PROMPTS = (
    "itap of a {}",
    "a bad photo of the {}",
    "a origami {}",
    "a photo of the large {}",
    "a {} in a video game",
    "art of the {}",
    "a photo of the small {}",
)


class Settings(MethodSettings):
    """The objective's weights, its temperature and its texts, which the teacher's cache must hold."""

    distill_weight: float = Field(0.9, ge=0)
    """w1, of the divergence from the teacher's answers."""
    class_weight: float = Field(0.1, ge=0)
    """w2, of the cross-entropy."""
    distance_weight: float = Field(0.5, ge=0)
    """w3, of both distances from the texts."""
    temperature: float = Field(3.0, gt=0)
    """T, of both distributions."""
    prompts: tuple[str, ...] = Field(PROMPTS, min_length=1)
    """The templates whose mean is a class."""
    anchors: tuple[str, ...] = Field(("a {domain} of a {}",), min_length=1)
    """The templates that stand for domains; one with `{domain}` for each source domain. The code has "a bright photo of a {}" and
    the like for VLCS and TerraIncognita."""

    @field_validator("prompts", "anchors")
    @classmethod
    def _have_a_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        if without := [one for one in templates if one.replace(DOMAIN, "").count("{}") != 1]:
            raise ValueError(f"{without[0]!r} must hold one {{}} where the class name goes")
        return templates


def anchors(settings: Any, sources: Sequence[str]) -> tuple[str, ...]:
    """The templates of the domains, those with `{domain}` once for each source. Raises ConfigError where it is only one."""
    names = [spoken(name) for name in sources]
    each = ([one.replace(DOMAIN, name) for name in names] if DOMAIN in one else [one] for one in settings.anchors)
    found = tuple(template for some in each for template in some)
    if len(found) < 2:
        raise ConfigError(
            f"`rise` compares with texts of several domains, and here is {len(found)}; name two `anchors` or more"
        )
    return found


class RISE(Method):
    """Cross-entropy, distillation, and where the features lie among texts of class and domains."""

    family = "distillation"
    Settings = Settings
    needs: ClassVar[frozenset[str]] = frozenset({"teacher_logits"})
    replaces_cross_entropy = True
    classes: Tensor
    domains: Tensor

    @classmethod
    def templates(cls, settings: Any, sources: Sequence[str]) -> tuple[str, ...]:
        return (*settings.prompts, *anchors(settings, sources))

    def __init__(self, settings: MethodSettings, problem: Problem) -> None:
        super().__init__(settings, problem)
        prompts = [problem.prompts[template] for template in self.settings.prompts]
        domains = [problem.prompts[template] for template in anchors(self.settings, problem.sources)]
        self.register_buffer("classes", torch.stack(prompts).mean(0))  # (C, D)
        self.register_buffer("domains", torch.stack(domains, 1))  # (C, J, D)

    def terms(self, outputs: Outputs, batch: Batch) -> Terms:
        settings, own = self.settings, self.classes[batch.labels]
        absolute = (1 - F.cosine_similarity(outputs.embeddings, own)).mean()
        relative = F.mse_loss(
            self._among_domains(outputs.embeddings, batch.labels), self._among_domains(own, batch.labels)
        )
        divergence = distillation(outputs.logits, batch.teacher_logits, settings.temperature)
        return {
            "distillation": settings.distill_weight * divergence,
            "classification": settings.class_weight * cross_entropy(outputs.logits, batch.labels),
            "absolute": settings.distance_weight * absolute,
            "relative": settings.distance_weight * RELATIVE * relative,
        }

    def projection(self, student: Student) -> Projection | None:
        scale = torch.tensor(math.log(self.problem.logit_scale))
        return Projection(student.projector, scale) if self.settings.distance_weight else None

    def _among_domains(self, rows: Tensor, labels: Tensor) -> Tensor:
        """(B, D) rows → (B, J) shares of the domains, by the texts of each row's own class."""
        return F.cosine_similarity(rows[:, None], self.domains[labels], dim=2).softmax(1)
