"""What a cache lacks is computed, block by block, and the whole put in its place: what stands is kept, nothing is mixed."""

from collections.abc import Iterator, Set
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.cache import ledger, lock, reader, writer
from pipeline.cache.files import building, require_writable
from pipeline.cache.layout import IMAGE_ARRAYS, VIEW_ARRAYS, require_countable
from pipeline.cache.metadata import Attributes
from pipeline.cache.writer import Work, Writer
from pipeline.engine.behind import one_behind
from pipeline.engine.cores import processes
from pipeline.engine.workers import in_order
from pipeline.errors import CacheError, TeacherError
from pipeline.progress import say, track
from pipeline.stage_one.target import Target, prepare, recover
from pipeline.stage_one.task import Task
from pipeline.teacher import prompts, zero_shot
from pipeline.teacher.clip import IMAGENET_MEAN, IMAGENET_STD, Clip
from pipeline.teacher.settings import TeacherSettings
from pipeline.views.render import probe
from pipeline.views.teacher_input import TeacherViews


def build(task: Task, workers: int | None) -> None:
    """Images and prompts → a complete teacher cache in the task's folder."""
    with lock.writing(task.folder):
        recover(task.folder)
        target = task.target()
        say(target.found)
        if target.folder == task.folder and reader.exists(unfinished := building(task.folder)):
            say(
                f"{unfinished}: an unfinished cache of other settings waits here; remove it if they are not to come back"
            )
        harmed = prepare(target, task.folder)
        for fault in harmed:
            say(f"{target.folder}: {fault}; it is computed again")
        complete(task, target, {fault.path for fault in harmed}, workers)


def complete(task: Task, target: Target, harmed: Set[str], workers: int | None) -> None:
    """Computes what a target lacks, and what is known to be harmed, and puts the cache in its place."""
    require_countable(task.shape(target), task.folder)
    cache, pictures, attributes = task.writer(target, harmed), task.pictures(target.rows), task.attributes(target)
    _say_what_is_gone(cache)
    head_stands = _head_stands(target, attributes, harmed)
    if not head_stands or cache.missing(tuple(VIEW_ARRAYS)):
        require_writable(target.folder)
    ledgers = {path for path in harmed if path.startswith("ledger/")}
    for path in ledgers:
        ledger.forget(target.folder, path)
    cache = replace(cache, harmed=harmed - ledgers)
    if not head_stands:
        _write_head(task, target, cache, attributes)
    passed = _image_pass(cache, task.clip, pictures, task.settings, workers)
    _logits(cache, task.clip.logit_scale)
    if target.folder != task.folder:
        writer.switch(target.folder, task.folder)
    _say_what_stands(task.folder, passed)


def _say_what_stands(folder: Path, passed: int) -> None:
    cache = reader.open_complete(folder)
    stands = f"{cache.shape.samples} samples × {cache.shape.views} views"
    say(f"{passed} pictures went through the teacher; {stands} stand in {folder}")
    content = cache.content_digest()[:12]
    say(f"identity {cache.identity_digest[:12]}, content {content} (equal bytes have equal digests)")


def _head_stands(target: Target, attributes: Attributes, harmed: Set[str]) -> bool:
    if not target.begun or harmed & writer.HEAD_PATHS:
        return False
    try:
        cache = reader.open_any(target.folder)
        cache.read_text_embeddings()
    except CacheError:
        return False
    return cache.attributes == attributes and cache.rows == target.rows


def _say_what_is_gone(cache: Writer) -> None:
    """Rows whose new views stay unfinished, as their images are not among the samples any more."""
    rows = {row for work in cache.missing(IMAGE_ARRAYS) for row in cache.block_of(work) if row in cache.gone}
    if rows:
        first = cache.origins.rows[min(rows)].id
        say(
            f"{len(rows)} images are gone, first that of id {first[:12]}: what stands of them is kept, what is missing is "
            "not made, and no student reads it"
        )


def _write_head(task: Task, target: Target, cache: Writer, attributes: Attributes) -> None:
    texts = prompts.texts(task.settings.templates, task.samples.classes)
    # Logits that stand follow from the text embeddings that stand, to the last bit.
    standing = cache.standing_text() if target.begun else None
    cache.write_head(
        attributes, target.rows, texts, _text_embeddings(task.clip, texts) if standing is None else standing
    )
    # What no reader takes, as a table that is too large, is refused now, not after hours.
    reader.open_any(target.folder)


