"""`scmd predict`: what a student says to files, folders, patterns and lists, and what becomes of those that are no pictures."""

import csv
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from pipeline.finished import student as students
from pipeline.samples import table
from tests.conftest import ENVIRONMENT, change, ok, refused, run_scmd

SCMD = "results/trials/small/ink/scmd/hparams-0/trial-0"
ERM = "results/trials/small/ink/erm/hparams-0/trial-0"


@pytest.fixture
def mine(trained, tmp_path):
    """A copy of the project with trials."""
    return shutil.copytree(trained, tmp_path / "mine")


def predicted(project, *arguments, student=SCMD, suffix=".jsonl"):
    ok("predict", *arguments, "--student", student, "--to", f"out{suffix}", "--workers", "0", cwd=project)
    if suffix == ".jsonl":
        return [json.loads(line) for line in (project / "out.jsonl").read_text().splitlines()]
    if suffix == ".csv":
        return list(csv.DictReader((project / "out.csv").open(newline="")))
    return pq.read_table(project / "out.parquet").to_pylist()


@pytest.mark.parametrize("student", [SCMD, ERM])
def test_it_answers_as_the_trial_did(mine, student):
    rows = {row["path"]: row for row in predicted(mine, "images", student=student)}
    samples = table.read(mine / "cache/toy").rows
    answers = pq.read_table(mine / student / "predictions.parquet").to_pylist()
    assert len(rows) == len(samples) == 36
    for sample, answer in zip(samples, answers, strict=True):
        row = rows[f"images/{sample.key}"]
        assert row["class"] == ("disc", "square")[answer["answer"]]
        assert row["probability"] == pytest.approx(math.exp(max(answer["log_probabilities"])), abs=2e-3)
        assert row["sha256"] == sample.id == hashlib.sha256((mine / row["path"]).read_bytes()).hexdigest()
        assert row["label"] == sample.class_name
        assert row["error"] is None


def test_formats_say_the_same(mine):
    lines, sheet, parquet = (
        predicted(mine, "images/ink", "--top", "2", suffix=s) for s in (".jsonl", ".csv", ".parquet")
    )
    for one, two, three in zip(lines, sheet, parquet, strict=True):
        assert one["path"] == two["path"] == three["path"]
        assert one["class"] == two["class"] == three["class"] == one["top"][0]["class"]
        assert one["probability"] == pytest.approx(float(two["probability"])) == pytest.approx(three["probability"])
        assert {best["class"] for best in one["top"]} == {"disc", "square"}
        assert sum(best["probability"] for best in three["top"]) == pytest.approx(1, abs=1e-4)
        assert two["top"].startswith(f"{one['class']} {one['probability']:.4f}; ")


def test_a_folder_of_classes_gives_accuracy_and_other_folders_none(mine):
    (mine / "images/ink/hexagon").mkdir()
    Image.new("RGB", (40, 40)).save(mine / "images/ink/hexagon/x.png")
    output = ok("predict", "images/ink", "--student", SCMD, "--workers", "0", cwd=mine)
    answers = pq.read_table(mine / SCMD / "predictions.parquet").to_pylist()
    right = sum(row["answer"] == row["label"] for row in answers if row["domain"] == "ink")
    assert f"accuracy {right / 12:.1%}: {right} of 12 images that lie in a folder of a class's name" in output
    assert "accuracy" not in ok("predict", "images/ink/hexagon", "--student", SCMD, "--workers", "0", cwd=mine)


def test_what_it_was_trained_on_is_told_apart(mine):
    answers = pq.read_table(mine / SCMD / "predictions.parquet").to_pylist()
    seen = [row for row in answers if row["domain"] != "ink" and row["split"] == "in"]
    others = [row for row in answers if row not in seen]
    output = ok("predict", "images", "--student", SCMD, cwd=mine)
    for rows, what in (
        (seen, "that it was trained on, which says little"),
        (others, "that lie in a folder of a class's"),
    ):
        right = sum(row["answer"] == row["label"] for row in rows)
        assert f"accuracy {right / len(rows):.1%}: {right} of {len(rows)} images {what}" in output
    samples = table.read(mine / "cache/toy").rows
    assert [row["id"].hex() for row in answers] == [sample.id for sample in samples]


