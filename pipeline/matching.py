"""A teacher cache that is the one which configuration and samples ask for: all that stage two knows of it, without open_clip."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.cache import reader
from pipeline.cache.identity import require_same
from pipeline.cache.layout import FORMAT, VIEW_ARRAYS
from pipeline.cache.reader import TeacherCache
from pipeline.errors import CacheError
from pipeline.progress import say
from pipeline.samples.images import DECODING_VERSION
from pipeline.samples.table import Samples
from pipeline.teacher.settings import TeacherSettings, stated
from pipeline.teacher.zero_shot import LOGITS_VERSION
from pipeline.views.distribution import DRAWING_VERSION, Distribution


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
        # A cache without any is the one that it was before there could be some.
        **({"further_templates": list(settings.further_templates)} if settings.further_templates else {}),
        "classes": list(samples.classes),
    }


def open_matching(folder: Path, settings: TeacherSettings, samples: Samples) -> TeacherCache:
    """A complete cache of the samples. Raises CacheError where it is another than the configuration asks for."""
    cache = reader.open_complete(folder)
    found = dict(cache.identity)
    teacher = dict(found.pop("teacher"))
    require_same(found, identity_without_teacher(settings, samples), folder)
    expected = stated(settings)
    for facts in (expected, teacher):
        facts.setdefault("precision", "float32")
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
    _require_present(cache, samples, settings.views)
    return cache


def _require_present(cache: TeacherCache, samples: Samples, views: int) -> None:
    """Raises CacheError where views of a sample were not made, as its image was gone at that time and is there again."""
    missing = np.asarray(cache.absent[:, :views].any(1))
    key_of = {sample.id: sample.key for sample in samples.rows}
    if back := [key_of[row.id] for row, lacks in zip(cache.rows, missing, strict=True) if lacks and row.id in key_of]:
        raise CacheError(
            f"{cache.folder}: {len(back)} images were gone when some of their views were made, and are there again, first "
            f"{back[0]}; run `scmd teacher` to add them"
        )