def _text_embeddings(clip: Clip, texts: list[list[str]]) -> np.ndarray:
    embeddings = clip.encode_texts(texts)
    if not np.isfinite(embeddings).all():
        raise TeacherError(
            "the teacher's text embeddings hold NaN or infinity: its weights are damaged or of another model"
        )
    return embeddings


def encode_one(task: Task, images: TeacherViews, row: int, view: int) -> np.ndarray:
    """(D,) float16: one view of one row, as the image pass encodes it."""
    pixels, _ = images[row, (view,)]
    encoded = task.clip.encode_images(pixels, *_normalisation(task.clip, task.settings, view))
    return np.asarray(encoded[0])


def _normalisation(clip: Clip, settings: TeacherSettings, view: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation: the clean view is always normalised as the teacher's own preprocessing does."""
    if view and settings.normalisation == "imagenet":
        return IMAGENET_MEAN, IMAGENET_STD
    return clip.own_mean, clip.own_std


def _image_pass(cache: Writer, clip: Clip, images: TeacherViews, settings: TeacherSettings, workers: int | None) -> int:
    """Everything that needs the images; returns how many pictures were encoded."""
    todo = cache.missing(IMAGE_ARRAYS)
    items = [(row, work.views) for work in todo for row in cache.rows_of(work)]
    started = min(processes(workers, sum(len(views) for _, views in items)), len(items))
    made = track(in_order(images, items, started), len(items), "teacher, samples")
    with one_behind() as soon:
        for work in todo:
            soon(partial(cache.write, work, _encode(clip, made, cache.rows_of(work), work, images, settings)))
    return sum(len(work.views) * len(cache.rows_of(work)) for work in todo if "image_features" in work.arrays)


def _encode(
    clip: Clip,
    made: Iterator[tuple[np.ndarray, np.ndarray]],
    rows: list[int],
    work: Work,
    images: TeacherViews,
    settings: TeacherSettings,
) -> dict[str, np.ndarray]:
    """The next pictures of `made` in batches that never cross a block, as the arrays that `work` asks for."""
    features, probes, numbers = [], [], []
    for start in range(0, len(rows), settings.batch):
        batch_rows = rows[start : start + settings.batch]
        batch = [next(made) for _ in batch_rows]
        pixels = np.stack([picture for picture, _ in batch])
        if "image_features" in work.arrays:
            encoded = [
                clip.encode_images(pixels[:, at], *_normalisation(clip, settings, view))
                for at, view in enumerate(work.views)
            ]
            features.append(np.stack(encoded, 1))
            _require_finite(features[-1], batch_rows, images)
        probes += [[probe(picture) for picture in pictures] for pictures in pixels]
        numbers += [drawn_numbers for _, drawn_numbers in batch]
    if not rows:  # of a block whose images are all gone
        return {name: np.zeros((0, len(work.views), 1), VIEW_ARRAYS[name].dtype) for name in work.arrays}
    made_arrays = {"pixel_probe": np.array(probes, np.uint8), "views": np.stack(numbers)}
    if features:
        made_arrays["image_features"] = np.concatenate(features)
    return {name: made_arrays[name] for name in work.arrays}


def _require_finite(features: np.ndarray, rows: list[int], images: TeacherViews) -> None:
    """(B, V, D). Raises TeacherError naming the first sample whose features are no numbers."""
    bad = ~np.isfinite(features).all((1, 2))
    if bad.any():
        row = rows[int(np.flatnonzero(bad)[0])]
        raise TeacherError(
            f"sample {images.load.key(row)}: the teacher's features hold NaN or infinity in half precision, so nothing of "
            "its block is kept; its weights are damaged or of another model, or the image is beyond what it can encode"
        )


def _logits(cache: Writer, scale: float) -> None:
    """Logits of whatever has features and no logits, from the stored features."""
    text = reader.open_any(cache.folder).read_text_embeddings()
    for work in cache.missing(("logits",)):
        cache.write(work, {"logits": zero_shot.logits(cache.read("image_features", work), text, scale)})
