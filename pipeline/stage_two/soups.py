"""The trials of a cell that differ in their hyperparameter seed alone → one student, the mean of their weights.

They have the same split and the same initial weights: what a soup needs, and other trial numbers lack.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import training, weights
from pipeline.averaging import soup
from pipeline.averaging.running_mean import RunningMean
from pipeline.averaging.soup import Rule, Weights
from pipeline.engine.workers import exhaust, in_order
from pipeline.errors import InputError
from pipeline.evaluation import EvaluationSet
from pipeline.results import validation
from pipeline.stage_two import data, running
from pipeline.stage_two.materials import Assignment, Materials, made_from
from pipeline.teacher.settings import digest
from pipeline.training_set import TrainingSet
from pipeline.trials import files
from pipeline.trials.trial import Trial
from pipeline.views.pictures import Pictures

# Before the names of tensors, of which part of what ships they are; the file of it, and its digest on the card.
_PARTS = (("predictor.", files.WEIGHTS, "weights_sha256"), ("projection.", files.PROJECTION, "projection_sha256"))


@dataclass(frozen=True)
class Ingredient:
    """A finished trial: what it was, what its card says, and where it lies."""

    one: Assignment
    card: Mapping[str, Any]
    folder: Path

    def weights(self) -> Weights:
        """Of predictor and projection. Raises InputError for a file that is not the card's."""
        found: Weights = {}
        for part, name, key in _PARTS:
            if key not in self.card:
                continue
            if digest(self.folder / name) != self.card[key]:
                raise InputError(
                    f"{self.folder / name}: not the file that the card beside it is of; run the trial again"
                )
            found |= {f"{part}{tensor}": values for tensor, values in weights.read(self.folder / name).items()}
        return found


def by_validation(ingredients: Sequence[Ingredient]) -> list[Ingredient]:
    """The best first, of equal ones the larger hyperparameter seed, as in the table."""
    return sorted(
        ingredients, key=lambda each: (each.card["metrics"]["validation"], each.one.key.hparams_seed), reverse=True
    )


def cook(
    materials: Materials,
    ingredients: Sequence[Ingredient],
    sources: Sequence[str],
    pictures: Pictures,
    rule: Rule,
    folder: Path,
) -> tuple[dict[str, Any], list[int]]:
    """Writes the soup as a trial's files, whose card is its best trial's and says of what it is made; returns its metrics, and
    the hyperparameter seeds that are in it."""
    ordered = by_validation(ingredients)
    one = ordered[0].one
    judged = data.evaluation_set(materials, one, pictures)
    answers = data.answers(materials, judged, one.needs)
    learnt_from = data.training_set(materials, one, answers, judged, list(sources))
    trial = running.started(materials, one, answers.text, list(sources))
    trial.averaging = RunningMean(trial.shipped, first=0)
    runs = [each.weights() for each in ordered]
    kept = soup.chosen(runs, rule, lambda mixed: _validated(trial, mixed, learnt_from, judged))
    _validated(trial, soup.mean([runs[at] for at in kept]), learnt_from, judged)
    training.choose(trial, trial.history[-1])
    seeds = [ordered[at].one.key.hparams_seed for at in kept]
    said = {
        "rule": rule,
        "hparams_seeds": seeds,
        "of": sorted(each.card["weights_sha256"] for each in ordered),
    }
    answered = training.answer(trial, judged)
    made = {**made_from(materials, one), "soup": said}
    return running.leave(materials, one, trial, answers, judged, answered, folder, made), seeds


def _validated(trial: Trial, mixed: Weights, learnt_from: TrainingSet, judged: EvaluationSet) -> float:
    """The validation accuracy of a student with these weights, whose batch-norm statistics are its own."""
    trial.averaging.model.load_state_dict(mixed)
    number = trial.settings.steps + len(trial.history)
    pictures = in_order(learnt_from.pictures.maker, training.orders_of_evaluation(trial, learnt_from, judged), 0)
    evaluation = training.evaluate(trial, learnt_from, judged, number, pictures)
    exhaust(pictures)
    return validation(evaluation, trial.sources)
