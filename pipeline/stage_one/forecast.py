"""What stage one would do, before it does it: pictures to encode, bytes to write, time from a measured handful."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pipeline.cache import reader
from pipeline.cache.layout import CHECKSUM, IMAGE_ARRAYS, VIEW_ARRAYS, Shape, byte_count
from pipeline.cache.verify import visible_faults
from pipeline.cache.writer import Work, Writer
from pipeline.engine.cores import processes
from pipeline.progress import show
from pipeline.stage_one.target import Target
from pipeline.stage_one.task import Task

HANDFUL = 32


def forecast(task: Task, workers: int | None) -> None:
    """Says it on standard output, and writes nothing."""
    target = task.target()
    show(target.found)
    writer = _writer_of_what_stands(task, target)
    shape = writer.shape
    image_pass = writer.missing(IMAGE_ARRAYS) if target.begun or target.source else _all_of(shape, IMAGE_ARRAYS)
    logits = writer.missing(("logits",)) if target.begun else _all_of(shape, ("logits",))
    encoded = [work for work in image_pass if "image_features" in work.arrays]
    pictures = sum(len(writer.rows_of(work)) * len(work.views) for work in encoded)
    show(f"{pictures:,} pictures to encode, so that {len(target.rows):,} samples × {target.views} views stand")
    whole = _bytes(_all_of(shape, tuple(VIEW_ARRAYS)), shape)
    show(f"{_bytes([*image_pass, *logits], shape):,} bytes of chunks to write; the whole cache has {whole:,}")
    if target.source:
        show(f"besides, {_bytes(_all_of(shape, IMAGE_ARRAYS), shape):,} bytes of the image pass are copied")
    if pictures:
        each = _seconds_a_picture(task, target, processes(workers, pictures))
        speed = f"{1 / each:,.1f} pictures/s measured here ({1 / each / target.views:,.1f} samples/s)"
        show(f"about {pictures * each / 60:,.1f} minutes, at {speed}")


def _writer_of_what_stands(task: Task, target: Target) -> Writer:
    """A writer that is only asked: where the image pass is to be copied, of the cache that it is copied from."""
    stands = replace(target, folder=target.source.folder, begun=True) if target.source else target
    harmed = {fault.path for fault in visible_faults(reader.open_any(stands.folder))} if stands.begun else set()
    return task.writer(stands, harmed)


def _all_of(shape: Shape, arrays: tuple[str, ...]) -> list[Work]:
    return [Work(block, 0, tuple(range(shape.views)), arrays) for block in range(shape.blocks)]


def _bytes(todo: Sequence[Work], shape: Shape) -> int:
    """Of the chunk files that some work writes, uncompressed."""
    return sum(
        byte_count(VIEW_ARRAYS[name].chunk(shape), VIEW_ARRAYS[name].dtype) + CHECKSUM
        for work in todo
        for _ in work.views
        for name in work.arrays
    )


def _seconds_a_picture(task: Task, target: Target, workers: int) -> float:
    """From a handful of images in all their views. On a CPU drawing and encoding share the cores, on a GPU they overlap."""
    images = task.encoder(target.rows).pictures
    there = {sample.id for sample in task.samples.rows}
    rows = [at for at, row in enumerate(target.rows) if row.id in there]
    spread = np.linspace(0, len(rows) - 1, -(-HANDFUL // target.views)).astype(int)
    started = time.perf_counter()
    pixels = np.concatenate([images[rows[at], tuple(range(target.views))][0] for at in spread])
    drawn = time.perf_counter() - started
    for _ in range(2):  # the first call also warms up
        started = time.perf_counter()
        task.clip.encode_images(pixels, task.clip.own_mean, task.clip.own_std)
        encoded = time.perf_counter() - started
    drawn /= max(workers, 1)
    return (max(encoded, drawn) if task.clip.device.type == "cuda" else encoded + drawn) / len(pixels)
