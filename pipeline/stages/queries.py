"""Questions to an experiment's teacher cache: what is near, how well its features tell classes apart, what stands there twice."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pipeline.errors import InputError
from pipeline.matching import open_matching
from pipeline.progress import say, show, warn
from pipeline.queries import duplicates, index, sheet
from pipeline.queries.features import Features, features
from pipeline.queries.probe import probe
from pipeline.samples import building, loading, table
from pipeline.samples.folders import SUFFIXES
from pipeline.samples.images import UnreadableError, decode
from pipeline.samples.splits import is_out
from pipeline.teacher.zero_shot import unit
from pipeline.writing import replace_text, replacing, require_room

if TYPE_CHECKING:
    from pipeline.experiment.places import Plan
    from pipeline.queries.duplicates import Pair
    from pipeline.queries.index import Index
    from pipeline.samples.loading import Loader
    from pipeline.samples.table import Sample, Samples
    from pipeline.teacher.clip import Clip


# Pictures of a contact sheet.
MOST_SHOWN = 300


@dataclass(frozen=True)
class Asked:
    """A cache's samples and their features; an index of these is built when it is asked for."""

    samples: Samples
    features: Features
    build: Callable[[], Index]

    @cached_property
    def index(self) -> Index:
        """Of `features.rows`."""
        return self.build()


def opened(plan: Plan, exact_up_to: int = index.EXACT_UP_TO) -> Asked:
    """Raises CacheError where the cache is another than the configuration asks for."""
    samples = table.read(plan.samples_folder)
    cache = open_matching(plan.cache_folder, plan.teacher, samples)
    known = features(cache, samples)
    kept = plan.cache_folder.with_name(f".{plan.cache_folder.name}.index")
    return Asked(samples, known, partial(index.build, known.rows, kept, exact_up_to))


def by_text(plan: Plan, text: str) -> np.ndarray:
    """(D,) of a text, as it stands. Raises TeacherError where the teacher is missing."""
    return np.asarray(_teacher(plan).encode_texts([[text]])[0, 0])


def by_image(plan: Plan, asked: Asked, file: Path) -> np.ndarray:
    """(D,) of an image's clean view. Raises InputError where it cannot be read."""
    try:
        picture = decode(file.read_bytes(), exif=asked.samples.exif)
    except (OSError, UnreadableError) as error:
        raise InputError(f"{file}: cannot be read as an image ({error})") from error
    teacher = _teacher(plan)
    return np.asarray(teacher.encode_images(teacher.clean(picture)[None].copy(), teacher.own_mean, teacher.own_std)[0])


def by_sample(asked: Asked, name: str) -> np.ndarray:
    """(D,) of the sample with this key, or whose id begins so. Raises InputError where there is none, or several."""
    found = {one.id: at for at, one in enumerate(asked.features.samples) if one.key == name or one.id.startswith(name)}
    if len(found) != 1:
        raise InputError(f"`{name}` is the key, or the beginning of the id, of {len(found) or 'no'} samples; name one")
    return np.asarray(asked.features.rows[next(iter(found.values()))])


def question(plan: Plan, asked: Asked, text: str | None, image: Path | None, sample: str | None) -> np.ndarray:
    """(D,) of the one that is given. Raises InputError unless that is exactly one."""
    if sum(one is not None for one in (text, image, sample)) != 1:
        raise InputError("say what to look for: one of a text, an image and a sample (`--text`, `--image`, `--sample`)")
    if text is not None:
        return by_text(plan, text)
    return by_sample(asked, sample) if sample is not None else by_image(plan, asked, image or Path())


def nearest(asked: Asked, question: np.ndarray, k: int) -> list[tuple[Sample, float]]:
    """The k samples nearest to a question (D,), with their cosines."""
    scores, rows = asked.index.nearest(unit(question.astype(np.float64))[None], k)
    pairs = zip(rows[0].tolist(), scores[0].tolist(), strict=True)
    return [(asked.features.samples[row], score) for row, score in pairs if row >= 0]


def search(plan: Plan, asked: Asked, question: np.ndarray, k: int, to: Path, copies: Path | None) -> None:
    """Lists the nearest, writes a contact sheet of them where their images are here, and their files below `copies`."""
    found = nearest(asked, question, k)
    load = loading.of_rows(plan.dataset, [sample for sample, _ in found], exif=asked.samples.exif)
    pictures = [loading.where_there(load, at) for at in range(min(len(found), MOST_SHOWN))]
    if any(pictures):
        captions = [f"{score:.3f}  {one.class_name}\n{one.domain}\n{_key(one)}" for one, score in found]
        sheet.write(pictures, captions[:MOST_SHOWN], to)
        say(f"contact sheet in {to}")
    else:
        warn("the images are not here: there is no contact sheet")
    if copies:
        _copy(load, [sample for sample, _ in found], copies)
    for sample, score in found:
        show(f"{score:.3f}  {_key(sample)}  {sample.domain}  {sample.class_name}  {sample.id[:12]}")


