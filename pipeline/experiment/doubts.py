"""What is said of a trial's settings before its first step, though nothing forbids them: what will do nothing, or too little."""

from collections.abc import Iterator

from pipeline.averaging.settings import AveragingSettings
from pipeline.methods import METHODS, decided
from pipeline.methods.settings import MethodSettings
from pipeline.selection.schedule import Schedule, kept
from pipeline.trials.settings import StudentSettings

# Share of a batch, the most steps at which the paper's rule with it lost more than a point of validation to whole batches in the
# map of docs/selection.md, and the steps from which it lost less; of the smallest shares that is known of no length, and the
# paper's stands there. With `FEW_WHOLE` steps on whole batches before, a share that then fell and half of the kept at random none
# lost so much, unless fewer than `FEW_KEPT` images were kept.
MEASURED = ((0.5, 250, 400), (0.35, 800, 1600), (0.0, 1600, 5001))
FEW_WHOLE, FEW_KEPT = 200, 16
# Of what an exponential average still holds of its first weights, what is worth a word.
STALE = 0.05
# What has no effect where nothing is selected.
_OF_SELECTION = ("select", "select_from", "anneal", "floor", "random_fraction", "scoring")


def doubts(name: str, method: MethodSettings, student: StudentSettings, sources: int) -> Iterator[str]:
    """A sentence each, of a method with its settings in a trial from so many source domains."""
    own, batch = decided(METHODS[name]), student.batch * sources
    selecting = _schedule(method, student.steps, batch) if method.hard_fraction < 1 else _unused(method)
    measured = "select" not in own and method.select == "hardest" and method.random_fraction < 1
    starving = _starving(method, student.steps, batch) if measured else None
    shortest = METHODS[name].shortest_run(method, student.steps)
    averaging = None if "averaging" in own else method.averaging or student.averaging
    rates = [averaging and _average(averaging, shortest), _warmup(student.optimiser.warmup, shortest)]
    yield from filter(None, [selecting or starving, *rates, *_idle(name, method, student.steps, sources)])


def _unused(method: MethodSettings) -> str | None:
    """Of a method that learns from all of a batch."""
    fields = type(method).model_fields
    for key in _OF_SELECTION:
        if (value := getattr(method, key)) != fields[key].default:
            return (
                f"`{key}: {value}` has no effect: all of a batch is learnt from, as `hard_fraction` is 1; set a smaller share, "
                f"or leave `{key}` out"
            )
    return None


def _schedule(method: MethodSettings, steps: int, batch: int) -> str | None:
    """Of one that selects: whether any step does, and as much as is written."""
    left = kept(batch, method.hard_fraction, method.floor)
    if left == batch:
        return f"`floor: {method.floor}` keeps all of a batch of {batch}, so that nothing is selected; lower it"
    schedule = Schedule(method, steps)
    least = min(schedule.kept(step, batch) for step in range(steps))
    if least == batch:
        return (
            f"`hard_fraction: {method.hard_fraction}` is set and no step selects: whole batches until `select_from` meet those "
            "of `full_batch_fraction`; lower one of both"
        )
    if least > left:
        return (
            f"`hard_fraction: {method.hard_fraction}` would keep {left} of {batch} images, and no step keeps "
            f"fewer than {least}: the whole batches of `full_batch_fraction` begin before `anneal` ends; lower one of both, or "
            "`select_from`"
        )
    return None


def _starving(method: MethodSettings, steps: int, batch: int) -> str | None:
    """Of one that learns from the hardest: whether it has enough to learn from."""
    left = kept(batch, method.hard_fraction, method.floor)
    if left == batch:
        return None
    schedule, share = Schedule(method, steps), max(method.hard_fraction, method.floor / batch)
    selecting = sum(schedule.selects(step, batch) for step in range(steps))
    if selecting < steps // 2 or share > MEASURED[0][0]:  # the map has no such
        return None
    told = f"selection keeps {left} of {batch} images for {steps} steps"
    if left < FEW_KEPT:
        return (
            f"{told}; below {FEW_KEPT} kept it learns less than the whole batch would: raise `batch` or the method's "
            "`hard_fraction`, or set a `floor`"
        )
    lost, enough = next(numbers for least, *numbers in MEASURED if share >= least)
    if steps < enough and int(method.select_from * steps) < FEW_WHOLE:
        return (
            f"{told}; on icons so small a share learnt less than whole batches did at up to {lost} steps, unless {FEW_WHOLE} or "
            "more were on whole batches before (docs/selection.md): raise `steps`, `select_from` or `hard_fraction`"
        )
    return None


def _warmup(warmup: int, steps: int) -> str | None:
    if warmup > steps:
        return (
            f"`optimiser.warmup: {warmup}` is longer than {steps} steps, so that the rate never comes to `lr`; lower it"
        )
    return None


def _average(averaging: AveragingSettings, steps: int) -> str | None:
    if averaging.start is not None and averaging.start > steps:
        return (
            f"`averaging.start: {averaging.start}` lies behind the last of {steps} steps, so that nothing is averaged; lower it, "
            "or set `start_fraction`"
        )
    stale = averaging.decay ** (steps - 1)
    if averaging.rule == "ema" and stale > STALE:
        return (
            f"`averaging.decay: {averaging.decay}` leaves, after {steps} steps, {stale:.0%} of the average to the weights after "
            "the first; lower it"
        )
    return None


def _idle(name: str, method: MethodSettings, steps: int, sources: int) -> Iterator[str | None]:
    """Of the method, and of those beside it."""
    beside = ((other, METHODS[other].Settings(**own)) for other, own in method.beside.items())
    for one, settings in ((name, method), *beside):
        if why := METHODS[one].idle(settings, steps, sources):
            yield f"`{one}` {why}"
