"""One sentence that says what the numbers of an experiment show, and what they do not: formed from the intervals."""

from collections.abc import Mapping, Sequence

from pipeline.report.intervals import Interval, difference, interval


def sentence(
    accuracies: Mapping[str, Mapping[int, float]], zero_shot: Mapping[int, float], held_out: Sequence[str]
) -> str:
    """Of the last method, as tables put last what is proposed, against the best of the others by its mean.

    `accuracies` holds of each method, and `zero_shot` of the teacher, the mean over held-out domains by trial number.
    """
    where = f"on `{held_out[0]}`" if len(held_out) == 1 else f"on the average of {len(held_out)} held-out domains"
    *others, subject = accuracies
    mine = accuracies[subject]
    if not mine:
        return f"No trial of `{subject}` is complete {where}, so that these numbers say nothing of it."
    rivals = [name for name in others if mine.keys() & accuracies[name].keys()]
    if not rivals:
        return f"{_alone(subject, mine, zero_shot, where)}; there is no other method to compare it with."
    best = max(rivals, key=lambda name: _mean(accuracies[name], mine.keys()))
    gap = difference(mine, accuracies[best])
    assert gap is not None
    rival = f"`{best}`" if len(rivals) == 1 else f"`{best}`, the best of the others,"
    return f"{_begun(gap.n)} `{subject}` is {_against(gap)} {rival} {where}{_so(gap, subject, best)}"


def _alone(subject: str, mine: Mapping[int, float], zero_shot: Mapping[int, float], where: str) -> str:
    found, teacher = interval(list(mine.values())), interval(list(zero_shot.values()))
    assert found is not None
    beside = f", beside {100 * teacher.mean:.1f} % of the teacher" if teacher else ""
    return f"`{subject}` reaches {100 * found.mean:.1f} % {where}{beside}"


def _mean(values: Mapping[int, float], numbers: object) -> float:
    shared = [value for number, value in values.items() if number in numbers]  # type: ignore[operator]
    return sum(shared) / len(shared)


def _begun(n: int) -> str:
    return "In one trial" if n == 1 else f"Over {n} trials"


def _against(gap: Interval) -> str:
    points = f"{abs(100 * gap.mean):.1f} points"
    return f"{points} {'below' if gap.mean < 0 else 'above'}"


def _so(gap: Interval, subject: str, best: str) -> str:
    if gap.half is None:
        return "; one trial cannot tell that from chance: more trial numbers (`matrix.trial`) can."
    between = f"between {100 * gap.low:+.1f} and {100 * gap.high:+.1f}"
    if not gap.excludes_zero:
        return f", but the 95 % interval of the difference, {between}, includes zero: these trials do not show which is better."
    better, worse = (subject, best) if gap.mean > 0 else (best, subject)
    return (
        f"; the 95 % interval of the difference, {between}, excludes zero: with this data set, teacher and student `{better}` is "
        f"better than `{worse}`, which says nothing of others."
    )