def _copy(load: Loader, samples: list[Sample], to: Path) -> None:
    """Files `to/domain/class/name`. Raises InputError where one cannot be read, ResourceError where one cannot be written."""
    require_room(to)
    for at, sample in enumerate(samples):
        data, name = load.data(at), Path(sample.key.removeprefix(f"{sample.domain}/{sample.class_name}/"))
        plain = re.sub("[/#]", "-", str(name))
        if name.suffix.lower() not in SUFFIXES:
            plain = f"{plain}.{str(Image.open(io.BytesIO(data)).format).lower()}"
        file = to / sample.domain / sample.class_name / plain
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            partial.write_bytes(data)
    say(f"{len(samples)} files in {to}")


def probed(asked: Asked, k: int) -> None:
    """k-NN accuracy of each domain by its own samples and by the others'."""
    found = probe(asked.features, k)
    width = max(len(one.domain) for one in found)
    show(f"{'':<{width}}  samples  within  across   ({k} nearest, in %)")
    for one in found:
        show(f"{one.domain:<{width}}  {one.samples:>7,}  {100 * one.within:>6.1f}  {100 * one.across:>6.1f}")


def pairs(plan: Plan, asked: Asked, near: float, alike: float) -> list[Pair]:
    """Exact duplicates, then near ones."""
    close = duplicates.near(asked.features, asked.index, near)
    return [*duplicates.exact(asked.features.samples), *_alike(plan, asked, close, alike)]


def repeated(plan: Plan, found: list[Pair], samples: Samples, exclude: Path | None) -> None:
    """Lists pairs and what they do, and writes the keys to leave out. Raises InputError where a held-out domain leaks."""
    held_out, split = plan.experiment.matrix.held_out, plan.student.split
    out = is_out(samples, plan.experiment.matrix.trial[0], split.rule, split.holdout_fraction)
    out_of = dict(zip((one.key for one in samples.rows), out.tolist(), strict=True))
    for pair in found:
        how = "same bytes" if pair.exact else f"{pair.score:.4f}"
        show(f"{duplicates.kind(pair, held_out, out_of)}: {told(pair.one)} and {told(pair.other)} ({how})")
    exact = sum(pair.exact for pair in found)
    say(f"{exact} exact and {len(found) - exact} near pairs")
    if exclude:
        # What it holds already is left out already, and would come back.
        known = building.excluded_keys(exclude if exclude.exists() else None)
        keys = sorted({*known, *(sample.key for sample in duplicates.to_exclude(found))})
        replace_text(exclude, "".join(f"{key}\n" for key in keys))
        say(f"{len(keys)} keys to leave out in {exclude}: name it as `exclude` in the data set's configuration")
    if leaks := [pair for pair in found if pair.leaks(held_out)]:
        raise InputError(
            f"{len(leaks)} pairs join a held-out domain ({', '.join(held_out)}) with another, first {told(leaks[0].one)} and "
            f"{told(leaks[0].other)}: a student has seen what it is judged by; write a list with `--exclude FILE`, name it as "
            "`exclude` in the data set's configuration, and run `scmd samples`"
        )


def _alike(plan: Plan, asked: Asked, pairs: list[Pair], least: float) -> list[Pair]:
    """Of pairs with like features those whose pixels are alike, too; all of them, and that is said, where images are not here."""
    of = list(dict.fromkeys(sample for pair in pairs for sample in (pair.one, pair.other)))
    load = loading.of_rows(plan.dataset, of, exif=asked.samples.exif)
    patterns = {
        sample: None if (picture := loading.where_there(load, at)) is None else duplicates.pattern(picture)
        for at, sample in enumerate(of)
    }
    kept, unseen = [], 0
    for pair in pairs:
        one, other = patterns[pair.one], patterns[pair.other]
        unseen += one is None or other is None
        if one is None or other is None or duplicates.likeness(one, other) >= least:
            kept.append(pair)
    if unseen:
        warn(f"of {unseen} near pairs the images are not here: they are listed by their features alone")
    return kept


def told(sample: Sample) -> str:
    """A sample's key, with its domain and class."""
    return f"{_key(sample)} ({sample.domain}, {sample.class_name})"


def _key(sample: Sample) -> str:
    return sample.key if sample.key.isprintable() else repr(sample.key)


def _teacher(plan: Plan) -> Clip:
    from pipeline.engine.device import device
    from pipeline.teacher import clip

    return clip.load(plan.teacher, device())