def test_what_is_no_picture_is_a_row_with_the_reason(mine):
    folder = mine / "odd"
    folder.mkdir()
    shutil.copy(mine / "images/ink/disc/0.png", folder / "sound.png")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("no picture")
    (folder / "cut.png").write_bytes((folder / "sound.png").read_bytes()[:80])
    (folder / "gone.png").symlink_to("nowhere.png")
    rows = {row["path"]: row for row in predicted(mine, "odd")}
    assert rows["odd/sound.png"]["class"] in ("disc", "square")
    broken = {name: row["error"] for name, row in rows.items() if row["error"]}
    assert broken.keys() == {"odd/empty.jpg", "odd/text.png", "odd/cut.png", "odd/gone.png"}
    assert broken["odd/empty.jpg"] == "empty file"
    assert "No such file" in broken["odd/gone.png"]
    assert all(rows[name]["class"] is None and rows[name]["top"] == [] for name in broken)
    assert rows["odd/gone.png"]["sha256"] is None
    assert rows["odd/text.png"]["sha256"] is not None
    output = ok("predict", "odd", "--student", SCMD, "--workers", "0", cwd=mine)
    assert "4 could not be read; their rows say why" in output
    # Nothing but broken ones is no end, either.
    (folder / "sound.png").unlink()
    assert all(row["error"] for row in predicted(mine, "odd"))


@pytest.mark.parametrize("between", [b"\n", b"\r\n", b"\0"])
def test_lists_are_read_as_bytes_with_whatever_stands_between(mine, between):
    odd = os.fsencode(mine / "images/ink/disc") + b"/\xe9t\xe9.png"
    shutil.copy(mine / "images/ink/disc/0.png", odd)
    command = [sys.executable, "-m", "pipeline.cli", "predict", "--student", SCMD, "--workers", "0", "--to", "list.csv"]
    paths = between.join([b"images/ink/disc/0.png", odd, b"images/ink/disc/1.png"])
    done = subprocess.run(command, cwd=mine, env=ENVIRONMENT, input=paths, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((mine / "list.csv").open(newline="", encoding="utf-8")))
    assert [bool(row["error"]) for row in rows] == [False] * 3


def test_folders_behind_links_are_looked_into_and_rings_end(mine):
    (mine / "linked").mkdir()
    (mine / "linked/disc").symlink_to(mine / "images/ink/disc")
    (mine / "linked/ring").symlink_to(mine / "linked")
    rows = predicted(mine, "linked")
    assert len(rows) == 6
    assert {row["label"] for row in rows} == {"disc"}


def test_patterns_lists_and_odd_names(mine):
    shutil.copy(mine / "images/ink/disc/0.png", mine / "images/ink/disc/schöne [0] 図.png")
    assert len(predicted(mine, "images/*/disc/*.png")) == 19
    assert len(predicted(mine, "images/**/0.png")) == 6
    assert predicted(mine, "images/ink/disc/schöne [0] 図.png")[0]["path"].endswith("schöne [0] 図.png")
    paths = "images/ink/disc/0.png\nimages/ink/disc/schöne [0] 図.png\n\nnowhere.png\n"
    command = [sys.executable, "-m", "pipeline.cli", "predict", "--student", SCMD, "--workers", "2", "--to", "list.csv"]
    done = subprocess.run(command, cwd=mine, env=ENVIRONMENT, input=paths, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((mine / "list.csv").open(newline="")))
    assert [row["path"] for row in rows] == [line for line in paths.splitlines() if line]
    assert [bool(row["error"]) for row in rows] == [False, False, True]


@pytest.mark.parametrize("name", [b"b\xff\xfe.png", b"line\nbreak.png", b'quo"te, comma.png'])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet", ""])
def test_names_that_are_no_text_are_told(mine, name, suffix):
    folder = mine / "odd"
    folder.mkdir()
    shutil.copy(mine / "images/ink/disc/0.png", os.path.join(os.fsencode(folder), name))
    if suffix:
        (row,) = predicted(mine, "odd", suffix=suffix)
        assert row["path"] == f"odd/{name.decode('utf-8', 'replace')}"
    else:
        ok("predict", "odd", "--student", SCMD, "--workers", "0", cwd=mine)


