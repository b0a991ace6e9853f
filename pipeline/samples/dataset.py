"""A data set's settings, and the bytes of its images."""

from pathlib import Path
from typing import Literal, Protocol

from pydantic import field_validator

from pipeline import package
from pipeline.config import Section
from pipeline.samples import folders, parquet


class DatasetSettings(Section):
    """`configs/datasets/*.yaml`. `domains` and `classes` fix names and order; without them the files decide, sorted.

    `expected` holds the published number of files of each domain; a different count is reported.
    `exif: false` ignores the rotation flag (as DomainBed's loaders do), `flip: false` keeps views unmirrored.
    """

    root: Path
    format: Literal["folder", "parquet"] = "folder"
    columns: parquet.Columns = parquet.Columns()
    domains: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    expected: dict[str, int] | None = None
    exif: bool = True
    flip: bool = True

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
