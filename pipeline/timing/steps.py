"""What a step of stage two costs: SCMD's and KD's beside ERM's on the same batches, and the loop that runs the teacher inside."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline import methods, training
from pipeline.batches import Batch
from pipeline.engine.device import device
from pipeline.losses import distillation
from pipeline.methods import METHODS
from pipeline.methods.method import Problem
from pipeline.student.building import build, others
from pipeline.student.compute import ComputeSettings
from pipeline.timing.rounds import Comparison, alternate
from pipeline.training_set import TrainingSet
from pipeline.trials.settings import StudentSettings
from pipeline.trials.trial import Trial, start

# Method and settings by what stands in the table.
SIDES: dict[str, tuple[str, dict[str, Any]]] = {
    "erm": ("erm", {}),
    "kd": ("kd", {}),
    "scmd": ("scmd", {"hard_fraction": 0.2}),
    "scmd, scored at half size": ("scmd", {"hard_fraction": 0.2, "scoring": "half_size"}),
    "scmd, scored in bfloat16": ("scmd", {"hard_fraction": 0.2, "scoring": "bfloat16"}),
}
# Of a step of ERM; by arithmetic, with a forward pass as a third of a step, it is 0.53.
WANTED = {
    "scmd (p = 0.2, selecting) / erm": 0.62,
    "scmd, scored at half size / erm": 0.45,
    "scmd, scored in bfloat16 / erm": 0.45,
    "erm with data / without": 1.05,
}
# Pictures in memory, of which batches are drawn; steps of a side in a round, without waiting for the device between them.
SAMPLES, STEPS = 512, 4
TEACHER = "ViT-B-32-quickgelu"
WIDTH = 512


@dataclass(frozen=True)
class Sizes:
    """What is trained on: square pictures of `size` pixels, of so many classes and source domains."""

    size: int
    classes: int
    sources: int


class InMemory:
    """Pictures of noise, all views of a sample the same."""

    def __init__(self, size: int) -> None:
        self.pixels = np.random.default_rng(0).integers(0, 256, (SAMPLES, size, size, 3), np.uint8)

    @property
    def maker(self) -> "InMemory":
        """Itself."""
        return self

    def order(self, rows: np.ndarray, views: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """Rows alone."""
        return rows

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.asarray(self.pixels[rows])

    def take(self, rows: np.ndarray, views: np.ndarray) -> np.ndarray:  # noqa: ARG002
        """As an order."""
        return self[rows]


def compared(
    settings: StudentSettings, sizes: Sizes, compute: ComputeSettings, rounds: int, *, with_teacher: bool
) -> Comparison:
    """Times `STEPS` steps of each method, optimiser and average included, from random weights; `with_teacher` also those of the
    loop that runs a CLIP of random weights in each step."""
    settings = settings.model_copy(
        update={"compute": compute, "model": settings.model.model_copy(update={"pretrained": False}), "steps": 10**6}
    )
    sides: dict[str, Callable[[], object]] = {}
    for name, (method, values) in SIDES.items():
        trial, data = _trial(method, values, settings, sizes), _data(method, settings, sizes)
        sides[name] = _steps(trial, data.stream(0, 10**6, 0, trial.device))
        if name == "erm":
            kept = next(data.stream(0, 1, 0, trial.device))
            sides["erm, one batch kept"] = _steps(trial, itertools.repeat(kept))
            if with_teacher:
                sides["erm, teacher inside"] = _with_teacher(trial, data, sizes)
            told = trial.compute.told()
    setting = {
        "device": torch.cuda.get_device_name() if device().type == "cuda" else f"{torch.get_num_threads()} threads",
        "student": settings.model.backbone,
        "pictures": f"{settings.batch * sizes.sources} of {sizes.size} px",
        "classes": sizes.classes,
        **told,
        "steps a round": STEPS,
        "rounds": rounds,
    }
    pairs = {
        "kd / erm": ("kd", "erm"),
        "scmd (p = 0.2, selecting) / erm": ("scmd", "erm"),
        **{f"{name} / erm": (name, "erm") for name in SIDES if name.startswith("scmd, ")},
        "erm with data / without": ("erm", "erm, one batch kept"),
        **({"teacher inside / kd": ("erm, teacher inside", "kd")} if with_teacher else {}),
    }
    return alternate(setting, sides, pairs, rounds, WANTED)


def _trial(name: str, values: dict[str, Any], settings: StudentSettings, sizes: Sizes) -> Trial:
    student = build(settings.model, classes=sizes.classes, embedding=WIDTH, size=sizes.size, seed=0)
    problem = Problem(
        width=student.predictor.width,
        text=_text(sizes),
        logit_scale=100.0,
        domains=sizes.sources,
        samples=SAMPLES,
        steps=settings.steps,
        network=others(settings.model, sizes.size),
    )
    method = methods.build(name, METHODS[name].Settings(**values), problem, 0)
    return start(student, method, settings, [], 0, device())


def _text(sizes: Sizes) -> Tensor:
    return F.normalize(torch.randn(sizes.classes, WIDTH, generator=torch.Generator().manual_seed(0)), dim=1)


def _data(name: str, settings: StudentSettings, sizes: Sizes) -> TrainingSet:
    random, needs = np.random.default_rng(1), METHODS[name].needs
    logits = random.standard_normal((SAMPLES, 2, sizes.classes)).astype(np.float16)
    return TrainingSet(
        pictures=InMemory(sizes.size),
        rows=np.arange(SAMPLES),
        labels=random.integers(0, sizes.classes, SAMPLES),
        sources=tuple(np.array_split(np.arange(SAMPLES), sizes.sources)),
        views=2,
        answers={"teacher_logits": logits} if "teacher_logits" in needs else {},
        shared={"text": _text(sizes)} if "text" in needs else {},
        of_samples={},
        needs=needs,
        per_domain=settings.batch,
        seed=0,
        mean=settings.model.mean,
        std=settings.model.std,
    )


def _steps(trial: Trial, batches: Iterator[Batch]) -> Callable[[], None]:
    """Some steps at the trial's start, where methods that select do."""

    def run() -> None:
        for _ in range(STEPS):
            training.learn(trial, next(batches))
        _wait(trial.device)

    return run


def _wait(place: torch.device) -> None:
    if place.type == "cuda":
        torch.cuda.synchronize(place)


def _with_teacher(trial: Trial, data: TrainingSet, sizes: Sizes) -> Callable[[], None]:
    """Distillation as it is done without a cache: image and text tower of a CLIP of random weights in every step."""
    place, half = trial.device, trial.compute.precision
    clip = open_clip.create_model(TEACHER, pretrained=None, device=place).eval()
    tokens = open_clip.get_tokenizer(TEACHER)([f"this is a photo of a class {n}" for n in range(sizes.classes)]).to(
        place
    )
    batches = data.stream(0, 10**6, 0, place)

    def run() -> None:
        for _ in range(STEPS):
            batch = next(batches)
            with torch.no_grad(), torch.autocast(place.type, half, enabled=half != torch.float32):
                side = clip.visual.image_size[0]
                seen = F.interpolate(batch.images, (side, side), mode="bilinear")
                image, text = clip.encode_image(seen, normalize=True), clip.encode_text(tokens, normalize=True)
                teacher = (100 * image @ text.T).float()
            outputs = trial.student(batch.images)
            loss = F.cross_entropy(outputs.logits, batch.labels) + distillation(outputs.logits, teacher, 3.0)
            trial.optimizer.zero_grad()
            loss.backward()
            trial.optimizer.step()
            trial.averaging.update()
        _wait(place)

    return run
