"""`scmd student` as it is run: without a teacher, the same twice, and never on a picture that the teacher did not see."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageChops
from safetensors import safe_open
from safetensors.torch import load_file

from pipeline import replay
from pipeline.cache import reader
from pipeline.errors import CacheError, ReplayError
from pipeline.experiment import places
from pipeline.matching import open_matching
from pipeline.methods import METHODS
from pipeline.recorded import wanted_pictures
from pipeline.samples import table
from pipeline.samples.splits import is_out
from pipeline.stage_two import data
from pipeline.stages.gathering import assigned, gathered
from pipeline.trials import lock
from pipeline.views.render import crop_box, render
from tests.conftest import ENVIRONMENT, ROOT, change, files, ok, refused

TRIAL = "results/trials/small/ink/scmd/hparams-0/trial-0"
PIXELS = "cache/toy/pixels-24"
STUDENT = ("student", "--held-out", "ink", "--method", "scmd")


def test_it_runs_where_importing_open_clip_fails(ready):
    block = ready / "blocked"
    block.mkdir()
    (block / "open_clip.py").write_text("raise ImportError('stage two must not need a teacher')")
    ok(*STUDENT, cwd=ready, env={"PYTHONPATH": f"{block}:{replay.__file__.rsplit('/pipeline/', 1)[0]}"})
    assert json.loads((ready / TRIAL / "metrics.json").read_text())["method"] == "scmd"


@pytest.fixture(scope="module")
def trained(made, tmp_path_factory):
    """A project in which one trial has run; never changed."""
    folder = tmp_path_factory.mktemp("trained") / "project"
    shutil.copytree(made, folder)
    ok(*STUDENT, cwd=folder)
    return folder


def equal_files(folder) -> dict[str, bytes]:
    """Everything of a trial but its times."""
    return {name: data for name, data in files(folder).items() if name != "metrics.json"}


def test_two_runs_are_equal_and_workers_change_nothing(ready):
    ok(*STUDENT, cwd=ready)
    first = equal_files(ready / TRIAL)
    assert sorted(first) == [
        *("card.json", "history.json", "predictions.parquet", "projection.safetensors", "student.safetensors")
    ]
    shutil.rmtree(ready / TRIAL)
    # A stored set with two workers, each of which maps the store anew.
    change(ready, "students/small.yaml", workers=2)
    ok(*STUDENT, cwd=ready)
    assert equal_files(ready / TRIAL) == first
    # All are too large to store: the clean ones alone are, the others are drawn by two loader processes; the same files.
    change(ready, "experiment.yaml", pixels={"size": 24, "max_gb": 1e-4})
    shutil.rmtree(ready / PIXELS)
    told = ok("pixels", cwd=ready)
    assert "those of the augmented views will be drawn while training" in told
    assert "36 pictures rendered" in told
    ok(*STUDENT, cwd=ready)
    assert equal_files(ready / TRIAL) == first


def test_predictions_tell_of_every_sample_what_the_chosen_checkpoint_answers(trained):
    samples = table.read(trained / "cache/toy").rows
    metrics = json.loads((trained / TRIAL / "metrics.json").read_text())
    rows = pq.read_table(trained / TRIAL / "predictions.parquet").to_pylist()
    assert [row["row"] for row in rows] == list(range(len(samples)))
    assert [(row["domain"], row["label"]) for row in rows] == [(one.domain, one.label) for one in samples]
    out = is_out(table.read(trained / "cache/toy"), 0, "domainbed", 0.2)
    assert [row["split"] for row in rows] == ["out" if one else "in" for one in out]
    judged = [row for row in rows if row["domain"] == "ink" and row["split"] == "in"]
    assert np.mean([row["answer"] == row["label"] for row in judged]) == metrics["accuracy"]
    logarithms = np.array([row["log_probabilities"] for row in rows], np.float32)
    assert np.exp(logarithms).sum(1) == pytest.approx(np.ones(len(rows)), abs=2e-3)
    assert (logarithms.argmax(1) == [row["answer"] for row in rows]).mean() > 0.95  # half precision makes ties
    cache = reader.open_complete(trained / "cache/toy/tiny")
    row_of = {row.id: at for at, row in enumerate(cache.rows)}
    logits = cache.column("logits")[[row_of[one.id] for one in samples], 0].astype(np.float64)
    assert [row["teacher_answer"] for row in rows] == logits.argmax(1).tolist()
    surest = np.exp(logits).max(1) / np.exp(logits).sum(1)
    assert [row["teacher_probability"] for row in rows] == pytest.approx(surest.tolist(), abs=1e-3)
    judged = [row for row in rows if row["domain"] == "ink" and row["split"] == "in"]
    right = [row["teacher_answer"] == row["label"] for row in judged]
    assert metrics["teacher_zero_shot"] == pytest.approx(np.mean(right))
    # Six steps of four of each source; p = 0.5 keeps four of eight until step 4, then all.
    assert sum(row["drawn"] for row in rows) == 48
    assert sum(row["selected"] for row in rows) == 5 * 4 + 8
    assert all(row["drawn"] == 0 for row in rows if row["domain"] == "ink" or row["split"] == "out")


def test_times_stand_with_the_metrics_and_nowhere_else(trained):
    metrics, card = (json.loads((trained / TRIAL / f"{name}.json").read_text()) for name in ("metrics", "card"))
    assert metrics.pop("seconds") >= metrics.pop("seconds_evaluating") >= 0
    assert metrics == card["metrics"]


# Runs the README's own lines on every image of a list, and says what they answer.
OUTSIDE = r"""
import pathlib, re, sys
readme, trial, *images = sys.argv[1:]
(snippet,) = re.findall(r"```python\n(.*?)```", pathlib.Path(readme).read_text(), re.S)
exec(re.sub(r'folder = ".*"', f"folder = {trial!r}", snippet))
assert "pipeline" not in sys.modules
print(json.dumps([answer(path) for path in images]))
"""


def test_a_trials_answers_come_again_from_its_card_and_weights_by_the_readmes_lines(project):
    """Pillow, NumPy and timm alone, on pictures that are transparent, turned by EXIF and of all sizes."""
    for number, path in enumerate(sorted((project / "images").rglob("*.png"))):
        image = Image.open(path).convert("RGBA")
        image.putalpha(Image.linear_gradient("L").resize(image.size))
        if number % 3:
            image = image.convert("RGB")
        exif = Image.Exif()
        exif[0x0112] = 1 + number % 8
        image.save(path, exif=exif)
    change(project, "students/small.yaml", steps=60, evaluate_every=20)
    for stage in ("samples", "teacher", "pixels"):
        ok(stage, cwd=project)
    ok(*STUDENT, cwd=project)
    samples = table.read(project / "cache/toy")
    images = [str(project / "images" / row.key) for row in samples.rows]
    trial = project / TRIAL
    command = [sys.executable, "-P", "-c", OUTSIDE, str(ROOT / "README.md"), str(trial), *images]
    environment = {**ENVIRONMENT, "PYTHONPATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    predicted = pq.read_table(trial / "predictions.parquet").to_pylist()
    card = json.loads((trial / "card.json").read_text())
    assert told == [card["classes"][row["answer"]] for row in predicted]
    assert len(set(told)) == 2  # it has learnt to answer more than one thing
    right = [a == row.class_name for a, row, p in zip(told, samples.rows, predicted, strict=True) if _judged(p)]
    assert sum(right) / len(right) == card["metrics"]["accuracy"]
    with safe_open(trial / "student.safetensors", "pt") as weights:
        assert json.loads(weights.metadata()["classes"]) == card["classes"]


def _judged(prediction: dict) -> bool:
    return prediction["domain"] == "ink" and prediction["split"] == "in"


def test_the_card_says_what_one_needs_to_use_the_student(trained):
    card = json.loads((trained / TRIAL / "card.json").read_text())
    assert card["classes"] == ["disc", "square"]
    assert card["input"]["size"] == 24
    assert card["method"] == {
        "name": "scmd",
        "version": 1,
        "hard_fraction": 0.5,
        "select": "hardest",
        "least_agreement": 0.1,
        "full_batch_fraction": 0.25,
        "select_from": 0.0,
        "anneal": 0.0,
        "floor": 1,
        "random_fraction": 0.0,
        "nominal_steps": None,
        "scoring": "exact",
        "averaging": None,
        "beside": {},
        "lambda1": 0.5,
        "lambda2": 0.5,
        "temperature": 3.0,
    }
    assert card["teacher_cache"] == reader.open_complete(trained / "cache/toy/tiny").identity_digest
    weights = load_file(trained / TRIAL / "student.safetensors")
    assert weights["classifier.weight"].shape[0] == 2
    assert not any(name.startswith("projector") for name in weights)


def test_the_number_is_the_held_out_domains_in_split(trained):
    metrics = json.loads((trained / TRIAL / "metrics.json").read_text())
    history = {row["step"]: row for row in json.loads((trained / TRIAL / "history.json").read_text())}
    chosen = history[metrics["step"]]
    assert metrics["accuracy"] == chosen["ink_in"]
    assert metrics["validation"] == pytest.approx((chosen["clay_out"] + chosen["neon_out"]) / 2)
    assert metrics["validation"] == max((row["clay_out"] + row["neon_out"]) / 2 for row in history.values())


def test_a_batch_comes_from_the_sources_in_splits_and_from_the_right_rows(ready, monkeypatch):
    """With a picture that stands twice, so that a sample's number is not its row."""
    shutil.copy(ready / "images/clay/disc/0.png", ready / "images/ink/disc/0a.png")
    for stage in ("samples", "teacher", "pixels"):
        ok(stage, cwd=ready)
    monkeypatch.chdir(ready)
    plan = places.load(ready / "configs/experiment.yaml")
    materials = gathered(plan)
    samples, cache = materials.samples, materials.cache
    pictures = data.student_pictures(materials, plan.dataset, plan.pixels_folder, 1.0, 0)
    monkeypatch.setattr(METHODS["scmd"], "needs", frozenset({"teacher_features", "text", "template_text"}))
    one = assigned(plan, plan.experiment.key("ink", "scmd", 0))
    judged = data.evaluation_set(materials, one, pictures)
    answers = data.answers(materials, judged, one.needs)
    learnt_from = data.training_set(materials, one, answers, judged, ["clay", "neon"])
    assert len(samples.rows) == 37
    assert len(cache.rows) == 36
    assert [cache.rows[row].id for row in judged.rows] == [sample.id for sample in samples.rows]
    assert list(judged.rows) != list(range(37))
    out = is_out(samples, 0, "domainbed", 0.2)
    for domain, inside in zip(("clay", "neon"), learnt_from.sources, strict=True):
        expected = [at for at, sample in enumerate(samples.rows) if sample.domain == domain and not out[at]]
        assert list(inside) == expected
    # What the method needs of the cache, and nothing else.
    assert learnt_from.answers.keys() == {"teacher_features"}
    at, views = np.indices((36, cache.shape.views))
    assert (learnt_from.answers["teacher_features"][at, views] == cache.column("image_features")).all()
    assert learnt_from.shared["template_text"].shape == (2, 2, 16)
    assert learnt_from.shared["text"].norm(dim=1).tolist() == pytest.approx([1, 1])
    assert answers.zero_shot.answers.tolist() == cache.column("logits")[judged.rows, 0].argmax(1).tolist()


