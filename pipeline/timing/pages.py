"""How fast a report of hundreds of trials is made and opens, on made-up trials: histories, answers and pictures of noise."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import torch
from PIL import Image

from pipeline.evaluation import EvaluationSet, Predictions, ZeroShot
from pipeline.report import outcome, page
from pipeline.report.accuracies import AVERAGE, ZERO_SHOT, accuracies
from pipeline.report.details import Details, details
from pipeline.report.headline import headline
from pipeline.report.outcome import Group, Outcome
from pipeline.report.verdict import sentence
from pipeline.results import Evaluation
from pipeline.samples.table import Sample
from pipeline.trials import files, predictions
from pipeline.trials.key import TrialKey
from pipeline.views.pictures import Pictures

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TIMES = 3
STEPS = tuple(range(0, 5001, 300))


@dataclass(frozen=True)
class Sizes:
    """How many of everything: PACS with five methods and twelve trials each, unless told otherwise."""

    domains: int = 4
    methods: int = 5
    trials: int = 12
    samples: int = 2000
    classes: int = 20

    @property
    def names(self) -> tuple[list[str], list[str], list[str]]:
        """Of domains, methods and classes."""
        return _numbered("domain", self.domains), _numbered("method", self.methods), _numbered("class", self.classes)


def _numbered(what: str, count: int) -> list[str]:
    return [f"{what}-{number}" for number in range(count)]


def lines(folder: Path) -> Iterator[str]:
    """Makes a page in a temporary folder below `folder`: how long that took, its size, how long a browser needs to open it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as room:
        sizes = Sizes()
        outcomes = list(made_up(Path(room), sizes))
        started = time.perf_counter()
        text = page.render(page_of(outcomes, sizes))
        took = time.perf_counter() - started
        file, empty = Path(room) / "report.html", Path(room) / "empty.html"
        file.write_text(text, encoding="utf-8")
        empty.write_text("<!doctype html><title>empty</title>", encoding="utf-8")
        size = file.stat().st_size / 1e6
        yield f"report of {len(outcomes)} trials: made in {took:.1f} s, {size:.1f} MB (at most 10 MB are wanted)"
        browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
        if browser is None:
            yield "no Chromium here: how fast it opens was not measured"
            return
        opens, nothing = (_best_opening(browser, one) for one in (file, empty))
        yield f"it opens in {opens - nothing:.2f} s (Chromium with it {opens:.2f} s, with an empty page {nothing:.2f} s)"


def _best_opening(browser: str, file: Path) -> float:
    times = []
    for _ in range(TIMES):
        started = time.perf_counter()
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", file.resolve().as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return min(times)


def made_up(results: Path, sizes: Sizes) -> Iterator[Outcome]:
    """Trials with the files that real ones leave."""
    domains, methods, classes = sizes.names
    judged = _judged(sizes)
    for number in range(sizes.trials):
        for at, held_out in enumerate(domains):
            for way, method in enumerate(methods):
                random = np.random.default_rng([number, at, way])
                key = TrialKey("student", held_out, method, 0, number)
                evaluations = [_evaluation(random, step, sizes) for step in STEPS]
                card = {"classes": classes, "metrics": _metrics(key, evaluations[-1])}
                times = dict.fromkeys(files.TIMES, 100.0)
                answers = _answers(random, judged, sizes)
                trial = files.Finished({"weight": torch.zeros(1)}, {}, {}, card, times, evaluations, answers)
                files.write(key.folder(results), trial)
                yield outcome.read(results, key, card)


def page_of(outcomes: Sequence[Outcome], sizes: Sizes) -> page.Page:
    """As the stage makes it, of trials that no experiment has."""
    domains, methods, classes = sizes.names
    groups = outcome.grouped(list(outcomes))
    found = accuracies({one.key: one.card["metrics"] for one in outcomes}, domains, methods)
    return page.Page(
        title="made up",
        about={"data set": "noise"},
        verdict=sentence({name: found[AVERAGE][name] for name in methods}, found[AVERAGE][ZERO_SHOT], domains),
        headline=headline(found),
        leaks=[],
        gaps=[],
        groups=groups,
        details=_details(groups, sizes),
        domains=domains,
        classes=classes,
        stage_one="Nothing was encoded.",
        provenance={},
        commands=[],
    )


def _details(groups: Sequence[Group], sizes: Sizes) -> list[Details]:
    domains, _, classes = sizes.names
    judged = _judged(sizes)
    samples = [
        Sample(f"{row:064x}", f"{domains[at]}/{row}.png", domains[at], classes[label], int(label), row, 96, 96)
        for row, (at, label) in enumerate(zip(judged.domains, judged.labels, strict=True))
    ]
    return [details(group, samples, classes, _picture) for group in groups[: page.MOST_DETAILS]]


def _picture(row: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(row).integers(0, 256, (96, 96, 3), np.uint8))


def _judged(sizes: Sizes) -> EvaluationSet:
    numbers = np.arange(sizes.samples)
    return EvaluationSet(
        pictures=cast(Pictures, None),  # none is looked at
        rows=numbers,
        labels=numbers % sizes.classes,
        domains=numbers * sizes.domains // sizes.samples,
        out=numbers % 5 == 0,
        names=sizes.names[0],
        mean=(),
        std=(),
    )


def _evaluation(random: np.random.Generator, step: int, sizes: Sizes) -> Evaluation:
    domains, _, classes = sizes.names
    level = 0.7 * step / STEPS[-1]
    return Evaluation(
        step=step,
        accuracies={f"{name}_{split}": level + 0.2 * random.random() for name in domains for split in ("in", "out")},
        terms={name: 3 - 3 * level + random.random() for name in ("cross_entropy", "distillation", "cross_modality")},
        validation_loss=3 - 3 * level,
        logit_scale=14 + random.random(),
        learnt_domains={name: step * (1 + at) for at, name in enumerate(domains)},
        learnt_classes=[step * (1 + at) for at in range(len(classes))],
    )


def _metrics(key: TrialKey, last: Evaluation) -> dict[str, Any]:
    return {
        **vars(key),
        "accuracy": last.accuracies[f"{key.held_out}_in"],
        "validation": 0.5,
        "step": last.step,
        "teacher_zero_shot": 0.6,
        "images_drawn": 100_000,
        "images_learnt_from": 20_000,
    }


def _answers(random: np.random.Generator, judged: EvaluationSet, sizes: Sizes) -> pa.Table:
    logits = random.standard_normal((sizes.samples, sizes.classes)) * 2
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    answers = logits.argmax(1)
    drawn = random.integers(0, 90, sizes.samples)
    said = ZeroShot(random.integers(0, sizes.classes, sizes.samples), random.random(sizes.samples).astype(np.float16))
    losses = np.zeros(sizes.samples, np.float32)
    return predictions.table(
        [f"{row:064x}" for row in range(sizes.samples)],
        judged,
        Predictions(answers, log_probabilities.astype(np.float16), losses),
        said,
        drawn,
        drawn // 2,
    )
