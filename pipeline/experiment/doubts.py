"""What is said of a trial's settings before its first step, though nothing forbids them."""

from pipeline.methods.settings import MethodSettings
from pipeline.selection.schedule import Schedule, kept
from pipeline.trials.settings import StudentSettings

# Below these the selector starves; whole batches at the beginning stand for steps (docs/selection.md).
FEW_STEPS, FEW_KEPT, FEW_WHOLE = 1600, 16, 100


def schedule_warning(student: StudentSettings, method: MethodSettings, sources: int) -> str | None:
    """What a short schedule does to a selecting method, or None."""
    left = kept(student.batch * sources, method.hard_fraction, method.floor)
    if method.hard_fraction == 1 or left == student.batch * sources:
        return None
    schedule = Schedule(method, student.steps)
    least = min(schedule.kept(step, student.batch * sources) for step in range(student.steps))
    if least == student.batch * sources:
        return (
            f"`hard_fraction: {method.hard_fraction}` is set and no step selects: whole batches until `select_from` meet those "
            "of `full_batch_fraction`; lower one of both"
        )
    if least > left:
        return (
            f"`hard_fraction: {method.hard_fraction}` would keep {left} of {student.batch * sources} images, and no step keeps "
            f"fewer than {least}: the whole batches of `full_batch_fraction` begin before `anneal` ends; lower one of both, or "
            "`select_from`"
        )
    told = f"selection keeps {left} of {student.batch * sources} images for {student.steps} steps"
    if left < FEW_KEPT:
        return (
            f"{told}; below {FEW_KEPT} kept it learns less than the whole batch would: raise `batch` or the method's "
            "`hard_fraction`, or set a `floor`"
        )
    if student.steps < FEW_STEPS and int(method.select_from * student.steps) < FEW_WHOLE:
        return (
            f"{told}; with fewer than {FEW_STEPS} steps, and fewer than {FEW_WHOLE} on whole batches before, it learns less than "
            "the whole batch would: raise `steps`, or begin with whole batches (`select_from` and `anneal`, docs/selection.md)"
        )
    return None