# What the replay must stop, and what it must let pass.


def check(project, monkeypatch=None, drawing=None, probes=lambda p: p) -> None:
    """The replay that precedes training, over a project's files."""
    monkeypatch.chdir(project)
    plan = places.load(project / "configs/experiment.yaml")
    samples = table.read(plan.samples_folder)
    cache = open_matching(plan.cache_folder, plan.teacher, samples)
    drawn = wanted_pictures(plan.dataset, samples, cache, 3, 24).drawn
    if drawing:
        monkeypatch.setattr(replay, "render", drawing)
    seen = probes(cache.column("pixel_probe"))
    replay.check(np.arange(len(cache.rows)), drawn, seen, cache.attributes.render_size, drawn, 0)


def test_a_cache_of_another_precision_is_refused(ready, monkeypatch):
    monkeypatch.chdir(ready)
    plan = places.load(ready / "configs/experiment.yaml")
    asked = plan.teacher.model_copy(update={"precision": "bfloat16"})
    with pytest.raises(CacheError, match=r'precision.*"float32".*"bfloat16"'):
        open_matching(plan.cache_folder, asked, table.read(plan.samples_folder))


def test_a_replay_of_the_very_pictures_passes(ready, monkeypatch):
    check(ready, monkeypatch)


@pytest.mark.parametrize("level", [1, -1])
def test_one_level_of_rounding_noise_passes(ready, monkeypatch, level):
    check(ready, monkeypatch, probes=lambda seen: (seen.astype(int) + level).clip(0, 255).astype(np.uint8))


