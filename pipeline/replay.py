"""Before training: does the student see the pictures that the teacher saw? A few hundred views are drawn again."""

from collections.abc import Iterable

import numpy as np

from pipeline.cache.reader import Column
from pipeline.errors import ReplayError
from pipeline.samples.loading import Loader
from pipeline.views.pictures import DrawnPictures, Pictures
from pipeline.views.render import PROBE_TOLERANCE, probe, render

REPLAYED = 300


def check(
    rows: np.ndarray, rendered: DrawnPictures, probes: Column, teacher_size: int, pictures: Pictures, seed: int
) -> None:
    """Draws `REPLAYED` random views of `rows` again and compares them with what the teacher saw and the student will see.

    `rendered` draws from the images, `probes` is the cache's (N, V, 48), `pictures` the student's. Raises ReplayError
    with sample, view and likely cause for a difference of more than two levels of 255: rounding of another processor
    passes, a wrong crop, flip or filter does not.
    """
    random = np.random.default_rng([seed, len(rows)])
    replayed = zip(random.choice(rows, REPLAYED), random.integers(0, rendered.numbers.shape[1], REPLAYED), strict=True)
    chosen = [(int(row), int(view)) for row, view in replayed]
    require_seen(chosen, rendered.load, rendered.numbers, probes, teacher_size)
    if pictures is rendered:
        return
    for row, view in chosen:
        stored = pictures.take(np.array([row]), np.array([view]))[0]
        if _differs(stored, rendered.take(np.array([row]), np.array([view]))[0]):
            place = _place(rendered.load, row, view)
            raise ReplayError(f"{place}: the stored picture is not the recorded view; run `scmd pixels` again")


def require_seen(
    chosen: Iterable[tuple[int, int]], load: Loader, numbers: np.ndarray, probes: Column, teacher_size: int
) -> None:
    """Draws (row, view) pairs again by their recorded `numbers` (N, V, 11) and compares the pixel probes (N, V, 48).

    View 0 is passed over: the teacher's clean view is its own preprocessing, which stage two does not have.
    """
    for row, view in chosen:
        if view == 0:
            continue
        drawn = render(load(row), numbers[row, view], teacher_size)
        seen = probes[np.array([row]), view][0]
        if _differs(probe(drawn), seen):
            raise ReplayError(f"{_place(load, row, view)}: the teacher saw another picture; {_cause(drawn, seen)}")


def _place(load: Loader, row: int, view: int) -> str:
    return f"sample {load.key(row)}, view {view}"


def _differs(one: np.ndarray, other: np.ndarray) -> bool:
    return bool((np.abs(one.astype(int) - other.astype(int)) > PROBE_TOLERANCE).any())


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
        "(the files in its `ledger` folder name the versions): restore the file, install those versions, or make it again"
    )
