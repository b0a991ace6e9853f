"""Row of a samples list → its decoded picture, checked against its id. Picklable, so that worker processes can load too."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
from PIL import Image

from pipeline.errors import InputError, reason
from pipeline.samples.dataset import DatasetSettings, Images, open_images
from pipeline.samples.images import UnreadableError, decode
from pipeline.samples.table import Sample, Samples


class Loader:
    """`loader(row)` is the upright RGB picture of `samples[row]`, None where the data set no longer has the image.

    Raises InputError where the file is missing or its bytes are not those that the samples table recorded. Of the samples it
    keeps what it needs, some hundred bytes each: every worker gets a copy.
    """

    def __init__(self, images: Images, samples: Sequence[Sample | None], root: Path, *, exif: bool):
        self.images, self.root, self.exif = images, root, exif
        self._keys = pa.array([sample and sample.key for sample in samples], pa.large_string())
        self._ids = pa.array([sample and bytes.fromhex(sample.id) for sample in samples], pa.binary(32))

    def __call__(self, row: int) -> Image.Image:
        try:
            return decode(self.data(row), exif=self.exif)
        except UnreadableError as error:
            raise InputError(f"image {self.key(row)}: {error}") from error

    def data(self, row: int) -> bytes:
        """The image's file. Raises InputError as a call does."""
        key = self._keys[row].as_py()
        if key is None:
            raise InputError(f"row {row} of the teacher cache is of an image that is no longer among the samples")
        try:
            data = self.images.read(key)
        except OSError as error:
            what = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({reason(error)})"
            raise InputError(
                f"image {key} {what}; the data set's images belong under {self.root} "
                "(a teacher cache holds none): put them there, or name their place as `root` in the data set's configuration"
            ) from error
        if hashlib.sha256(data).digest() != self._ids[row].as_py():
            raise InputError(
                f"image {key} under {self.root} has changed since the samples table was made; "
                "restore it, or run `scmd samples` and what follows again"
            )
        return data

    def key(self, row: int) -> str:
        """Where the image of a row lies."""
        return self._keys[row].as_py() or f"of row {row}, which is gone"


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
