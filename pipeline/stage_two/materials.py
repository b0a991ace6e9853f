"""What the trials of an experiment are made from, and the one rule by which two of them are the same."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import methods
from pipeline.cache.identity import digest
from pipeline.cache.reader import TeacherCache
from pipeline.errors import ConfigError
from pipeline.matching import open_matching
from pipeline.methods import METHODS
from pipeline.methods.settings import MethodSettings
from pipeline.samples.table import Samples
from pipeline.student.start import weights_file
from pipeline.teacher.settings import TeacherSettings
from pipeline.teacher.settings import digest as file_digest
from pipeline.trials.files import FORMAT
from pipeline.trials.key import TrialKey
from pipeline.trials.settings import StudentSettings

# Goes up when the same materials give other numbers, whatever the method: loop, batches, student, averaging, evaluation.
TRAINING_VERSION = 2


@dataclass(frozen=True)
class Materials:
    """`dataset` is the name that seeds the trials; the first `views` of the cache are used; `size` is the pictures' side."""

    dataset: str
    samples: Samples
    cache: TeacherCache
    views: int
    size: int


@dataclass(frozen=True)
class Assignment:
    """A trial that is to be run: which, of which method, with which settings of method and student."""

    key: TrialKey
    method: str
    settings: MethodSettings = field(hash=False)  # it may hold other methods' settings, which are a dictionary
    student: StudentSettings

    @property
    def needs(self) -> frozenset[str]:
        """The fields of a batch that its method reads."""
        return methods.needs(self.method, self.settings)


def gather(dataset: str, samples: Samples, cache_folder: Path, teacher: TeacherSettings, size: int) -> Materials:
    """Opens the cache. Raises CacheError where it is not the one that configuration and samples ask for."""
    return Materials(dataset, samples, open_matching(cache_folder, teacher, samples), teacher.views, size)


def made_from(materials: Materials, one: Assignment) -> dict[str, Any]:
    """The part of a trial's card that says what it was made from: where two trials differ here, they are two results.

    Devices, library versions, the number of workers and how often checkpoints are written are not in it.
    """
    return {
        **configured(materials.dataset, materials.size, materials.views, one),
        "samples": samples_digest(materials.samples),
        **_environments(materials.samples, one.student),
        "teacher_cache": _numbers_digest(materials.cache.identity),
    }


def _environments(samples: Samples, student: StudentSettings) -> dict[str, Any]:
    """Where DomainBed's order of environments, which seeds its splits, is not the written one, by which trials once went."""
    ordered = sorted(samples.domains)
    moved = student.split.rule == "domainbed" and ordered != list(samples.domains)
    return {"environments": ordered} if moved else {}


def _numbers_digest(identity: Mapping[str, Any]) -> str:
    """Of a cache's identity without prompts that only some methods read, whose settings name them."""
    return digest({key: value for key, value in identity.items() if key != "further_templates"})


def configured(dataset: str, size: int, views: int, one: Assignment) -> dict[str, Any]:
    """What of it the configurations alone decide."""
    model = one.student.model
    file = weights_file(model.backbone, model.pretrained)
    return {
        "trial": vars(one.key),
        "method": {"name": one.method, "version": _version(one), **one.settings.model_dump(mode="json")},
        "student": _written(one.student, one.needs),
        "input": {"size": size, "resize": "squash, bilinear", "mean": list(model.mean), "std": list(model.std)},
        "dataset": dataset,
        "views": views,
        # Where they are not on this machine, that a trial began with them is taken on trust.
        **({"starting_weights_sha256": file_digest(file)} if file else {}),
        "training_version": TRAINING_VERSION,
        "format": FORMAT,
    }


def _version(one: Assignment) -> int:
    """Goes up with that of the method, or of one beside it."""
    return METHODS[one.method].version + sum(METHODS[other].version - 1 for other in one.settings.beside)


def is_of(card: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether a trial was made from what is expected (`made_from`). A setting that its card lacks came after it: the trial went
    by what is now its default, as a setting that changes numbers otherwise comes with a new version."""
    now = {**card, **_read_anew(card)}
    return all(now.get(key) == value for key, value in expected.items())


def _read_anew(card: Mapping[str, Any]) -> dict[str, Any]:
    """The settings on a card with the keys that there are today; nothing where they are no settings of today's."""
    try:
        student = StudentSettings.model_validate_json(json.dumps(card["student"]))
        told = dict(card["method"])
        name, version = told.pop("name"), told.pop("version")
        written = {key: value for key, value in told.items() if key not in methods.decided(METHODS[name])}
        settings = methods.parse(name, written, "card")
    except (ValueError, KeyError, TypeError, ConfigError):
        return {}
    return {
        "student": _written(student, methods.needs(name, settings)),
        "method": {"name": name, "version": version, **settings.model_dump(mode="json")},
    }


def _written(student: StudentSettings, needs: frozenset[str]) -> dict[str, Any]:
    """Without what changes no number: which logits the teacher has, of a method that reads none."""
    unread = set() if "teacher_logits" in needs else {"teacher_logits"}
    return student.model_dump(mode="json", exclude={"workers", "checkpoint_every", *unread})


def samples_digest(samples: Samples) -> str:
    """Of all of a samples table that a trial depends on."""
    return digest(
        {
            "rows": [[row.id, row.domain, row.label, row.position] for row in samples.rows],
            "found": samples.found,
            "domains": list(samples.domains),
            "exif": samples.exif,
        }
    )
