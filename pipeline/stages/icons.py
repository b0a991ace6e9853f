"""How the embedded data set and its teacher were made: two commands that nobody needs to run the job."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from pipeline import package
from pipeline.icons import build, corpus, iconify, measure, pretrain
from pipeline.progress import say, show
from pipeline.samples.images import decode
from pipeline.teacher import clip, prompts, zero_shot
from pipeline.teacher.settings import LOCAL, TeacherSettings

DATA = Path("pipeline/data")
TEACHER = DATA / "icons_teacher"
REPORT_EVERY = 50


def run_build(package: Path) -> None:
    """The icon package → `icons.parquet`, by the rules of `pipeline.icons.selection`."""
    root = iconify.find_package(package)
    pool, images = build.draw_candidates(root)
    chosen, pictures = build.choose(pool, images, partial(measure.embed, _teacher()))
    build.write_data_set(chosen, pictures, DATA / "icons.parquet")
    collections = iconify.read_collections(root)
    sections = {
        "Icon sets of the embedded data set (pipeline/data/icons.parquet)": sorted({c.icon.prefix for c in chosen}),
        "Icon sets that the icons teacher learnt from (pipeline/data/icons_teacher)": corpus.allowed_sets(collections),
    }
    Path("NOTICE").write_text(build.notice(collections, sections), encoding="utf-8")
    say(f"{len(chosen)} of {len(pool)} icons in {DATA / 'icons.parquet'}; licences in NOTICE")


def _teacher() -> clip.Clip:
    return clip.load(TeacherSettings(model=f"{LOCAL}{TEACHER}"), torch.device("cpu"))


def run_pretrain(package: Path, work: Path) -> None:
    """The other sets of the package → the teacher's weights. Goes on from the checkpoint in `work`, where one stands."""
    root = iconify.find_package(package)
    imagenet = pretrain.imagenet_weights()
    work.mkdir(parents=True, exist_ok=True)
    pairs = build.read_corpus(root)
    build.write_corpus_list(pairs, TEACHER / "corpus.parquet")
    config = json.loads((TEACHER / "open_clip_config.json").read_text())
    recipe = pretrain.Recipe()
    say(f"{len(pairs.names)} pairs of {len(set(pairs.prefixes))} sets; {recipe.steps} steps of {recipe.batch}")
    model = pretrain.train(pairs, config, imagenet, recipe, work / "checkpoint.safetensors", _say_loss)
    pretrain.save_teacher(model, config, TEACHER)
    say(f"the teacher is in {TEACHER}; next: scmd icons build")


def _say_loss(step: int, loss: float) -> None:
    if (step + 1) % REPORT_EVERY == 0:
        say(f"step {step + 1}: loss {loss:.3f}")


def run_measure() -> None:
    """The icons teacher's zero-shot and linear-probe accuracy on each domain of the data set."""
    table = pq.read_table(package.own(DATA / "icons.parquet"))
    images = np.stack([np.asarray(decode(data, exif=False)) for data in table["image"].to_pylist()])
    domains = np.array(table["domain"].to_pylist())
    names = sorted(set(table["label"].to_pylist()))
    labels = np.array([names.index(label) for label in table["label"].to_pylist()])
    teacher = _teacher()
    features = measure.embed(teacher, images)
    text = teacher.encode_texts(prompts.texts(["{}"], names))
    zero_shot_right = zero_shot.logits(features, text, teacher.logit_scale).argmax(1) == labels
    probe_right = measure.probe_answers(features, labels, domains) == labels
    for what, right in (("zero-shot", zero_shot_right), ("linear probe", probe_right)):
        shares = measure.shares(right, domains)
        show(f"{what}: " + ", ".join(f"{name} {100 * share:.1f}" for name, share in shares.items()))
