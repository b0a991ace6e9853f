"""The group's and arrays' `zarr.json`: written by zarr, and read by an allow-list that knows format 1 and nothing else."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator

from pipeline.cache import documents
from pipeline.cache.identity import digest, first_difference
from pipeline.cache.layout import (
    BLOCK_LIMIT,
    CHAINS,
    CHUNK_LIMIT,
    COLUMNS_LIMIT,
    FORMAT,
    FURTHER,
    FURTHER_CHUNK,
    TEXT,
    TEXT_CHUNK,
    VIEW_ARRAYS,
    VIEWS_LIMIT,
    Shape,
    byte_count,
    text_shape,
)
from pipeline.config import Section
from pipeline.errors import CacheError

Name = Annotated[str, Field(max_length=10_000)]


class TeacherFacts(Section):
    """What identifies the network; `embedding` is D."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    embedding: int = Field(ge=1, le=1 << 16)


class Identity(Section):
    """The parts of an identity that a reader uses; the others are compared, not interpreted."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    templates: list[Name] = Field(min_length=1, max_length=10_000)
    further_templates: list[Name] = Field([], max_length=10_000)
    classes: list[Name] = Field(min_length=1, max_length=documents.PARTS)
    teacher: TeacherFacts


class Attributes(Section):
    """The group's attribute `scmd`, as `cache/README.md` lists it."""

    format: int
    identity: dict[str, Any]
    identity_digest: str
    codec: Literal["raw", "zstd"]
    block: int = Field(ge=1, le=BLOCK_LIMIT)
    views: int = Field(ge=1, le=VIEWS_LIMIT)
    view_columns: list[Name] = Field(min_length=1, max_length=COLUMNS_LIMIT)
    render_size: int = Field(ge=1, le=1 << 13)
    logit_scale: float

    @field_validator("logit_scale")
    @classmethod
    def _finite(cls, value: float) -> float:
        if not math.isfinite(value):
            raise ValueError("is no finite number")
        return value

    def shape(self, samples: int, columns: int) -> Shape:
        """With the numbers that only the arrays know."""
        known = Identity.model_validate(self.identity)
        return Shape(
            samples=samples,
            views=self.views,
            classes=len(known.classes),
            prompts=len(known.templates),
            further=len(known.further_templates),
            embedding=known.teacher.embedding,
            columns=columns,
            block=self.block,
        )


def attributes(
    shape: Shape,
    chain: str,
    identity: dict[str, Any],
    view_columns: Sequence[str],
    render_size: int,
    logit_scale: float,
) -> Attributes:
    """What a cache of this shape and identity says of itself."""
    return Attributes.model_validate(
        {
            "format": FORMAT,
            "identity": identity,
            "identity_digest": digest(identity),
            "codec": chain,
            "block": shape.block,
            "views": shape.views,
            "view_columns": list(view_columns),
            "render_size": render_size,
            "logit_scale": logit_scale,
        }
    )


def arrays(shape: Shape) -> dict[str, tuple[tuple[int, ...], tuple[int, ...], str]]:
    """Name → (shape, chunk, dtype) of every array."""
    table: dict[str, tuple[tuple[int, ...], tuple[int, ...], str]] = {
        name: (spec.shape(shape), spec.chunk(shape), spec.dtype) for name, spec in VIEW_ARRAYS.items()
    }
    for name, chunk in ((TEXT, TEXT_CHUNK), *(((FURTHER, FURTHER_CHUNK),) if shape.further else ())):
        table[name] = (text_shape(shape, chunk), text_shape(shape, chunk), "float32")
    return table


def written(shape: Shape, chain: str, attributes: Attributes) -> dict[str, bytes]:
    """Path → content of every `zarr.json`, as zarr itself writes them."""
    import zarr
    from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec
    from zarr.storage import MemoryStore

    written: dict[str, Any] = {}
    group = zarr.create_group(MemoryStore(written), attributes={"scmd": attributes.model_dump()})
    codecs: dict[str, list[Any]] = {"raw": [Crc32cCodec()], "zstd": [ZstdCodec(level=3), Crc32cCodec()]}
    for name, (size, chunk, dtype) in arrays(shape).items():
        group.create_array(
            name,
            shape=size,
            chunks=chunk,
            dtype=dtype,
            fill_value=0,
            serializer=BytesCodec(),
            compressors=codecs[chain],
        )
    paths = ["zarr.json", *(f"{name}/zarr.json" for name in arrays(shape))]
    return {path: written[path].to_bytes() for path in paths}


def read_group(data: bytes, where: str) -> Attributes:
    """Raises CacheError where it is no teacher cache of format 1, or a field is impossible."""
    document = documents.parse(data, where)
    attributes = document.pop("attributes", None)
    found = attributes.get("scmd") if isinstance(attributes, dict) else None
    if not isinstance(found, dict) or "format" not in found:
        raise CacheError(f"{where}: not a teacher cache")
    if found["format"] != FORMAT:
        raise CacheError(f"{where}: a teacher cache of format {found['format']!r}; this version reads format {FORMAT}")
    _require(document, {"zarr_format": 3, "node_type": "group"}, {}, where)
    _require(attributes, {"scmd": found}, {}, where)
    try:
        read = Attributes.model_validate(found)
        shape = read.shape(0, COLUMNS_LIMIT)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise CacheError(f"{where}: `{key}` is not what a cache has ({fault['msg']})") from error
    try:
        found_digest = digest(read.identity)
    except ValueError as error:
        raise CacheError(f"{where}: `identity` holds text that is no Unicode") from error
    if read.identity_digest != found_digest:
        raise CacheError(f"{where}: `identity_digest` is not the digest of `identity`")
    for name, (_, chunk, dtype) in arrays(shape).items():
        if byte_count(chunk, dtype) > CHUNK_LIMIT:
            raise CacheError(f"{where}: a chunk of `{name}` would have more than {CHUNK_LIMIT:,} bytes")
    return read


def read_columns(data: bytes, where: str) -> int:
    """How many numbers a view has, by the `zarr.json` of `views`. Raises CacheError where it has an impossible shape.

    The names in `view_columns` are for whoever draws: a cache in which a name is missing can still be read.
    """
    match documents.parse(data, where).get("shape"):
        case [_, _, int(columns)] if 1 <= columns <= COLUMNS_LIMIT and columns is not True:
            return columns
    raise CacheError(f"{where}: `shape` is not samples × views × at most {COLUMNS_LIMIT} numbers of a view")


def require_array(data: bytes, name: str, shape: Shape, chain: str, where: str) -> None:
    """Raises CacheError where an array's `zarr.json` declares anything but what format 1 has for this shape."""
    size, chunk, dtype = arrays(shape)[name]
    plain = (
        {"name": "bytes"} if byte_count((), dtype) == 1 else {"name": "bytes", "configuration": {"endian": "little"}}
    )
    zstd = {"name": "zstd", "configuration": {"level": 3, "checksum": False}}
    expected = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(size),
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunk)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [plain, *([zstd] if chain == CHAINS[1] else []), {"name": "crc32c"}],
    }
    _require(documents.parse(data, where), expected, {"attributes": {}, "storage_transformers": []}, where)


def _require(found: dict[str, Any], expected: dict[str, Any], optional: dict[str, Any], where: str) -> None:
    """`optional` may be missing; whatever else differs is named."""
    present = {key: value for key, value in optional.items() if key in found}
    if difference := first_difference(found, {**expected, **present}):
        raise CacheError(f"{where}: not what format {FORMAT} declares: {difference}")
