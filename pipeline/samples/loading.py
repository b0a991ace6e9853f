"""Row of a samples list → its decoded picture, checked against its id. Picklable, so that worker processes can load too."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from pipeline.errors import InputError
from pipeline.samples.dataset import Images
from pipeline.samples.images import UnreadableError, decode
from pipeline.samples.table import Sample


class Loader:
    """`loader(row)` is the upright RGB picture of `samples[row]`.

    Raises InputError where the file is missing or its bytes are not those that the samples table recorded.
    """

    def __init__(self, images: Images, samples: Sequence[Sample], root: Path, *, exif: bool):
        self.images, self.samples, self.root, self.exif = images, samples, root, exif

    def __call__(self, row: int) -> Image.Image:
        sample = self.samples[row]
        try:
            data = self.images.read(sample.key)
        except OSError:
            raise InputError(
                f"image {sample.key} is missing; the data set's images belong under {self.root} "
                "(a teacher cache holds none): put them there, or name their place as `root` in the data set's configuration"
            ) from None
        if hashlib.sha256(data).hexdigest() != sample.id:
            raise InputError(
                f"image {sample.key} under {self.root} has changed since the samples table was made; "
                "restore it, or run `scmd samples` and what follows again"
            )
        try:
            return decode(data, exif=self.exif)
        except UnreadableError as error:
            raise InputError(f"image {sample.key}: {error}") from None
