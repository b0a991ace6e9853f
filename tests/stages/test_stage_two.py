"""`scmd student` as it is run: without a teacher, the same twice, and never on a picture that the teacher did not see."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image, ImageChops
from safetensors.torch import load_file

from pipeline import replay
from pipeline.cache import reader
from pipeline.errors import ReplayError
from pipeline.experiment import places
from pipeline.matching import drawn_pictures, open_matching
from pipeline.samples import table
from pipeline.samples.splits import is_out
from pipeline.stages import student
from pipeline.views.pictures import DrawnPictures
from pipeline.views.render import crop_box, render
from tests.conftest import change, ok, refused

TRIAL = "results/trials/ink/scmd/0"
STUDENT = ("student", "--held-out", "ink", "--method", "scmd")


def test_it_runs_where_importing_open_clip_fails(ready):
    block = ready / "blocked"
    block.mkdir()
    (block / "open_clip.py").write_text("raise ImportError('stage two must not need a teacher')")
    ok(*STUDENT, cwd=ready, env={"PYTHONPATH": f"{block}:{replay.__file__.rsplit('/pipeline/', 1)[0]}"})
    assert json.loads((ready / TRIAL / "metrics.json").read_text())["method"] == "scmd"


def test_two_runs_are_equal_and_drawing_while_training_changes_nothing(ready):
    ok(*STUDENT, cwd=ready)
    first = {path.name: path.read_bytes() for path in (ready / TRIAL).iterdir()}
    shutil.rmtree(ready / TRIAL)
    ok(*STUDENT, cwd=ready)
    assert {path.name: path.read_bytes() for path in (ready / TRIAL).iterdir()} == first
    # Too large to store: drawn by two loader processes, the same metrics.
    change(ready, "experiment.yaml", pixels={"size": 24, "max_gb": 0.0})
    change(ready, "students/small.yaml", workers=2)
    assert "will be drawn while training" in ok("pixels", cwd=ready)
    ok(*STUDENT, cwd=ready)
    assert (ready / TRIAL / "metrics.json").read_bytes() == first["metrics.json"]
    assert (ready / TRIAL / "student.safetensors").read_bytes() == first["student.safetensors"]


def test_the_card_says_what_one_needs_to_use_the_student(ready):
    ok(*STUDENT, cwd=ready)
    card = json.loads((ready / TRIAL / "card.json").read_text())
    assert card["classes"] == ["disc", "square"]
    assert card["input"]["size"] == 24
    assert card["method"] == {
        "name": "scmd",
        "hard_fraction": 0.5,
        "full_batch_fraction": 0.25,
        "lambda1": 0.5,
        "lambda2": 0.5,
        "temperature": 3.0,
    }
    assert card["teacher_cache"] == reader.open_complete(ready / "cache/toy/tiny").identity_digest
    weights = load_file(ready / TRIAL / "student.safetensors")
    assert weights["classifier.weight"].shape[0] == 2
    assert not any(name.startswith("projector") for name in weights)


def test_the_number_is_the_held_out_domains_in_split(ready):
    ok(*STUDENT, cwd=ready)
    metrics = json.loads((ready / TRIAL / "metrics.json").read_text())
    history = {row["step"]: row for row in json.loads((ready / TRIAL / "history.json").read_text())}
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
    samples = table.read(plan.samples_folder)
    cache = open_matching(plan.cache_folder, plan.teacher, samples)
    exam = student._exam(plan, samples, cache, 0)
    lessons = student._lessons(plan, cache, exam, ["clay", "neon"])
    assert len(samples.rows) == 37
    assert len(cache.rows) == 36
    assert [cache.rows[row].id for row in exam.rows] == [sample.id for sample in samples.rows]
    assert list(exam.rows) != list(range(37))
    out = is_out(samples, 0, "domainbed", 0.2)
    for domain, inside in zip(("clay", "neon"), lessons.sources, strict=True):
        expected = [at for at, sample in enumerate(samples.rows) if sample.domain == domain and not out[at]]
        assert list(inside) == expected
    judged = [at for at, sample in enumerate(samples.rows) if sample.domain == "ink" and not out[at]]
    answers = cache.column("logits")[exam.rows[judged], 0].argmax(1)
    right = [answer == samples.rows[at].label for answer, at in zip(answers, judged, strict=True)]
    assert student._zero_shot(lessons, exam, "ink") == pytest.approx(np.mean(right))


# What the replay must stop, and what it must let pass.


def check(project, monkeypatch=None, drawing=None, probes=lambda p: p, pictures=None) -> None:
    """The replay that precedes training, over a project's files."""
    monkeypatch.chdir(project)
    plan = places.load(project / "configs/experiment.yaml")
    samples = table.read(plan.samples_folder)
    cache = open_matching(plan.cache_folder, plan.teacher, samples)
    rendered = drawn_pictures(plan.dataset, samples, cache, plan.experiment.pixels.size)
    if drawing:
        monkeypatch.setattr(replay, "render", drawing)
    seen = probes(cache.column("pixel_probe"))
    rows = np.arange(len(cache.rows))
    replay.check(rows, rendered, seen, cache.attributes.render_size, pictures or rendered, 0)


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
    path = ready / "cache/toy/tiny.pixels-24/pixels.npy"
    np.save(path, np.load(path)[:, :, :, ::-1])
    assert "the stored picture is not the recorded view; run `scmd pixels` again" in refused(*STUDENT, cwd=ready)


def test_rendered_pictures_are_those_of_the_store(ready, monkeypatch):
    monkeypatch.chdir(ready)
    plan = places.load(ready / "configs/experiment.yaml")
    samples = table.read(plan.samples_folder)
    cache = open_matching(plan.cache_folder, plan.teacher, samples)
    rendered = drawn_pictures(plan.dataset, samples, cache, plan.experiment.pixels.size)
    assert isinstance(rendered, DrawnPictures)
    stored = np.load(plan.pixels_folder / "pixels.npy")
    assert all((rendered[row] == stored[row]).all() for row in range(36))
