"""Pictures → the arrays of a block: what of stage one needs the teacher and the images."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from pipeline.cache.layout import VIEW_ARRAYS
from pipeline.cache.writer import Work
from pipeline.engine.cores import processes
from pipeline.engine.workers import in_order
from pipeline.errors import TeacherError
from pipeline.progress import track
from pipeline.teacher.clip import IMAGENET_MEAN, IMAGENET_STD, Clip
from pipeline.teacher.settings import TeacherSettings
from pipeline.views.render import probe
from pipeline.views.teacher_input import TeacherViews

Arrays = dict[str, np.ndarray]
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
        for work, rows in asked:
            yield work, self._arrays(made, work, rows)

    def _arrays(self, made: Iterator[tuple[np.ndarray, np.ndarray]], work: Work, rows: list[int]) -> Arrays:
        """The next pictures of `made` in batches that never cross a block, as the arrays that `work` asks for."""
        features, probes, numbers = [], [], []
        for start in range(0, len(rows), self.settings.batch):
            batch_rows = rows[start : start + self.settings.batch]
            batch = [next(made) for _ in batch_rows]
            pixels = np.stack([picture for picture, _ in batch])
            if "image_features" in work.arrays:
                encoded = [
                    self.clip.encode_images(pixels[:, at], *self._normalisation(view))
                    for at, view in enumerate(work.views)
                ]
                features.append(np.stack(encoded, 1))
                self._require_finite(features[-1], batch_rows)
            probes += [[probe(picture) for picture in pictures] for pictures in pixels]
            numbers += [drawn_numbers for _, drawn_numbers in batch]
        if not rows:  # of a block whose images are all gone
            return {name: np.zeros((0, len(work.views), 1), VIEW_ARRAYS[name].dtype) for name in work.arrays}
        made_arrays = {"pixel_probe": np.array(probes, np.uint8), "views": np.stack(numbers)}
        if features:
            made_arrays["image_features"] = np.concatenate(features)
        return {name: made_arrays[name] for name in work.arrays}

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


# Where a teacher runs: all that is asked for comes back once, in any order.
Engine = Callable[[Encoder, Sequence[Asked]], Iterator[tuple[Work, Arrays]]]


def here(workers: int | None) -> Engine:
    """In this process; `workers` others draw."""
    return partial(Encoder.arrays, workers=workers)
