"""`card.json` as far as a finished student is used by it; the rest of the card is kept as it is."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator

from pipeline.config import Section
from pipeline.errors import InputError, reason
from pipeline.samples.images import DECODING
from pipeline.samples.splits import SplitSettings
from pipeline.student.settings import ModelSettings
from pipeline.trials.files import CARD

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=1000)]


class _Part(Section):
    model_config = ConfigDict(extra="allow", frozen=True)


class Resize(Section):
    """The whole picture at a square's size."""

    size: int = Field(ge=8, le=1 << 13)
    """The square's side."""
    keep_ratio: bool
    """Always false: it is squashed."""
    filter: str
    """How pixels are weighed."""
    library: str
    """By which; others draw otherwise."""


class Normalise(Section):
    """Of each channel."""

    divide_by: Literal[255]
    """Before the rest."""
    mean: tuple[float, float, float]
    """Then subtracted."""
    std: tuple[Positive, Positive, Positive]
    """Then divided by."""


class Decode(_Part):
    """To an upright RGB picture."""

    exif_orientation: bool
    """Whether EXIF turns it."""


class Preprocessing(Section):
    """From the bytes of an image to the student's input."""

    decode: Decode
    """To an upright RGB picture."""
    resize: Resize
    """To the student's size."""
    normalise: Normalise
    """To its numbers."""


class Teacher(_Part):
    """Whose text tower speaks of new class names."""

    model: str
    """As its cache names it."""
    weights_sha256: str | None
    """Of its file."""
    templates: tuple[str, ...]
    """Prompts, of which the classes were spoken."""


class Named(_Part):
    """A method with its settings."""

    name: str
    """By which it is known here."""


class Training(_Part):
    """Of the student's configuration what is told of it."""

    model: ModelSettings
    """Its network."""
    split: SplitSettings
    """Of its data."""
    steps: int
    """That it trained."""
    batch: int
    """Images of each source domain a step."""


class Trial(Section):
    """Which trial it was."""

    student: str
    held_out: str
    method: str
    hparams_seed: int
    trial: int


class Metrics(_Part):
    """What it reached."""

    accuracy: Share
    """On the held-out domain's in split."""
    validation: Share
    """On the sources' out splits."""
    teacher_zero_shot: Share
    """The teacher, on the same images."""
    step: int
    """Of the chosen checkpoint."""


class Card(_Part):
    """What a trial says of itself."""

    trial: Trial
    """Which it was."""
    classes: tuple[Name, ...] = Field(min_length=1)
    """In the order of the student's answers."""
    domains: tuple[Name, ...]
    """Of the data set, sources and held out."""
    dataset: Name
    """Its name."""
    samples: str
    """Digest of its samples."""
    method: Named
    """By which it learnt."""
    student: Training
    """How it was trained."""
    preprocessing: Preprocessing
    """What it expects."""
    teacher: Teacher
    """From whom it learnt."""
    teacher_cache: str
    """The identity of its cache."""
    views: int
    """Of each image."""
    metrics: Metrics
    """What it reached."""
    accuracies: dict[str, Share]
    """By domain and split, at the chosen checkpoint."""
    weights_sha256: str
    """Of the student's file."""
    projection_sha256: str | None = None
    """Of the projection's, where there is one."""
    starting_weights_sha256: str | None = None
    """Of what it started from, where that is a file."""

    @field_validator("classes", "domains")
    @classmethod
    def _are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names) or not all(name.isprintable() for name in names):
            raise ValueError("names that are printable, each once")
        return names


def read(folder: Path) -> Card:
    """Raises InputError where there is no card, or it is not that of a student that this version can use."""
    path = folder / CARD
    try:
        card = Card.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(
            f"{path}: no such file; a student is a trial's folder with card.json and student.safetensors, as `scmd student` "
            "leaves it below results/trials"
        ) from error
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"])
        raise InputError(
            f"{path}: not the card of a student that can be used (`{key}`: {fault['msg'].lower()}); run the trial again"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a trial's card ({reason(error)})") from error
    decode = card.preprocessing.decode.model_extra
    resize = card.preprocessing.resize
    if decode != DECODING or resize.keep_ratio or (resize.filter, resize.library) != ("bilinear", "pillow"):
        raise InputError(f"{path}: `preprocessing` is not what this version of scmd does; use the version that made it")
    return card