def test_best_is_by_validation_and_says_so(mine):
    cards = {
        name: json.loads((mine / place / "card.json").read_text()) for name, place in (("erm", ERM), ("scmd", SCMD))
    }
    best = max(cards, key=lambda name: cards[name]["metrics"]["validation"])
    output = ok("predict", "images/ink/disc", "--best", "--workers", "0", cwd=mine)
    assert (
        f"student: {best}, ink held out, trial 0, of 2 trials the one with the highest accuracy on its source" in output
    )
    assert "the held-out domain has no part in the choice" in output


def test_best_needs_neither_samples_nor_cache_and_names_trials_of_other_settings(mine):
    best = ok("predict", "images/ink/disc", "--best", cwd=mine)
    shutil.rmtree(mine / "cache")
    without = ok("predict", "images/ink/disc", "--best", cwd=mine)
    assert "which trials are current is told by their settings alone" in without
    assert re.search("^student: .*", best, re.M)[0] in without
    change(mine, "students/small.yaml", steps=7)
    told = refused("predict", "images/ink/disc", "--best", cwd=mine)
    assert "no finished trial of this experiment here; 2 that are here were made from other things" in told
    assert "run `scmd students`, or name one by its folder (`--student`)" in told


def test_new_names_and_formats_without_an_experiment_say_which_is_missing(mine, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    student = ("--student", str(mine / SCMD))
    for command, why in (
        (("predict", str(mine / "images/ink"), *student, "--zero-shot", "a, b"), "whose teacher speaks"),
        (("export", *student, "--format", "onnx"), "on whose images formats are checked"),
    ):
        told = refused(*command, cwd=elsewhere)
        assert f"there is no configs/experiment.yaml here: name the experiment {why} by `--experiment`" in told


def test_faults_are_one_sentence(mine):
    assert "say which student" in refused("predict", "images", cwd=mine)
    assert "say which student" in refused("predict", "images", "--best", "--student", SCMD, cwd=mine)
    assert "no such file or folder" in refused("predict", "nowhere", "--student", SCMD, cwd=mine)
    assert "no image at pipe/*" in refused("predict", "pipe/*", "--student", SCMD, cwd=mine)
    assert "a student is a trial's folder with card.json" in refused(
        "predict", "images", "--student", "images", cwd=mine
    )
    told = refused("predict", "images", "--student", SCMD, "--to", "out.xlsx", "--workers", "0", cwd=mine)
    assert "answers are written as .csv, .jsonl, .parquet" in told
    assert "make it first" in refused(
        "predict", "images", "--student", SCMD, "--to", "a/b.csv", "--workers", "0", cwd=mine
    )
    assert "a folder; name a file" in refused(
        "predict", "images", "--student", SCMD, "--to", "x.csv", "--workers", "0", cwd=(mine / "x.csv").mkdir() or mine
    )
    assert not list(mine.glob("out*"))


UNUSABLE = "not the card of a student that can be used"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda card: card.update(classes=["disc"]), "its classes are disc, square"),
        (lambda card: card.update(classes=["square", "disc"]), "its classes are disc, square"),
        (lambda card: card.update(classes=["disc", "disc"]), UNUSABLE),
        (lambda card: card["method"].update(name="sorcery"), "card and weights do not make a student"),
        (lambda card: card.update(preprocessing={}), UNUSABLE),
        (lambda card: card["preprocessing"]["decode"].pop("exif_orientation"), UNUSABLE),
        (lambda card: card["preprocessing"]["decode"].update(frame="last"), "is not what this version of scmd does"),
        (lambda card: card["preprocessing"]["normalise"].update(std=[0, 0, 0]), UNUSABLE),
        (lambda card: card["preprocessing"]["normalise"].update(divide_by=1), UNUSABLE),
        (lambda card: card["student"]["model"].update(backbone="hf-hub:evil/model"), "is no model of timm"),
        (lambda card: card.update(weights_sha256="0" * 64), "not the file that the card beside it is of"),
        (lambda card: card.update(projection_sha256="0" * 64), "not the file that the card beside it is of"),
        (lambda card: card["metrics"].pop("accuracy"), UNUSABLE),
        (lambda card: card.pop("trial"), UNUSABLE),
    ],
)
def test_a_card_that_is_not_the_weights_is_refused(mine, change, told):
    path = mine / SCMD / "card.json"
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))
    assert told in refused("predict", "images", "--student", SCMD, "--workers", "0", cwd=mine)


