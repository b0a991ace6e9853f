"""Before training: does the student see the pictures that the teacher saw? A few hundred views are drawn again."""

import numpy as np

from pipeline.errors import ReplayError
from pipeline.samples.table import Sample
from pipeline.views.render import PROBE_TOLERANCE, probe, render
from pipeline.views.rendering import Load
from pipeline.views.store import Pictures

REPLAYED = 300


def check(
    load: Load,
    samples: list[Sample],
    numbers: np.ndarray,
    probes: np.ndarray,
    teacher_size: int,
    pictures: Pictures,
    seed: int,
) -> None:
    """Compares `REPLAYED` random drawn views with the cache's probes, and the student's pictures with a fresh drawing.

    `numbers` (N, V, 11), `probes` (N, V, 48). Raises ReplayError with sample, view and likely cause for a difference of
    more than two levels of 255: rounding of another processor passes, a wrong crop, flip or filter does not.
    """
    random = np.random.default_rng([seed, len(samples)])
    for _ in range(REPLAYED):
        row, view = int(random.integers(len(samples))), int(random.integers(1, numbers.shape[1]))
        image = load(row)
        seen = probes[row, view].astype(int)
        drawn = render(image, numbers[row, view], teacher_size)
        if _differs(probe(drawn), seen):
            raise ReplayError(f"{_place(samples[row], view)}: the teacher saw another picture; {_cause(drawn, seen)}")
        mine = render(image, numbers[row, view], pictures.size)
        if _differs(pictures.take(np.array([row]), np.array([view]))[0], mine):
            raise ReplayError(
                f"{_place(samples[row], view)}: the student's stored picture is not the recorded view; "
                "run `scmd pixels` again"
            )


def _differs(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.abs(one.astype(int) - other.astype(int)) > PROBE_TOLERANCE).any())


def _place(sample: Sample, view: int) -> str:
    return f"sample {sample.key}, view {view}"


def _cause(drawn: np.ndarray, seen: np.ndarray) -> str:
    if not _differs(probe(drawn[:, ::-1]), seen):
        return "it is mirrored: the cache was made with another rule for flips; make it again with `scmd teacher`"
    for top in range(-3, 4):
        for left in range(-3, 4):
            if (top or left) and not _differs(probe(np.roll(drawn, (top, left), (0, 1))), seen):
                return (
                    "its crop is shifted: the cache was made with another rounding; make it again with `scmd teacher`"
                )
    return (
        "the image file has changed, or this Pillow or torchvision draws differently from the one that made the cache "
        "(`scmd cache info` names its versions): restore the file, install those versions, or make the cache again"
    )
