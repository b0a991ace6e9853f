"""What a block's chunks were computed from. Without it, a block of another cache would pass for one of this.

A cache may be restored in parts, or lose its head for an older one: each file is then whole, and they do not belong together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic import Field

from pipeline.cache.files import sha256
from pipeline.cache.identity import digest, image_part
from pipeline.cache.rows import Row
from pipeline.config import Section


class Origin(Section):
    """Stands in a block's ledger, each a SHA-256: of the identity's image part; of the block's rows, as many as its longest
    chunk has; and of the text embeddings' file that its logits follow from, empty where it has none."""

    image: str = Field(pattern="^[0-9a-f]{64}$")
    rows: str = Field(pattern="^[0-9a-f]{64}$")
    text: str = Field(pattern="^([0-9a-f]{64})?$")


@dataclass(frozen=True)
class Origins:
    """Of one cache: the digest of its identity's image part, its rows, and how many are a block."""

    image: str
    rows: Sequence[Row]
    block: int

    @classmethod
    def of_cache(cls, identity: dict[str, Any], rows: Sequence[Row], block: int) -> "Origins":
        """Of a cache's identity, rows and block size."""
        return cls(digest(image_part(identity)), rows, block)

    def of(self, block: int, count: int, text: str) -> Origin:
        """What the ledger of a block says whose longest chunk has `count` rows."""
        return Origin(image=self.image, rows=self._digest(block, count), text=text)

    def contradiction(self, block: int, found: Origin, count: int) -> str | None:
        """Why a block belongs to another cache, in words; None where it is this one's."""
        if found.image != self.image:
            return "its features are of another teacher, decoding or views"
        if count > min(self.block, len(self.rows) - block * self.block):
            return "it has more rows than this cache's block"
        if found.rows != self._digest(block, count):
            return "its rows are other images"
        return None

    def _digest(self, block: int, count: int) -> str:
        if count == self.block:
            return self._whole[block]
        return _digest(self.rows[block * self.block : block * self.block + count])

    @cached_property
    def _whole(self) -> list[str]:
        return [_digest(self.rows[at : at + self.block]) for at in range(0, len(self.rows), self.block)]


def _digest(rows: Sequence[Row]) -> str:
    return sha256("".join(f"{row.id} {row.width} {row.height}\n" for row in rows).encode())
