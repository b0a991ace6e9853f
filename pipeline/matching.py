"""A teacher cache that is the one which configuration and samples ask for: all that stage two knows of it, without open_clip."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache import reader
from pipeline.cache.identity import digest, require_same
from pipeline.cache.layout import FORMAT, VIEW_ARRAYS
from pipeline.cache.reader import TeacherCache
from pipeline.errors import CacheError, InputError
from pipeline.progress import say
from pipeline.samples.dataset import DatasetSettings
from pipeline.samples.images import DECODING_VERSION
from pipeline.samples.loading import loader
from pipeline.samples.table import Samples
from pipeline.teacher.settings import TeacherSettings, stated
from pipeline.teacher.zero_shot import LOGITS_VERSION
from pipeline.views.distribution import DRAWING_VERSION, Distribution, in_known_columns, is_drawable
from pipeline.views.pictures import DrawnPictures
from pipeline.views.pixels import Wanted


def distribution(settings: TeacherSettings, samples: Samples) -> Distribution:
    """The teacher's view distribution, without mirrors where the data set says so."""
    return settings.distribution if samples.flip else settings.distribution.model_copy(update={"flip": 0.0})


def identity_without_teacher(settings: TeacherSettings, samples: Samples) -> dict[str, Any]:
    """What determines a cache's numbers besides the network itself: stage two knows this much without open_clip."""
    return {
        "format": FORMAT,
        "normalisation": settings.normalisation,
        "decoding": {"version": DECODING_VERSION, "exif": samples.exif},
        "drawing": {
            "version": DRAWING_VERSION,
            "seed": settings.seed,
            "distribution": distribution(settings, samples).model_dump(mode="json"),
        },
        "dtypes": {name: spec.dtype for name, spec in VIEW_ARRAYS.items()},
        "logits": {"version": LOGITS_VERSION},
        "templates": list(settings.templates),
        "classes": list(samples.classes),
    }


def open_matching(folder: Path, settings: TeacherSettings, samples: Samples) -> TeacherCache:
    """A complete cache of the samples. Raises CacheError where it is another than the configuration asks for."""
    cache = reader.open_complete(folder)
    found = dict(cache.identity)
    teacher = found.pop("teacher")
    require_same(found, identity_without_teacher(settings, samples), folder)
    expected = stated(settings)
    require_same({key: teacher.get(key) for key in expected}, expected, folder)
    if not {"weights_sha256", "pretrained"} & expected.keys():
        say("the teacher's weights are not on this machine: that this cache is theirs is taken on trust")
    known = {row.id for row in cache.rows}
    lacking = [sample for sample in samples.rows if sample.id not in known]
    if lacking:
        raise CacheError(
            f"{folder}: {len(lacking)} of {len(samples.rows)} images are not in this cache, first "
            f"{lacking[0].key}; it was made from other images: run `scmd teacher` to add them"
        )
    if cache.shape.views < settings.views:
        raise CacheError(
            f"{folder}: {cache.shape.views} views where the teacher's configuration asks for "
            f"{settings.views}; run `scmd teacher` to add them"
        )
    return cache


def recorded_views(cache: TeacherCache) -> np.ndarray:
    """(N, V, 11): how every view of every row was drawn, by the columns that the cache says it has.

    Raises CacheError for columns or numbers by which nothing can be drawn.
    """
    try:
        numbers = in_known_columns(cache.column("views"), cache.attributes.view_columns)
    except InputError as error:
        raise CacheError(f"{cache.folder}: its {error}") from error
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