def test_a_changed_image_file_is_stopped_by_name(ready):
    path = ready / "images/clay/disc/3.png"
    ImageChops.invert(Image.open(path)).save(path)
    message = refused(*STUDENT, cwd=ready)
    assert "image clay/disc/3.png" in message
    assert "has changed" in message
    assert not (ready / TRIAL).exists()


def test_a_mirrored_cache_is_stopped_as_mirrored(ready, monkeypatch):
    def mirrored(image, view, size):
        return render(image, view, size)[:, ::-1]

    with pytest.raises(
        ReplayError, match=r"sample \w+/\w+/\d\.png, view [12]: the teacher saw another picture; it is mirrored"
    ):
        check(ready, monkeypatch, mirrored)


def test_a_shifted_crop_is_stopped_as_shifted(ready, monkeypatch):
    def shifted(image, view, size):
        return np.roll(render(image, view, size), 1, axis=1)

    with pytest.raises(ReplayError, match=r"view \d: the teacher saw another picture; its crop is shifted"):
        check(ready, monkeypatch, shifted)


def test_a_library_that_draws_differently_is_stopped(ready, monkeypatch):
    def nearest(image, view, size):
        top, left, height, width = crop_box(view, *image.size)
        return np.asarray(
            image.crop((left, top, left + width, top + height)).resize((size, size), Image.Resampling.NEAREST)
        )

    with pytest.raises(ReplayError, match="this Pillow or torchvision draws differently"):
        check(ready, monkeypatch, nearest)


