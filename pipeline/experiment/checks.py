"""Checks that join an experiment's settings with the data: refused before the first step, or said."""

import json
from collections.abc import Collection, Iterable, Mapping

from pipeline.errors import ConfigError, InputError
from pipeline.methods import METHODS
from pipeline.methods.settings import MethodSettings
from pipeline.samples.splits import is_out
from pipeline.samples.table import Samples
from pipeline.selection.schedule import kept
from pipeline.trials.key import TrialKey
from pipeline.trials.settings import StudentSettings

# A batch of more pictures of a domain than this many times all that it has is a slip of the pen.
MOST_TIMES = 10


def require_batch(student: StudentSettings, images: Mapping[str, int], key: TrialKey) -> None:
    """Raises ConfigError for a `batch` that draws every image of a source domain over and over. `images` counts those of each."""
    for domain, count in images.items():
        if domain != key.held_out and student.batch > MOST_TIMES * count:
            drawn = f", which hyperparameter seed {key.hparams_seed} draws," if key.hparams_seed else ""
            remedy = "leave that seed out" if key.hparams_seed else "set a smaller one"
            raise ConfigError(
                f"`batch: {student.batch}`{drawn} of the student's configuration counts images of each source domain, and "
                f"`{domain}` has {count}; {remedy}"
            )


def require_splits(student: StudentSettings, samples: Samples, held_out: str, trial: int) -> None:
    """Raises InputError where a source has nothing to train on, or to choose by, or the held-out domain nothing to judge by."""
    out = is_out(samples, trial, student.split.rule, student.split.holdout_fraction)
    for domain in samples.domains:
        here = [bool(one) for one, row in zip(out, samples.rows, strict=True) if row.domain == domain]
        if domain == held_out:
            if all(here):
                raise InputError(
                    f"held-out domain `{domain}` has no image in its in split of trial {trial}, on which accuracy is "
                    "measured; it needs more images, or a smaller `split.holdout_fraction` in the student's configuration"
                )
        elif all(here):
            raise InputError(
                f"domain `{domain}` has no image left to train on after the split of trial {trial}; add images or leave it out"
            )
        elif not any(here):
            raise InputError(
                f"domain `{domain}` has no image in its out split of trial {trial}, by which the checkpoint is chosen; it "
                "needs more images, or a larger `split.holdout_fraction` in the student's configuration"
            )


def untaught(samples: Samples, held_out: str) -> list[str]:
    """Classes of which no source domain has an image: a student cannot know them."""
    taught = {row.class_name for row in samples.rows if row.domain != held_out}
    return [name for name in samples.classes if name not in taught]


def require_pair(student: StudentSettings, method: MethodSettings, sources: int, hparams_seed: int) -> None:
    """Batch statistics need two images: raises ConfigError where selection would leave one."""
    if kept(student.batch * sources, method.hard_fraction, method.floor) < 2:
        drawn = f" in a batch that hyperparameter seed {hparams_seed} draws" if hparams_seed else ""
        remedy = "leave that seed out, or set a `floor`" if hparams_seed else "raise it, or the student's `batch`"
        raise ConfigError(
            f"`hard_fraction: {method.hard_fraction}` keeps one image of {student.batch * sources}{drawn}; {remedy}, so that at "
            "least two are left"
        )


def require_derivatives(student: StudentSettings, names: Iterable[str]) -> None:
    """Raises ConfigError where one of these methods differentiates a student twice that is to be compiled."""
    if student.compute.compile and (twice := [name for name in names if METHODS[name].differentiates_twice]):
        raise ConfigError(
            f"`{twice[0]}` needs second derivatives, which a compiled network has not; leave `compute.compile` out of the "
            "student's configuration"
        )


def require_prompts(templates: Collection[str], further: Collection[str], asked: Iterable[str]) -> None:
    """Raises ConfigError where methods read prompts that are neither among a teacher's templates nor among its further ones."""
    if lacking := [template for template in dict.fromkeys(asked) if template not in {*templates, *further}]:
        raise ConfigError(
            f"the teacher's configuration lacks {len(lacking)} prompts that the method reads; add them, and run `scmd teacher`, "
            f"which needs no image for it: `further_templates: {json.dumps([*further, *lacking], ensure_ascii=False)}`"
        )
