"""What the source domains' labels add to a cache's answers: a better teacher, and how far each label is borne out.

No label of the held-out domain, and no image, has a part in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.adapters import choosing
from pipeline.adapters.agreement import agreement
from pipeline.adapters.choosing import Chosen
from pipeline.adapters.labelled import Labelled
from pipeline.adapters.probe import FOLDS
from pipeline.adapters.zero_shot import Adapter, ZeroShot
from pipeline.evaluation import EvaluationSet
from pipeline.progress import say
from pipeline.stage_two.data import Adaptation, Answers
from pipeline.stage_two.materials import Assignment, Materials
from pipeline.teacher.zero_shot import class_embeddings, unit
from pipeline.training_set import Column


@dataclass(frozen=True)
class Adapted:
    """Logits by an adapter, derived when they are read: `column[rows, views]` (b,) each → (b, C) float32."""

    features: Column
    adapter: Adapter

    def __getitem__(self, place: Any) -> np.ndarray:
        rows, views = place
        return self.adapter.logits(_unit(self.features[rows, views]), rows).astype(np.float32)


def taught(
    materials: Materials, one: Assignment, answers: Answers, judged: EvaluationSet, sources: Sequence[str]
) -> Answers:
    """The answers with what the trial asks of the labels."""
    adapts = one.student.teacher_logits == "adapted" and "teacher_logits" in one.needs
    if not adapts and "agreement" not in one.needs:
        return answers
    features = materials.cache.rows_of("image_features")
    inside = _labelled(judged, features, np.logical_or.reduce([judged.split(name, out=False) for name in sources]))
    if "agreement" in one.needs:
        of_all = np.zeros(len(judged.rows), np.float32)
        of_all[inside.at] = agreement(inside.labelled)
        answers = replace(answers, of_samples={"agreement": of_all})
    if not adapts:
        return answers
    outside = _labelled(judged, features, np.logical_or.reduce([judged.split(name, out=True) for name in sources]))
    start = ZeroShot(class_embeddings(answers.text), materials.cache.attributes.logit_scale)
    chosen = choosing.choose(inside.labelled, outside.labelled, start, _folds(materials))
    say(f"the teacher's logits are by {_told(chosen)}")
    there = _labelled(judged, features, judged.split(one.key.held_out, out=False)).labelled
    accuracy = there.accuracy(chosen.adapter.logits(there.features, there.rows))
    answers = replace(answers, adapter=Adaptation(chosen, accuracy))
    if isinstance(chosen.adapter, ZeroShot):  # the cache has them
        return answers
    return replace(answers, columns={**answers.columns, "teacher_logits": Adapted(features, chosen.adapter)})


@dataclass(frozen=True)
class _Part:
    """Some samples: where they stand in the table, and what is known of them."""

    at: np.ndarray
    labelled: Labelled


def _labelled(judged: EvaluationSet, features: Column, which: np.ndarray) -> _Part:
    at = np.flatnonzero(which)
    rows = judged.rows[at]
    clean = _unit(features[rows, np.zeros(len(rows), int)])
    return _Part(at, Labelled(clean, rows, judged.labels[at], judged.domains[at]))


def _unit(features: np.ndarray) -> np.ndarray:
    return unit(features.astype(np.float64))


def _folds(materials: Materials) -> np.ndarray:
    """(N,) below FOLDS, by the pictures' ids: more images move none."""
    return np.array([int(row.id[:8], 16) % FOLDS for row in materials.cache.rows])


def _told(chosen: Chosen) -> str:
    numbers = ", ".join(f"{name} {value:g}" for name, value in chosen.adapter.settings.items())
    of_each = ", ".join(f"{name} {100 * share:.1f}%" for name, share in chosen.validation.items())
    return f"{chosen.adapter.name}{f' ({numbers})' if numbers else ''}; by validation {of_each}"