def test_stored_pixels_that_are_not_the_recorded_views_are_stopped(ready):
    (path,) = (ready / PIXELS).glob("*/pixels.npy")
    np.save(path, np.load(path)[:, :, :, ::-1])
    assert "the stored picture is not the recorded view; run `scmd pixels` again" in refused(*STUDENT, cwd=ready)


def test_a_plan_times_each_methods_own_steps_and_runs_none(ready):
    """Of `scmd students` and `scmd run` alike; one trial that stands is not counted."""
    ok("student", "--held-out", "ink", "--method", "erm", cwd=ready)
    told = ok("students", "--plan", "--jobs", "1", cwd=ready)
    assert "1 of 2 trials are current, 1 to run, 1 at a time" in told
    assert told.count("warning: settings of `scmd`: ") == 1
    steps = (
        r"scmd: 1 trials of \d+ selecting steps at \d+ ms and \d+ whole steps at \d+ ms, \d+ s evaluating: \d+ s each"
    )
    assert re.search(steps, told)
    assert "erm: " not in told
    assert re.search(r"about \d+ s in all", told)
    assert not (ready / "results/trials/small/ink/scmd").exists()
    assert "1 of 2 trials are current" in ok("run", "--plan", cwd=ready)


@pytest.mark.parametrize("command", ["students", "run"])
def test_a_plan_of_a_cluster_is_refused(project, command):
    assert "`--plan` times steps on this machine" in refused(command, "--plan", "--engine", "ray", cwd=project)


def test_trials_of_another_experiment_in_the_same_folder_are_told_before_they_are_replaced(ready):
    ok("student", "--held-out", "ink", "--method", "erm", cwd=ready)
    change(ready, "experiment.yaml", matrix={"held_out": ["ink"], "method": ["erm"], "trial": [0]})
    change(ready, "students/small.yaml", batch=5)
    told = ok("students", "--jobs", "1", cwd=ready)
    assert "1 trials in results are damaged, or were made from other settings, samples or caches, or by other" in told
    assert "where they are another experiment's, `--results` keeps both" in told


def test_a_plan_before_stage_one_says_what_is_missing(project):
    assert "samples" in refused("students", "--plan", cwd=project)


def test_scmd_official_is_scmd_by_the_released_code(ready):
    methods = {"official": {"method": "scmd_official", "lambda2": 0.25}}
    matrix = {"held_out": ["ink"], "method": ["official"], "trial": [0]}
    change(ready, "experiment.yaml", methods=methods, matrix=matrix)
    change(ready, "students/small.yaml", batch=5)
    ok("student", "--held-out", "ink", "--method", "official", cwd=ready)
    card = json.loads((ready / "results/trials/small/ink/official/hparams-0/trial-0/card.json").read_text())
    method = card["method"]
    assert (method["name"], method["nominal_steps"], method["averaging"]["start"]) == ("scmd", 5000, 300)
    assert (method["hard_fraction"], method["full_batch_fraction"], method["lambda2"]) == (0.2, 0.25, 0.25)


def test_a_trial_that_another_command_trains_is_left_alone(ready):
    """Until that one ends; neither leaves a trace of the lock."""
    folder = ready / "results/trials/small/ink/scmd/hparams-0/trial-0"
    with lock.training(folder):
        assert f"{folder.relative_to(ready)}: another command trains this trial; wait for it" in refused(
            *STUDENT, cwd=ready
        )
        assert not list(folder.iterdir())
    ok(*STUDENT, cwd=ready)
    assert not [path for path in folder.rglob("*") if "lock" in path.name]
