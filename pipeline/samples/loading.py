"""Row of a samples list → its decoded picture, checked against its id. Picklable, so that worker processes can load too."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from PIL import Image

from pipeline.errors import InputError, reason
from pipeline.samples.dataset import DatasetSettings, Images, open_images
from pipeline.samples.images import UnreadableError, decode
from pipeline.samples.table import Sample, Samples


class Loader:
    """`loader(row)` is the upright RGB picture of `samples[row]`, None where the data set no longer has the image.

    Raises InputError where the file is missing or its bytes are not those that the samples table recorded.
    """

    def __init__(self, images: Images, samples: Sequence[Sample | None], root: Path, *, exif: bool):
        self.images, self.samples, self.root, self.exif = images, samples, root, exif

    def __call__(self, row: int) -> Image.Image:
        try:
            return decode(self.data(row), exif=self.exif)
        except UnreadableError as error:
            raise InputError(f"image {self.key(row)}: {error}") from error

    def data(self, row: int) -> bytes:
        """The image's file. Raises InputError as a call does."""
        sample = self.samples[row]
        if sample is None:
            raise InputError(f"row {row} of the teacher cache is of an image that is no longer among the samples")
        try:
            data = self.images.read(sample.key)
        except OSError as error:
            what = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({reason(error)})"
            raise InputError(
                f"image {sample.key} {what}; the data set's images belong under {self.root} "
                "(a teacher cache holds none): put them there, or name their place as `root` in the data set's configuration"
            ) from error
        if hashlib.sha256(data).hexdigest() != sample.id:
            raise InputError(
                f"image {sample.key} under {self.root} has changed since the samples table was made; "
                "restore it, or run `scmd samples` and what follows again"
            )
        return data

    def key(self, row: int) -> str:
        """Where the image of a row lies."""
        sample = self.samples[row]
        return sample.key if sample else f"of row {row}, which is gone"


def where_there(load: Callable[[int], Image.Image], row: int) -> Image.Image | None:
    """The picture of a row, None where it cannot be loaded."""
    with suppress(InputError):
        return load(row)
    return None


def loader(settings: DatasetSettings, samples: Samples, ids: Sequence[str]) -> Loader:
    """Loads the image of each id, as the rows of a cache list them; of a removed one the row stays and cannot be loaded."""
    by_id = {sample.id: sample for sample in samples.unique()}
    return of_rows(settings, [by_id.get(one) for one in ids], exif=samples.exif)


def of_rows(settings: DatasetSettings, rows: Sequence[Sample | None], *, exif: bool) -> Loader:
    """Loads the image of each of some samples."""
    return Loader(open_images(settings.root, settings.format, settings.columns), rows, settings.root, exif=exif)
