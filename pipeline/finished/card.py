"""`card.json` as far as a finished student is used by it; the rest of the card is kept as it is."""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, ValidationError

from pipeline.config import Section
from pipeline.errors import InputError, reason
from pipeline.samples.images import DECODING
from pipeline.trials.files import CARD

Channels = tuple[float, float, float]


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

    divide_by: float
    """Before the rest."""
    mean: Channels
    """Then subtracted."""
    std: Channels
    """Then divided by."""


class Preprocessing(Section):
    """From the bytes of an image to the student's input."""

    decode: dict[str, str | bool]
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


class Card(_Part):
    """What a trial says of itself."""

    classes: tuple[str, ...] = Field(min_length=1)
    """In the order of the student's answers."""
    domains: tuple[str, ...]
    """Of the data set, sources and held out."""
    dataset: str
    """Its name."""
    method: Named
    """By which it learnt."""
    student: dict[str, Any]
    """Settings of the student's configuration."""
    preprocessing: Preprocessing
    """What it expects."""
    teacher: Teacher
    """From whom it learnt."""
    metrics: dict[str, Any]
    """What it reached."""
    accuracies: dict[str, float]
    """By domain and split, at the chosen checkpoint."""


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
    decode = {key: value for key, value in card.preprocessing.decode.items() if key != "exif_orientation"}
    resize = card.preprocessing.resize
    if decode != DECODING or resize.keep_ratio or (resize.filter, resize.library) != ("bilinear", "pillow"):
        raise InputError(f"{path}: `preprocessing` is not what this version of scmd does; use the version that made it")
    return card
