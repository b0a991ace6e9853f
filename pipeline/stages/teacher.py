"""Stage one: images and prompts → teacher cache. The one place where teacher and cache meet."""

from collections.abc import Iterator, Set
from dataclasses import dataclass, replace

import numpy as np

from pipeline.cache import ledger, lock, metadata, reader, writer
from pipeline.cache.files import require_writable
from pipeline.cache.layout import IMAGE_ARRAYS, VIEW_ARRAYS, Shape, require_countable
from pipeline.cache.metadata import Attributes
from pipeline.cache.origin import Origins
from pipeline.cache.rows import Row
from pipeline.cache.writer import Work, Writer
from pipeline.engine.device import device
from pipeline.engine.workers import in_order
from pipeline.errors import CacheError, TeacherError
from pipeline.experiment import Plan
from pipeline.progress import say, track
from pipeline.provenance import versions
from pipeline.samples import table
from pipeline.samples.table import Samples
from pipeline.stages import site as sites
from pipeline.stages.opening import distribution, identity_without_teacher, loader
from pipeline.stages.site import Site
from pipeline.teacher import clip as clips
from pipeline.teacher import prompts, zero_shot
from pipeline.teacher.clip import IMAGENET_MEAN, IMAGENET_STD, Clip
from pipeline.teacher.settings import TeacherSettings
from pipeline.views.distribution import COLUMNS
from pipeline.views.render import probe
from pipeline.views.teacher_input import TeacherViews

# Of new caches. Half-precision features compress by some 9 %; raw chunks can be mapped into memory.
CHAIN = "raw"
LIBRARIES = ("torch", "torchvision", "open_clip_torch", "pillow", "numpy", "zarr")


@dataclass(frozen=True)
class Task:
    """What stage one has before it looks at a cache: the samples, the loaded teacher, and the identity that follows."""

    plan: Plan
    samples: Samples
    clip: Clip
    identity: dict

    @property
    def rows(self) -> list[Row]:
        return [Row(sample.id, sample.width, sample.height) for sample in self.samples.unique()]

    def site(self) -> Site:
        settings = self.plan.teacher
        return sites.choose(self.plan.cache_folder, self.identity, self.rows, settings.views, settings.block, CHAIN)

    def shape(self, site: Site) -> Shape:
        return Shape(
            samples=len(site.rows),
            views=site.views,
            classes=len(self.samples.classes),
            prompts=len(self.plan.teacher.templates),
            embedding=self.clip.facts["embedding"],
            block=site.block,
        )

    def attributes(self, site: Site) -> Attributes:
        clip = self.clip
        return metadata.attributes(self.shape(site), site.chain, self.identity, COLUMNS, clip.size, clip.logit_scale)

    def writer(self, site: Site, harmed: Set[str]) -> Writer:
        provenance = {**versions(self.clip.device, LIBRARIES), "batch": self.plan.teacher.batch}
        origins = Origins.of_cache(self.identity, site.rows, site.block)
        return Writer(site.folder, self.shape(site), site.chain, origins, provenance, harmed)

    def pictures(self, rows: list[Row]) -> TeacherViews:
        return TeacherViews(
            loader(self.plan, self.samples, rows),
            [(row.id, row.width, row.height) for row in rows],
            distribution(self.plan.teacher, self.samples),
            self.plan.teacher.seed,
            self.clip.size,
            self.clip.clean,
        )


def task(plan: Plan) -> Task:
    """Reads the samples table and loads the teacher."""
    samples = table.read(plan.samples_folder)
    clip = clips.load(plan.teacher, device())
    return Task(plan, samples, clip, {**identity_without_teacher(plan.teacher, samples), "teacher": clip.facts})


def run(plan: Plan, workers: int) -> None:
    """Images and prompts → teacher cache: what is missing is computed, what stands is kept, nothing is mixed."""
    todo = task(plan)
    with lock.writing(plan.cache_folder):
        sites.recover(plan.cache_folder)
        site = todo.site()
        say(site.found)
        harmed = sites.prepare(site, plan.cache_folder)
        for fault in harmed:
            say(f"{site.folder}: {fault}; it is computed again")
        complete(todo, site, {fault.path for fault in harmed}, workers)


