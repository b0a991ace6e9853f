"""The views that a teacher cache recorded → the student's pictures of them: how each is drawn, and where all are kept."""

from pathlib import Path

import numpy as np

from pipeline.cache.identity import digest
from pipeline.cache.reader import TeacherCache
from pipeline.errors import CacheError, InputError
from pipeline.samples.dataset import DatasetSettings
from pipeline.samples.loading import loader
from pipeline.samples.table import Samples
from pipeline.views.distribution import CLEAN, in_known_columns, is_drawable
from pipeline.views.pictures import DrawnPictures
from pipeline.views.pixels import Wanted


def recorded_views(cache: TeacherCache) -> np.ndarray:
    """(N, V, 11): how every view of every row was drawn, by the columns that the cache says it has; of views that were not
    made, as their image was gone, the clean view's numbers.

    Raises CacheError for columns or numbers by which nothing can be drawn.
    """
    try:
        numbers = in_known_columns(cache.column("views"), cache.attributes.view_columns)
    except InputError as error:
        raise CacheError(f"{cache.folder}: its {error}") from error
    numbers[cache.absent] = CLEAN
    if not (good := is_drawable(numbers)).all():
        row, view = (int(at) for at in np.argwhere(~good)[0])
        raise CacheError(f"{cache.folder}: row {row}, view {view}: its eleven numbers are not those of a view")
    return numbers


def wanted_pictures(dataset: DatasetSettings, samples: Samples, cache: TeacherCache, views: int, size: int) -> Wanted:
    """The student's pictures of every row of a cache, in the first `views` of its views: how they are drawn."""
    ids = [row.id for row in cache.rows]
    known = {sample.id for sample in samples.rows}
    drawn = DrawnPictures(loader(dataset, samples, ids), recorded_views(cache)[:, :views], size)
    return Wanted(ids, np.array([one in known for one in ids]), drawn)


def store_of_views(folder: Path, cache: TeacherCache) -> Path:
    """The store of pictures below `folder` for caches with these views: prompts, teacher and number of rows make no other."""
    parts = {name: cache.identity[name] for name in ("decoding", "drawing")}
    return folder / digest({**parts, "columns": cache.attributes.view_columns})[:16]
