"""Images → answers: decoded by workers, in batches, a row each; a broken one is a row with the reason."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from pipeline.batches import normalised
from pipeline.engine.workers import in_order
from pipeline.errors import reason
from pipeline.finished.found import Found
from pipeline.finished.student import Classifier
from pipeline.samples.images import UnreadableError, decode
from pipeline.views.render import squash

BATCH = 64
# Classes with their probabilities, the most probable first.
Top = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Answer:
    """`top` is empty where `error` says why. `sha256` is of the file's bytes, None where they could not be read."""

    path: Path
    label: str | None
    sha256: str | None
    top: Top
    error: str | None


@dataclass(frozen=True)
class Read:
    """What a worker makes of some files: pictures (n, size, size, 3) uint8 of the sound ones, and of all digest and fault."""

    pictures: np.ndarray
    digests: tuple[str | None, ...]
    faults: tuple[str | None, ...]


class Reader:
    """`reader[paths]` is a `Read`; it can be sent to workers."""

    def __init__(self, size: int, *, exif: bool) -> None:
        self.size, self.exif = size, exif

    def __getitem__(self, paths: Sequence[Path]) -> Read:
        pictures, digests, faults = [], [], []
        for path in paths:
            digest = fault = None
            try:
                data = path.read_bytes()
                digest = hashlib.sha256(data).hexdigest()
                pictures.append(squash(decode(data, exif=self.exif), self.size))
            except OSError as error:
                fault = reason(error)
            except UnreadableError as error:
                fault = str(error)
            digests.append(digest)
            faults.append(fault)
        shape = (0, self.size, self.size, 3)
        return Read(np.stack(pictures) if pictures else np.zeros(shape, np.uint8), tuple(digests), tuple(faults))


def answers(
    classifier: Classifier, images: Iterable[Found], *, top: int, workers: int, device: torch.device
) -> Iterator[Answer]:
    """In the order of `images`, which are read as they come, `BATCH` at once."""
    preprocessing, source = classifier.preprocessing, iter(images)
    reader = Reader(preprocessing.resize.size, exif=preprocessing.decode.exif_orientation)
    waiting: deque[list[Found]] = deque()

    def orders() -> Iterator[list[Path]]:
        while some := list(islice(source, BATCH)):
            waiting.append(some)
            yield [one.path for one in some]

    for read in in_order(reader, orders(), workers):
        best = iter(_best(classifier, read.pictures, top, device))
        for one, digest, fault in zip(waiting.popleft(), read.digests, read.faults, strict=True):
            yield Answer(one.path, one.label, digest, () if fault else next(best), fault)


@torch.inference_mode()
def _best(classifier: Classifier, pictures: np.ndarray, top: int, device: torch.device) -> list[Top]:
    """Of each of (n, size, size, 3) uint8 the most probable classes."""
    if not len(pictures):
        return []
    numbers = classifier.preprocessing.normalise
    logits = classifier.logits(normalised(pictures, numbers.mean, numbers.std, device))
    found = logits.float().softmax(1).topk(min(top, len(classifier.classes)))
    rows = zip(found.indices.tolist(), found.values.tolist(), strict=True)
    return [tuple((classifier.classes[at], value) for at, value in zip(*row, strict=True)) for row in rows]
