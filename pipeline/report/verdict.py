"""One sentence that says what the numbers of an experiment show, and what they do not: formed from the intervals."""

import math
from collections.abc import Mapping, Sequence

from pipeline.report.intervals import Interval, difference, interval, level_of_each


def sentence(
    accuracies: Mapping[str, Mapping[int, float]], zero_shot: Mapping[int, float], held_out: Sequence[str]
) -> str:
    """Of the last method, as tables put last what is proposed, against the best of the others by its mean.

    `accuracies` holds of each method, and `zero_shot` of the teacher, the mean over held-out domains by trial number. Which
    rival is the best is seen from the same trials, so that the interval is one of those that hold for all together (Bonferroni).
    """
    where = f"on `{held_out[0]}`" if len(held_out) == 1 else f"on the average of {len(held_out)} held-out domains"
    *others, subject = accuracies
    mine = accuracies[subject]
    if not mine:
        return f"No trial of `{subject}` is complete {where}, so that these numbers say nothing of it."
    rivals = _comparable(mine, {name: accuracies[name] for name in others})
    if not rivals:
        return f"{_alone(subject, mine, zero_shot, where)}; there is no other method to compare it with."
    best = max(rivals, key=lambda name: math.fsum(rivals[name].values()))
    gap = difference(mine, rivals[best], level_of_each(len(rivals)))
    assert gap is not None
    rival = f"`{best}`" if len(rivals) == 1 else f"`{best}`, the best of the others,"
    told = f"{_begun(gap.n)} `{subject}` is {_against(gap)} {rival} {where}{_so(gap, subject, best, len(rivals))}"
    if aside := [f"`{name}`" for name in others if name not in rivals]:
        told += f" ({', '.join(aside)}: left out, with fewer trials in common.)"
    return told


def _comparable(mine: Mapping[int, float], others: Mapping[str, Mapping[int, float]]) -> dict[str, Mapping[int, float]]:
    """Those of the others that have the most trial numbers in common with `mine`, on the numbers that all of these share: no
    method is the best by having run on easier trials."""
    shared = {name: mine.keys() & values.keys() for name, values in others.items()}
    most = max(map(len, shared.values()), default=0)
    fullest = {name: numbers for name, numbers in shared.items() if most and len(numbers) == most}
    common = set.intersection(*map(set, fullest.values())) if fullest else set()
    if not common:  # each has run on other numbers
        fullest = dict(list(fullest.items())[:1])
        common = set().union(*fullest.values())
    return {name: {number: others[name][number] for number in sorted(common)} for name in fullest}


def _alone(subject: str, mine: Mapping[int, float], zero_shot: Mapping[int, float], where: str) -> str:
    found, teacher = interval(list(mine.values())), interval(list(zero_shot.values()))
    assert found is not None
    beside = f", beside {100 * teacher.mean:.1f} % of the teacher" if teacher else ""
    return f"`{subject}` reaches {100 * found.mean:.1f} % {where}{beside}"


def _begun(n: int) -> str:
    return "In one trial" if n == 1 else f"Over {n} trials"


def _against(gap: Interval) -> str:
    size = f"{abs(100 * gap.mean):.1f}"
    if size == "0.0" and not gap.excludes_zero:
        return "level with"
    return f"{size} points {'below' if gap.mean < 0 else 'above'}"


def _so(gap: Interval, subject: str, best: str, rivals: int) -> str:
    if gap.half is None:
        return "; one trial cannot tell that from chance: more trial numbers (`matrix.trial`) can."
    if gap.half == 0:
        return (
            f"; all {gap.n} differences are the same, so that nothing says how much chance is in them; run more trial numbers "
            "(`matrix.trial`)."
        )
    between = f"between {100 * gap.low:+.1f} and {100 * gap.high:+.1f}"
    interval_of = "the 95 % interval of the difference" + (
        "" if rivals == 1 else f" (for {rivals} comparisons at once)"
    )
    if not gap.excludes_zero:
        return f", but {interval_of}, {between}, includes zero: these trials do not show which is better."
    better, worse = (subject, best) if gap.mean > 0 else (best, subject)
    return (
        f"; {interval_of}, {between}, excludes zero: with this data set, teacher and student `{better}` is "
        f"better than `{worse}`, which says nothing of others."
    )
