"""Stage one: images and prompts → teacher cache. The one place where teacher and cache meet."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.cache import identity as identities
from pipeline.cache import reader, writer
from pipeline.cache.layout import FORMAT, Shape
from pipeline.cache.rows import Row
from pipeline.cache.writer import Work, Writer
from pipeline.errors import CacheError
from pipeline.experiment import Plan
from pipeline.progress import say, track
from pipeline.provenance import versions
from pipeline.samples import table
from pipeline.stages import site as sites
from pipeline.stages.opening import device, distribution, identity_without_teacher, loader
from pipeline.teacher import clip as clips
from pipeline.teacher import prompts, zero_shot
from pipeline.teacher.clip import IMAGENET_MEAN, IMAGENET_STD, Clip
from pipeline.teacher.settings import TeacherSettings
from pipeline.views.draw import COLUMNS
from pipeline.views.render import probe
from pipeline.views.rendering import TeacherViews, in_order

# Half-precision features compress by some 9 %; raw chunks can be mapped into memory.
CHAIN = "raw"


def run(plan: Plan, workers: int) -> None:
    """Images and prompts → teacher cache: what is missing is computed, what stands is kept, nothing is mixed."""
    settings = plan.teacher
    samples = table.read(plan.samples_folder)
    clip = clips.load(settings.model, settings.weights, settings.preprocess, device())
    identity = {**identity_without_teacher(settings, samples), "teacher": clip.facts}
    wanted = [Row(sample.id, sample.width, sample.height) for sample in samples.unique()]
    site = sites.choose(plan.cache_folder, identity, wanted, settings.views, settings.block)
    shape = Shape(
        samples=len(site.rows),
        views=site.views,
        classes=len(samples.classes),
        prompts=len(settings.templates),
        embedding=clip.facts["embedding"],
        block=site.block,
    )
    cache = Writer(site.folder, shape, CHAIN, versions(clip.device, settings.batch))
    attributes = _attributes(cache, clip, identity)
    if not _head_stands(site.folder, attributes, site.rows):
        texts = prompts.texts(settings.templates, samples.classes)
        cache.write_head(attributes, site.rows, texts, clip.encode_texts(texts))
    images = TeacherViews(
        loader(plan, samples, site.rows),
        [(row.id, row.width, row.height) for row in site.rows],
        distribution(settings, samples),
        settings.seed,
        clip.size,
        clip.clean,
    )
    passed = _image_pass(cache, clip, images, settings, workers)
    _logits(cache, clip.logit_scale)
    if site.folder != plan.cache_folder:
        writer.switch(site.folder, plan.cache_folder)
    whole = f"{shape.samples} samples × {shape.views} views stand in {plan.cache_folder}"
    say(f"{passed} pictures went through the teacher; {whole}")
    content = reader.open_complete(plan.cache_folder).content_digest()
    say(f"identity {attributes['identity_digest'][:12]}, content {content[:12]} (equal bytes have equal digests)")
    say("next: scmd pixels")


def _attributes(cache: Writer, clip: Clip, identity: dict) -> dict:
    """The group's attributes, as `cache/README.md` lists them."""
    return {
        "format": FORMAT,
        "identity": identity,
        "identity_digest": identities.digest(identity),
        "codec": cache.chain,
        "block": cache.shape.block,
        "views": cache.shape.views,
        "view_columns": list(COLUMNS),
        "render_size": clip.size,
        "logit_scale": clip.logit_scale,
    }


def _head_stands(target: Path, attributes: dict, rows: list[Row]) -> bool:
    if not reader.exists(target):
        return False
    try:
        cache = reader.open_any(target)
        cache.read_text_embeddings()
    except CacheError:
        return False
    return cache.attributes == attributes and cache.rows == rows


def _image_pass(cache: Writer, clip: Clip, images: TeacherViews, settings: TeacherSettings, workers: int) -> int:
    """Everything that needs the images; returns how many pictures were encoded."""
    todo = cache.missing("image_features")
    items = [(row, work.views) for work in todo for row in _rows_of(cache, work)]
    made = track(in_order(images, items, min(workers, len(items))), len(items), "teacher")
    for work in todo:
        count = len(_rows_of(cache, work))
        cache.write(work, _encode(clip, made, count, work.views, settings))
    return sum(len(views) for _, views in items)


def _rows_of(cache: Writer, work: Work) -> range:
    start = work.block * cache.shape.block
    return range(start + work.first, start + cache.shape.rows(work.block))


def _encode(
    clip: Clip, made: Iterator, count: int, views: tuple[int, ...], settings: TeacherSettings
) -> dict[str, np.ndarray]:
    """The next `count` rows of `made` in batches that never cross a block."""
    own = (clip.own_mean, clip.own_std)
    drawn = (IMAGENET_MEAN, IMAGENET_STD) if settings.normalisation == "imagenet" else own
    features, probes, numbers = [], [], []
    for start in range(0, count, settings.batch):
        batch = [next(made) for _ in range(min(settings.batch, count - start))]
        pixels = np.stack([picture for picture, _ in batch])
        encoded = [clip.encode_images(pixels[:, at], *(drawn if view else own)) for at, view in enumerate(views)]
        features.append(np.stack(encoded, 1))
        probes += [[probe(picture) for picture in pictures] for pictures in pixels]
        numbers += [drawn_numbers for _, drawn_numbers in batch]
    return {
        "image_features": np.concatenate(features),
        "pixel_probe": np.array(probes, np.uint8),
        "views": np.stack(numbers),
    }


def _logits(cache: Writer, scale: float) -> None:
    """Logits of whatever has features and no logits, from the stored features."""
    text = reader.open_any(cache.folder).read_text_embeddings()
    for work in cache.missing("logits"):
        cache.write(work, {"logits": zero_shot.logits(cache.read("image_features", work), text, scale)})