# New class names.


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "kept"))
    return tmp_path / "kept/scmd/text"


def test_new_names_are_answered_by_the_projection_and_the_text_tower_runs_once(mine, kept):
    names = ("--zero-shot", "circle, square, star", "--top", "3")
    first = predicted(mine, "images/ink", *names)
    assert {best["class"] for row in first for best in row["top"]} == {"circle", "square", "star"}
    assert len(list(kept.glob("*.safetensors"))) == 1
    # By hand: exp(s) · cosine between the projected features and the kept text.
    one = students.load(mine / SCMD, torch.device("cpu"))
    (file,) = kept.glob("*")
    from safetensors.torch import load_file

    text = load_file(file)["text"].double()
    assert text.norm(dim=1).tolist() == pytest.approx([1, 1, 1])
    pixels = np.asarray(Image.open(mine / first[0]["path"]).convert("RGB").resize((24, 24), Image.Resampling.BILINEAR))
    mean, std = (
        np.array(values) for values in (one.card.preprocessing.normalise.mean, one.card.preprocessing.normalise.std)
    )
    images = torch.from_numpy((pixels / 255 - mean) / std).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        embedding = one.shipped.projection.projector(one.shipped.predictor.backbone(images)).double()
    cosine = embedding / embedding.norm() @ text.T
    expected = (one.shipped.projection.log_scale.double().exp() * cosine).softmax(1)[0]
    told = {best["class"]: best["probability"] for best in first[0]["top"]}
    assert [told[name] for name in ("circle", "square", "star")] == pytest.approx(expected.tolist(), abs=1e-5)
    # The teacher is needed no more.
    change(mine, "teachers/tiny.yaml", model="local-dir:/nowhere")
    assert predicted(mine, "images/ink", *names) == first
    assert "must hold open_clip_config.json" in refused(
        "predict", "images", "--student", SCMD, "--zero-shot", "a, b", "--workers", "0", cwd=mine
    )


def test_what_is_kept_and_damaged_is_made_again(mine, kept):
    first = predicted(mine, "images/ink", "--zero-shot", "circle, star")
    (file,) = kept.glob("*")
    file.write_bytes(b"damaged")
    assert predicted(mine, "images/ink", "--zero-shot", "circle, star") == first


def test_new_names_need_a_projection_and_the_very_teacher(mine, kept, tiny_teacher):
    command = ("predict", "images", "--workers", "0", "--student")
    assert "method `erm` taught this student nothing" in refused(*command, ERM, "--zero-shot", "a, b", cwd=mine)
    assert "name two or more" in refused(*command, SCMD, "--zero-shot", "a", cwd=mine)
    assert "name two or more" in refused(*command, SCMD, "--zero-shot", "", cwd=mine)
    assert "`a` stands there twice" in refused(*command, SCMD, "--zero-shot", "a, b, a", cwd=mine)
    other = shutil.copytree(tiny_teacher, mine / "other")
    weights = other / "open_clip_model.safetensors"
    from safetensors.torch import load_file, save_file

    save_file({name: tensor * 1.01 for name, tensor in load_file(weights).items()}, weights)
    change(mine, "teachers/tiny.yaml", model=f"local-dir:{other}")
    told = refused(*command, SCMD, "--zero-shot", "a, b", cwd=mine)
    assert "the experiment's teacher is not the one that taught this student" in told
    assert not kept.exists()


def test_ctrl_c_or_a_reader_that_has_enough_leaves_no_file(mine):
    done = run_scmd("predict", "images", "--student", SCMD, "--to", "images/out.csv/x.csv", "--workers", "0", cwd=mine)
    assert done.returncode == 1
    assert not list(mine.rglob("*.partial"))
