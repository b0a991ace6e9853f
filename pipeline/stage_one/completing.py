"""What a cache lacks is computed, block by block, and the whole put in its place: what stands is kept, nothing is mixed."""

from collections.abc import Set
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from pipeline.cache import ledger, lock, reader, writer
from pipeline.cache.files import building, require_writable
from pipeline.cache.layout import FURTHER_CHUNK, FURTHER_FILES, IMAGE_ARRAYS, TEXT_CHUNK, VIEW_ARRAYS, require_countable
from pipeline.cache.metadata import Attributes
from pipeline.cache.writer import Writer
from pipeline.engine.behind import one_behind
from pipeline.errors import CacheError, TeacherError
from pipeline.progress import say
from pipeline.stage_one.encoding import Encoder, Engine
from pipeline.stage_one.target import Target, prepare, recover
from pipeline.stage_one.task import Task
from pipeline.teacher import prompts, zero_shot
from pipeline.teacher.clip import Clip


def build(task: Task, engine: Engine) -> None:
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
        complete(task, target, {fault.path for fault in harmed}, engine)


def complete(task: Task, target: Target, harmed: Set[str], engine: Engine) -> None:
    """Computes what a target lacks, and what is known to be harmed, and puts the cache in its place."""
    require_countable(task.shape(target), task.folder)
    cache, encoder, attributes = task.writer(target, harmed), task.encoder(target.rows), task.attributes(target)
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
    passed = _image_pass(cache, encoder, engine)
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
    if not target.begun or harmed & (writer.HEAD_PATHS | FURTHER_FILES):
        return False
    try:
        cache = reader.open_any(target.folder)
        cache.read_prompts()
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
    texts, embeddings = [], {}
    for path, templates in ((TEXT_CHUNK, task.settings.templates), (FURTHER_CHUNK, task.settings.further_templates)):
        if templates:
            here = prompts.texts(templates, task.samples.classes)
            # Logits that stand follow from the text embeddings that stand, to the last bit.
            standing = cache.standing_text(path) if target.begun else None
            embeddings[path] = _text_embeddings(task.clip, here) if standing is None else standing
            texts += here
    cache.write_head(attributes, target.rows, texts, embeddings)
    # What no reader takes, as a table that is too large, is refused now, not after hours.
    reader.open_any(target.folder)


def _text_embeddings(clip: Clip, texts: list[list[str]]) -> np.ndarray:
    embeddings = clip.encode_texts(texts)
    if not np.isfinite(embeddings).all():
        raise TeacherError(
            "the teacher's text embeddings hold NaN or infinity: its weights are damaged or of another model"
        )
    return embeddings


def _image_pass(cache: Writer, encoder: Encoder, engine: Engine) -> int:
    """Everything that needs the images; returns how many pictures were encoded."""
    asked = [(work, cache.rows_of(work)) for work in cache.missing(IMAGE_ARRAYS)]
    with one_behind() as soon:
        for work, arrays in engine(encoder, asked):
            soon(partial(cache.write, work, arrays))
    return sum(len(work.views) * len(rows) for work, rows in asked if "image_features" in work.arrays)


def _logits(cache: Writer, scale: float) -> None:
    """Logits of whatever has features and no logits, from the stored features."""
    text = reader.open_any(cache.folder).read_text_embeddings()
    for work in cache.missing(("logits",)):
        cache.write(work, {"logits": zero_shot.logits(cache.read("image_features", work), text, scale)})
