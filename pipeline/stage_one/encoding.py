"""Pictures → the arrays of a block: what of stage one needs the teacher and the images."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from pipeline.cache.layout import VIEW_ARRAYS
from pipeline.cache.writer import Work
from pipeline.engine.behind import one_late
from pipeline.engine.cores import processes
from pipeline.engine.device import on_host, sent_back
from pipeline.engine.workers import in_order
from pipeline.errors import TeacherError
from pipeline.progress import track
from pipeline.teacher.clip import IMAGENET_MEAN, IMAGENET_STD, Clip
from pipeline.teacher.settings import TeacherSettings
from pipeline.views.render import probe
from pipeline.views.teacher_input import TeacherViews

Arrays = dict[str, np.ndarray]
# The teacher's input (views, size, size, 3) of a row, and the numbers by which it was drawn.
Made = tuple[np.ndarray, np.ndarray]
# What a block lacks, and the rows whose images are there to make it from.
Asked = tuple[Work, list[int]]


@dataclass(frozen=True)
class Encoder:
    """A teacher and what it is to see."""

    clip: Clip
    pictures: TeacherViews
    settings: TeacherSettings

    def one(self, row: int, view: int) -> np.ndarray:
        """(D,) float16: one view of one row, as the image pass encodes it."""
        pixels, _ = self.pictures[row, (view,)]
        return np.asarray(self.clip.encode_images(pixels, *self._normalisation(view))[0])

    def arrays(self, asked: Sequence[Asked], workers: int | None) -> Iterator[tuple[Work, Arrays]]:
        """Work and its arrays (rows, views, width) by name, in the order asked; `workers` processes draw meanwhile."""
        items = [(row, work.views) for work, rows in asked for row in rows]
        started = min(processes(workers, sum(len(views) for _, views in items)), len(items))
        made = track(in_order(self.pictures, items, started), len(items), "teacher, samples")
        batches = []
        for batch in one_late(self._batches(asked, made)):
            batches.append(self._fetched(batch))
            if batch.last:
                yield batch.work, _joined(batch.work, batches)
                batches = []

    def _batches(self, asked: Sequence[Asked], made: Iterator[Made]) -> Iterator["_Batch"]:
        """Batches, which never cross a block, with features that are on their way; one without rows for a block without."""
        rooms = self._rooms(asked)
        for work, rows in asked:
            for start in range(0, max(len(rows), 1), self.settings.batch):
                batch_rows = rows[start : start + self.settings.batch]
                batch = self._batch(work, batch_rows, made, next(rooms)[: len(work.views), : len(batch_rows)])
                yield replace(batch, last=start + len(batch_rows) == len(rows))

    def _rooms(self, asked: Sequence[Asked]) -> Iterator[Tensor]:
        """Places, in turn, for the pictures of a batch: what is in one may be on its way while the other is filled."""
        views = max((len(work.views) for work, _ in asked), default=0)
        rows = min(max((len(rows) for _, rows in asked), default=0), self.settings.batch)
        shape = (views, rows, self.clip.size, self.clip.size, 3)
        return itertools.cycle([on_host(shape, self.clip.device) for _ in range(2)])

    def _batch(self, work: Work, rows: list[int], made: Iterator[Made], room: Tensor) -> "_Batch":
        """The next pictures of `made`, by way of `room`, a tensor (views, rows, size, size, 3)."""
        probes, numbers = [], []
        filled = room.numpy()  # torch would copy by many threads, which wait for cores that draw
        for at in range(len(rows)):
            pictures, drawn_numbers = next(made)
            filled[:, at] = pictures
            probes.append([probe(picture) for picture in pictures])
            numbers.append(drawn_numbers)
        if not rows or "image_features" not in work.arrays:
            return _Batch(work, rows, probes, numbers)
        views = zip(room, work.views, strict=True)
        sent = [self.clip.send(pixels, *self._normalisation(view)) for pixels, view in views]
        return _Batch(work, rows, probes, numbers, sent_back(torch.stack(sent, 1)))

    def _fetched(self, batch: "_Batch") -> "_Batch":
        """The same with its features here, if it is to have any. Raises TeacherError where they are no numbers."""
        if batch.fetch is None:
            return batch
        features = batch.fetch()
        self._require_finite(features, batch.rows)
        return replace(batch, features=features)

    def _normalisation(self, view: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation: the clean view is always normalised as the teacher's own preprocessing does."""
        if view and self.settings.normalisation == "imagenet":
            return IMAGENET_MEAN, IMAGENET_STD
        return self.clip.own_mean, self.clip.own_std

    def _require_finite(self, features: np.ndarray, rows: list[int]) -> None:
        """(B, V, D). Raises TeacherError naming the first sample whose features are no numbers."""
        bad = ~np.isfinite(features).all((1, 2))
        if bad.any():
            row = rows[int(np.flatnonzero(bad)[0])]
            raise TeacherError(
                f"sample {self.pictures.load.key(row)}: the teacher's features hold NaN or infinity in half precision, so "
                "nothing of its block is kept; its weights are damaged or of another model, or the image is beyond what it "
                "can encode"
            )


@dataclass(frozen=True)
class _Batch:
    """Some rows of a block: what is seen of their pictures, and their features (B, V, D), to be fetched or here."""

    work: Work
    rows: list[int]
    probes: list[list[np.ndarray]]
    numbers: list[np.ndarray]
    fetch: Callable[[], np.ndarray] | None = None
    last: bool = False
    features: np.ndarray | None = None


def _joined(work: Work, batches: Sequence[_Batch]) -> Arrays:
    """Batches of a block as the arrays that `work` asks for."""
    if not any(batch.rows for batch in batches):  # its images are all gone
        return {name: np.zeros((0, len(work.views), 1), VIEW_ARRAYS[name].dtype) for name in work.arrays}
    made = {
        "pixel_probe": np.array([row for batch in batches for row in batch.probes], np.uint8),
        "views": np.stack([row for batch in batches for row in batch.numbers]),
    }
    if features := [batch.features for batch in batches if batch.features is not None]:
        made["image_features"] = np.concatenate(features)
    return {name: made[name] for name in work.arrays}


# Where a teacher runs: all that is asked for comes back once, in any order.
Engine = Callable[[Encoder, Sequence[Asked]], Iterator[tuple[Work, Arrays]]]


def here(workers: int | None) -> Engine:
    """In this process; `workers` others draw."""
    return partial(Encoder.arrays, workers=workers)
