"""A data set's settings, and the bytes of its images."""

from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field, field_validator

from pipeline import package
from pipeline.config import Section
from pipeline.samples import folders, parquet


class DatasetSettings(Section):
    """`configs/datasets/*.yaml`."""

    root: Path
    """Where the images are: a folder, or a Parquet file or a folder of them."""
    format: Literal["folder", "parquet"] = "folder"
    """`folder` is DomainBed's layout, `root/<domain>/<class>/<image>`; `parquet` has image bytes in rows."""
    columns: parquet.Columns = parquet.Columns()
    """Of Parquet: where the parts of a sample stand."""
    domains: tuple[str, ...] | None = Field(None, min_length=1)
    """The domains to use, in this order; without it, all, sorted."""
    classes: tuple[str, ...] | None = Field(None, min_length=1)
    """The classes, in the order of their labels; without it, all, sorted."""
    exclude: Path | None = None
    """A list of samples to leave out, a key a line, as `scmd cache duplicates --exclude FILE` writes it; in `configs/exclude/`,
    which DVC watches. They keep their places among the files that DomainBed's split counts."""
    expected: dict[str, int] | None = None
    """The published number of files of each domain; another number is said."""
    exif: bool = True
    """Whether EXIF turns pictures; DomainBed's loaders ignore it."""
    flip: bool = True
    """Whether drawn views may be mirrored: not where a mirror makes a picture false (arrows, text)."""

    @field_validator("root")
    @classmethod
    def _found(cls, root: Path) -> Path:
        return package.own(root)


class Images(Protocol):
    """Where image bytes come from."""

    def read(self, key: str) -> bytes:
        """Raises OSError where there are none."""
        ...


def open_images(root: Path, format: str, columns: parquet.Columns) -> Images:
    """The bytes behind the keys of a samples table."""
    return parquet.ParquetImages(root, columns.image) if format == "parquet" else folders.FolderImages(root)
