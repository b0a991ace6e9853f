"""What several stages open: images by id, and a cache that is the one the configuration asks for."""

import numpy as np

from pipeline.cache import identity as identities
from pipeline.cache import reader
from pipeline.cache.files import sha256
from pipeline.cache.layout import FORMAT, VIEW_ARRAYS
from pipeline.cache.reader import TeacherCache
from pipeline.cache.rows import Row
from pipeline.errors import CacheError
from pipeline.experiment import Plan
from pipeline.progress import say
from pipeline.samples import dataset, table
from pipeline.samples.images import DECODING_VERSION
from pipeline.samples.loading import Loader
from pipeline.samples.table import Samples
from pipeline.teacher.settings import TeacherSettings, stated
from pipeline.teacher.zero_shot import LOGITS_VERSION
from pipeline.views.distribution import DRAWING_VERSION, Distribution, is_drawable
from pipeline.views.pictures import DrawnPictures


def loader(plan: Plan, samples: Samples, rows: list[Row]) -> Loader:
    """Loads the image of each row of a cache; of a removed image the row stays and cannot be loaded."""
    by_id = {sample.id: sample for sample in samples.unique()}
    images = dataset.open_images(plan.dataset.root, plan.dataset.format, plan.dataset.columns)
    return Loader(images, [by_id.get(row.id) for row in rows], plan.dataset.root, exif=samples.exif)


def distribution(settings: TeacherSettings, samples: Samples) -> Distribution:
    """The teacher's view distribution, without mirrors where the data set says so."""
    return settings.distribution if samples.flip else settings.distribution.model_copy(update={"flip": 0.0})


def identity_without_teacher(settings: TeacherSettings, samples: Samples) -> dict:
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


def opened_cache(plan: Plan) -> tuple[Samples, TeacherCache]:
    """The samples and a complete cache of them. Raises CacheError where it is another than the configuration asks for."""
    samples = table.read(plan.samples_folder)
    cache = reader.open_complete(plan.cache_folder)
    found = dict(cache.identity)
    teacher = found.pop("teacher")
    identities.require_same(found, identity_without_teacher(plan.teacher, samples), plan.cache_folder)
    expected = stated(plan.teacher)
    identities.require_same({key: teacher.get(key) for key in expected}, expected, plan.cache_folder)
    if not {"weights_sha256", "pretrained"} & expected.keys():
        say("the teacher's weights are not on this machine: that this cache is theirs is taken on trust")
    known = {row.id for row in cache.rows}
    lacking = [sample for sample in samples.rows if sample.id not in known]
    if lacking:
        raise CacheError(
            f"{plan.cache_folder}: {len(lacking)} of {len(samples.rows)} images are not in this cache, first "
            f"{lacking[0].key}; it was made from other images: run `scmd teacher` to add them"
        )
    if cache.shape.views < plan.teacher.views:
        raise CacheError(
            f"{plan.cache_folder}: {cache.shape.views} views where the teacher's configuration asks for "
            f"{plan.teacher.views}; run `scmd teacher` to add them"
        )
    return samples, cache


def recorded_views(cache: TeacherCache) -> np.ndarray:
    """(N, V, 11): how every view of every row was drawn. Raises CacheError for numbers by which nothing can be drawn."""
    numbers = cache.column("views")
    if not (good := is_drawable(numbers)).all():
        row, view = (int(at) for at in np.argwhere(~good)[0])
        raise CacheError(f"{cache.folder}: row {row}, view {view}: its eleven numbers are not those of a view")
    return numbers


def rendered_pictures(plan: Plan, samples: Samples, cache: TeacherCache) -> DrawnPictures:
    load = loader(plan, samples, cache.rows)
    return DrawnPictures(load, recorded_views(cache), plan.experiment.pixels.size)


def views_digest(samples: Samples, cache: TeacherCache, numbers: np.ndarray) -> str:
    """What a set of pixels was rendered from: the ids in order and which are there, decoding, and the recorded views."""
    there = {sample.id for sample in samples.rows}
    ids = [[row.id, row.id in there] for row in cache.rows]
    return identities.digest({"ids": ids, "exif": samples.exif, "views": sha256(numbers.tobytes())})
