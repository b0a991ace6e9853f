"""DomainBed's three rules by which a run's step and a sweep's hyperparameters are chosen (`model_selection.py`).

All return of each held-out environment and trial what the chosen run measured on that environment's in split. A tie between
hyperparameters goes to the larger `hparams_seed`, one between steps to the earlier, and of several records of the last step the
oracle takes the last, as DomainBed's sorting has it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipeline.domainbed.records import Record


@dataclass(frozen=True)
class Choice:
    """What a rule values a run by, and what that run is worth: shares."""

    validation: float
    test: float


# Records of a held-out environment and one `hparams_seed` → its choice, or None where the rule cannot be followed.
Rule = Callable[[Sequence[Record], int], Choice | None]


def training_domain(records: Sequence[Record], environment: int) -> Choice | None:
    """The step of the highest mean out-split accuracy of all other environments."""
    found = [Choice(_mean_of_others(one, environment), one.accuracy(environment, "in")) for one in _single(records)]
    return max(found, key=lambda one: one.validation, default=None)


def oracle(records: Sequence[Record], environment: int) -> Choice | None:
    """The last step, valued by the held-out environment's own out split: what no rule may know."""
    last = max(reversed(_single(records)), key=lambda one: one.step, default=None)
    return Choice(last.accuracy(environment, "out"), last.accuracy(environment, "in")) if last else None


def leave_one_out(records: Sequence[Record], environment: int) -> Choice | None:
    """The step of the highest mean accuracy on each other environment, in a run that held it out, too."""
    steps = sorted({one.step for one in records})
    found = [_left_out([one for one in records if one.step == step], environment) for step in steps]
    return max((one for one in found if one), key=lambda one: one.validation, default=None)


def _left_out(records: Sequence[Record], environment: int) -> Choice | None:
    single = _single(records)
    if len(single) != 1:
        return None
    others = {}
    for one in records:
        if len(one.test_envs) == 2:
            (other,) = (at for at in one.test_envs if at != environment)
            others[other] = one.accuracy(other, "in")
    if len(others) != single[0].environments - 1:
        return None
    return Choice(sum(others.values()) / len(others), single[0].accuracy(environment, "in"))


def _single(records: Iterable[Record]) -> list[Record]:
    return [one for one in records if len(one.test_envs) == 1]


def _mean_of_others(record: Record, environment: int) -> float:
    others = [record.accuracy(at, "out") for at in range(record.environments) if at != environment]
    return sum(others) / len(others)


RULES: dict[str, Rule] = {
    "training-domain validation": training_domain,
    "leave-one-domain-out": leave_one_out,
    "oracle": oracle,
}


def chosen(records: Sequence[Record], environment: int, rule: Rule) -> float | None:
    """The accuracy of a sweep (all records of one algorithm and trial) on a held-out environment, by a rule; None where no run
    follows it."""
    mine = [one for one in records if environment in one.test_envs]
    seeds = sorted({one.hparams_seed for one in mine})
    found = [rule([one for one in mine if one.hparams_seed == seed], environment) for seed in seeds]
    best: Choice | None = None
    for one in found:
        if one and (best is None or one.validation >= best.validation):
            best = one
    return best.test if best else None


def accuracies(records: Sequence[Record], rule: Rule) -> dict[str, dict[int, dict[int, float]]]:
    """Algorithm → held-out environment → trial → accuracy, of records of one data set."""
    found: dict[str, dict[int, dict[int, float]]] = {}
    for algorithm in dict.fromkeys(one.algorithm for one in records):
        of_algorithm = [one for one in records if one.algorithm == algorithm]
        for environment in sorted({at for one in of_algorithm for at in one.test_envs}):
            for trial in sorted({one.trial_seed for one in of_algorithm}):
                sweep = [one for one in of_algorithm if one.trial_seed == trial]
                accuracy = chosen(sweep, environment, rule)
                if accuracy is not None:
                    found.setdefault(algorithm, {}).setdefault(environment, {})[trial] = accuracy
    return found
