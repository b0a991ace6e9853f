"""`configs/teachers/*.yaml`: which CLIP, which prompts, which views."""

import hashlib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from pipeline import package
from pipeline.config import Section
from pipeline.views.distribution import Distribution


class Preprocess(Section):
    """What a bare weights file does not say of its input; a tag or a `local-dir:` brings it along."""

    mean: tuple[float, float, float]
    """Of each channel, of pixels from 0 to 1."""
    std: tuple[float, float, float]
    """Of each channel."""
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    """How pictures are resized."""
    resize_mode: Literal["shortest", "squash", "longest"] = "shortest"
    """`shortest` side and centre crop, `squash` to the square, or `longest` side and padding."""
    quick_gelu: bool
    """Whether the weights were trained with QuickGELU, as OpenAI's were."""


class TeacherSettings(Section):
    """`configs/teachers/*.yaml`."""

    model: str
    """A name of open_clip, or `local-dir:FOLDER` with `open_clip_config.json` and `open_clip_model.safetensors`."""
    weights: str | Path | None = None
    """Of a name: one of open_clip's tags, or a file."""
    preprocess: Preprocess | None = None
    """Of weights in a file: what the file does not say of its input."""
    normalisation: Literal["clip", "imagenet"] = "clip"
    """Of drawn views: CLIP's own, or ImageNet's as in the paper's code."""
    templates: tuple[str, ...] = Field(("this is a photo of a {}",), min_length=1)
    """Prompts; `{}` is the class, as it is spoken. Several are averaged."""
    further_templates: tuple[str, ...] = ()
    """Prompts whose embeddings are kept besides, and from which no logits follow: some methods read them (`rise`)."""
    views: int = Field(9, ge=2, le=1 << 16)
    """Recorded views of each image, the clean one among them."""
    seed: int = 0
    """Of the drawn views."""
    distribution: Distribution = Distribution()
    """How views are drawn."""
    block: int = Field(1024, ge=1, le=1 << 20)
    """Samples that are computed, written and resumed together."""
    batch: int = Field(64, ge=1)
    """Pictures that pass through the teacher at once."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """In which the image tower computes; another one makes another cache. Texts are always encoded in float32."""

    @field_validator("templates", "further_templates")
    @classmethod
    def _has_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if template.count("{}") != 1:
                raise ValueError(f"template {template!r} must hold one {{}} where the class name goes")
        return templates

    @model_validator(mode="after")
    def _each_once(self) -> "TeacherSettings":
        known = set(self.templates)
        for template in self.further_templates:
            if template in known:
                raise ValueError(f"`further_templates` names {template!r}, which is there already")
            known.add(template)
        return self


LOCAL = "local-dir:"


def weights_file(model: str, weights: str | Path | None) -> Path | None:
    """The weights where they are a file that the configuration names; a hub's tag has none here."""
    path = local_folder(model) / "open_clip_model.safetensors" if model.startswith(LOCAL) else named_file(weights)
    return path if path.is_file() else None


def local_folder(model: str) -> Path:
    """The folder of a `local-dir:` model."""
    return package.own(Path(model.removeprefix(LOCAL)).expanduser())


def named_file(weights: str | Path | None) -> Path:
    """What `weights` names if it names a file."""
    return Path(weights or "").expanduser()


def stated(settings: TeacherSettings) -> dict[str, Any]:
    """The teacher's part of an identity as far as a configuration alone states it: weights by digest, else by tag.

    A file that this clone lacks states nothing, nor does float32, in which every cache was made that does not say otherwise.
    """
    facts = {
        "model": "local-dir" if settings.model.startswith(LOCAL) else settings.model,
        "stated_preprocess": settings.preprocess.model_dump(mode="json") if settings.preprocess else None,
        **({"precision": settings.precision} if settings.precision != "float32" else {}),
    }
    if file := weights_file(settings.model, settings.weights):
        return {**facts, "weights_sha256": digest(file)}
    return {**facts, "pretrained": str(settings.weights)} if _is_tag(settings.weights) else facts


def _is_tag(weights: str | Path | None) -> bool:
    """A hub's tag, unlike a file's name, has neither a folder nor a suffix."""
    return bool(weights) and "/" not in str(weights) and not Path(str(weights)).suffix


def digest(file: Path) -> str:
    """SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