def complete(todo: Task, site: Site, harmed: Set[str], workers: int) -> None:
    """Computes what a site lacks, and what is known to be harmed, and puts the cache in its place."""
    folder, settings = todo.plan.cache_folder, todo.plan.teacher
    require_countable(todo.shape(site), folder)
    cache, pictures, attributes = todo.writer(site, harmed), todo.pictures(site.rows), todo.attributes(site)
    _require_images(todo, cache, pictures)
    head_stands = _head_stands(site, attributes, harmed)
    if not head_stands or cache.missing(tuple(VIEW_ARRAYS)):
        require_writable(site.folder)
    ledgers = {path for path in harmed if path.startswith("ledger/")}
    for path in ledgers:
        ledger.forget(site.folder, path)
    cache = replace(cache, harmed=harmed - ledgers)
    if not head_stands:
        _write_head(todo, site, cache, attributes)
    passed = _image_pass(cache, todo.clip, pictures, settings, workers)
    _logits(cache, todo.clip.logit_scale)
    if site.folder != folder:
        writer.switch(site.folder, folder)
    say(f"{passed} pictures went through the teacher; {len(site.rows)} samples × {site.views} views stand in {folder}")
    content = reader.open_complete(folder).content_digest()
    say(f"identity {attributes.identity_digest[:12]}, content {content[:12]} (equal bytes have equal digests)")
    say(f"next: {todo.plan.command('pixels')}")


def _head_stands(site: Site, attributes: Attributes, harmed: Set[str]) -> bool:
    if not site.begun or harmed & writer.HEAD_PATHS:
        return False
    try:
        cache = reader.open_any(site.folder)
        cache.read_text_embeddings()
    except CacheError:
        return False
    return cache.attributes == attributes and cache.rows == site.rows


def _require_images(todo: Task, cache: Writer, images: TeacherViews) -> None:
    """Raises InputError, before anything is written, where an image that is to be encoded is gone from the samples."""
    there = {sample.id for sample in todo.samples.rows}
    for work in cache.missing(IMAGE_ARRAYS):
        for row in cache.rows_of(work):
            if cache.origins.rows[row].id not in there:
                images.load(row)


def _write_head(todo: Task, site: Site, cache: Writer, attributes: Attributes) -> None:
    texts = prompts.texts(todo.plan.teacher.templates, todo.samples.classes)
    # Logits that stand follow from the text embeddings that stand, to the last bit.
    standing = cache.standing_text() if site.begun else None
    cache.write_head(attributes, site.rows, texts, _text_embeddings(todo.clip, texts) if standing is None else standing)
    # What no reader takes, as a table that is too large, is refused now, not after hours.
    reader.open_any(site.folder)


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
    return task.clip.encode_images(pixels, *_normalisation(task.clip, task.plan.teacher, view))[0]


def _normalisation(clip: Clip, settings: TeacherSettings, view: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation: the clean view is always normalised as the teacher's own preprocessing does."""
    if view and settings.normalisation == "imagenet":
        return IMAGENET_MEAN, IMAGENET_STD
    return clip.own_mean, clip.own_std


def _image_pass(cache: Writer, clip: Clip, images: TeacherViews, settings: TeacherSettings, workers: int) -> int:
    """Everything that needs the images; returns how many pictures were encoded."""
    todo = cache.missing(IMAGE_ARRAYS)
    items = [(row, work.views) for work in todo for row in cache.rows_of(work)]
    made = track(in_order(images, items, min(workers, len(items))), len(items), "teacher")
    for work in todo:
        cache.write(work, _encode(clip, made, cache.rows_of(work), work, images, settings))
    return sum(len(work.views) * len(cache.rows_of(work)) for work in todo if "image_features" in work.arrays)


def _encode(
    clip: Clip, made: Iterator, rows: range, work: Work, images: TeacherViews, settings: TeacherSettings
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
    made_arrays = {"pixel_probe": np.array(probes, np.uint8), "views": np.stack(numbers)}
    if features:
        made_arrays["image_features"] = np.concatenate(features)
    return {name: made_arrays[name] for name in work.arrays}


def _require_finite(features: np.ndarray, rows: range, images: TeacherViews) -> None:
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
