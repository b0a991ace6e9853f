"""What stage one has before it looks at a cache: the samples, the loaded teacher, and the identity that follows."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.cache import metadata
from pipeline.cache.layout import Shape
from pipeline.cache.metadata import Attributes
from pipeline.cache.origin import Origins
from pipeline.cache.rows import Row
from pipeline.cache.writer import Writer
from pipeline.engine.device import device
from pipeline.matching import distribution, identity_without_teacher
from pipeline.provenance import versions
from pipeline.samples.dataset import DatasetSettings
from pipeline.samples.loading import loader
from pipeline.samples.table import Samples
from pipeline.stage_one.encoding import Encoder
from pipeline.stage_one.target import Target, choose
from pipeline.teacher import clip as open_clip_model
from pipeline.teacher.clip import Clip
from pipeline.teacher.settings import TeacherSettings
from pipeline.views.distribution import COLUMNS
from pipeline.views.teacher_input import TeacherViews

# Of new caches. Half-precision features compress by some 9 %; raw chunks can be mapped into memory.
CHAIN = "raw"
LIBRARIES = ("torch", "torchvision", "open_clip_torch", "pillow", "numpy", "zarr")


@dataclass(frozen=True)
class Task:
    """`folder` is the cache's place; `dataset` says where the images of `samples` lie."""

    folder: Path
    settings: TeacherSettings
    dataset: DatasetSettings
    samples: Samples
    clip: Clip
    identity: dict[str, Any]

    @property
    def rows(self) -> list[Row]:
        """Of the samples, one an id."""
        return [Row(sample.id, sample.width, sample.height) for sample in self.samples.unique()]

    def target(self) -> Target:
        """Where the cache is to be built. Writes nothing."""
        settings = self.settings
        return choose(self.folder, self.identity, self.rows, settings.views, settings.block, CHAIN)

    def shape(self, target: Target) -> Shape:
        """Of the cache that a target is to become."""
        return Shape(
            samples=len(target.rows),
            views=target.views,
            classes=len(self.samples.classes),
            prompts=len(self.settings.templates),
            further=len(self.settings.further_templates),
            embedding=self.clip.facts["embedding"],
            columns=len(COLUMNS),
            block=target.block,
        )

    def attributes(self, target: Target) -> Attributes:
        """What the cache says of itself."""
        clip = self.clip
        return metadata.attributes(
            self.shape(target), target.chain, self.identity, COLUMNS, clip.size, clip.logit_scale
        )

    def writer(self, target: Target, harmed: Set[str]) -> Writer:
        """Of a target; files in `harmed` count as missing."""
        provenance = {**versions(self.clip.device, LIBRARIES), "batch": self.settings.batch}
        origins = Origins.of_cache(self.identity, target.rows, target.block)
        there = {sample.id for sample in self.samples.rows}
        gone = frozenset(at for at, row in enumerate(target.rows) if row.id not in there)
        return Writer(target.folder, self.shape(target), target.chain, origins, provenance, harmed, gone)

    def encoder(self, rows: Sequence[Row]) -> Encoder:
        """The teacher and what it is to see of some rows."""
        pictures = TeacherViews(
            loader(self.dataset, self.samples, [row.id for row in rows]),
            [(row.id, row.width, row.height) for row in rows],
            distribution(self.settings, self.samples),
            self.settings.seed,
            self.clip.size,
            self.clip.clean,
        )
        return Encoder(self.clip, pictures, self.settings)


def prepare(folder: Path, settings: TeacherSettings, dataset: DatasetSettings, samples: Samples) -> Task:
    """Loads the teacher. Raises TeacherError where it cannot be, or cannot tell the classes by their prompts."""
    clip = open_clip_model.load(settings, device())
    clip.require_distinct((*settings.templates, *settings.further_templates), samples.classes)
    identity = {**identity_without_teacher(settings, samples), "teacher": clip.facts}
    return Task(folder, settings, dataset, samples, clip, identity)
