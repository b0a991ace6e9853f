"""What stage one costs beside its two parts, drawing and encoding, and beside the loop that people write, on one core."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from pipeline.progress import QUIET, TALK
from pipeline.samples.dataset import DatasetSettings
from pipeline.stage_one import completing, task
from pipeline.stage_one.encoding import here
from pipeline.stage_one.task import Task
from pipeline.teacher.settings import TeacherSettings
from pipeline.timing.made_up import samples_of
from pipeline.timing.rounds import Comparison, alternate

DOMAINS, CLASSES, EACH = ("one", "other"), ("disc", "square"), 8
WANTED = {"stage one / drawn and encoded": 1.03}


def compared(teacher: TeacherSettings, folder: Path, rounds: int) -> Comparison:
    """Of a teacher, on JPEG files of 500 × 375 px with as much detail as noise of a sixteenth of that size has, one thread."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as room, _one_thread():
        return _compared(_task(teacher, Path(room)), Path(room), rounds)


@contextmanager
def _one_thread() -> Iterator[None]:
    """So that seconds are seconds of a core; and what stage one has to say is not said at each round."""
    threads, talk = torch.get_num_threads(), os.environ.get(TALK, "")
    torch.set_num_threads(1)
    os.environ[TALK] = QUIET
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        os.environ[TALK] = talk


def _task(teacher: TeacherSettings, room: Path) -> Task:
    random = np.random.default_rng(0)
    for domain in DOMAINS:
        for name in CLASSES:
            place = room / "images" / domain / name
            place.mkdir(parents=True)
            for number in range(EACH):
                noise = Image.fromarray(random.integers(0, 256, (94, 125, 3), np.uint8))
                noise.resize((500, 375)).save(place / f"{number}.jpg")
    settings = DatasetSettings(root=room / "images")
    return task.prepare(room / "cache", teacher, settings, samples_of(settings))


def _compared(work: Task, room: Path, rounds: int) -> Comparison:
    pictures, clip = work.encoder(work.rows).pictures, work.clip
    views = tuple(range(work.settings.views))
    every = np.concatenate([pictures[row, views][0] for row in range(len(work.rows))])
    batch = work.settings.batch * len(views)

    def drawn() -> None:
        for row in range(len(work.rows)):
            pictures[row, views]

    def encoded() -> None:
        for start in range(0, len(every), work.settings.batch):
            clip.encode_images(every[start : start + work.settings.batch], clip.own_mean, clip.own_std)

    def both() -> None:
        drawn()
        encoded()

    def stage_one() -> None:
        shutil.rmtree(work.folder, ignore_errors=True)
        completing.build(work, here(0))

    sides: dict[str, Callable[[], object]] = {
        "drawn": drawn,
        "encoded": encoded,
        "drawn and encoded": both,
        "stage one": stage_one,
        "the usual loop": partial(_usual_loop, work, room),
    }
    setting: dict[str, Any] = {
        "what": "stage one",
        "teacher": work.settings.model,
        "precision": work.settings.precision,
        "device": str(clip.device),
        "images": len(work.rows),
        "views": len(views),
        "size": clip.size,
        "pictures at once": batch // len(views),
        "rounds": rounds,
    }
    pairs = {
        "stage one / drawn and encoded": ("stage one", "drawn and encoded"),
        "the usual loop / stage one": ("the usual loop", "stage one"),
    }
    return alternate(setting, sides, pairs, rounds, WANTED)


def _usual_loop(work: Task, room: Path) -> None:
    """ImageFolder, DataLoader and torchvision's transforms by chance; as many passes as there are views; features to one file."""
    clip, features = work.clip, []
    augmented = transforms.Compose(
        [
            transforms.RandomResizedCrop(clip.size, scale=(0.7, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.3, 0.3, 0.3, 0.3),
            transforms.RandomGrayscale(),
            transforms.ToTensor(),
            transforms.Normalize(clip.own_mean, clip.own_std),
        ]
    )
    for view in range(work.settings.views):
        for domain in DOMAINS:
            images = ImageFolder(room / "images" / domain, augmented if view else clip.preprocess)
            with torch.inference_mode():
                for batch, _ in DataLoader(images, work.settings.batch):
                    features.append(clip.model.encode_image(batch.to(clip.device)).half().cpu().numpy())
    np.save(room / "features.npy", np.concatenate(features))
