"""`scmd init` and `scmd doctor`, as a new user would: from a folder of images, with the wheel installed, to a report."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from PIL import Image

from pipeline.experiment import places
from tests.conftest import CLASSES, DOMAINS, ENVIRONMENT, ROOT, change, ok, refused, run_scmd, write_images

SHIPPED = ("--teacher", "icons", "--student", "resnet10t", "--size", "24")


@pytest.fixture
def mine(tmp_path):
    """A folder that holds images, and nothing else."""
    write_images(tmp_path / "My photos")
    return tmp_path


def command(*words: str, cwd, target) -> str:
    """With the wheel's code and its `scmd`."""
    environment = {
        **ENVIRONMENT,
        "PYTHONPATH": str(target),
        "PATH": f"{target / 'bin'}:{ENVIRONMENT['PATH']}",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_from_an_empty_folder_to_a_report(installed, mine):
    told = command("scmd", "init", "My photos", *SHIPPED, cwd=mine, target=installed)
    assert "36 images, 3 domains, 2 classes" in told
    assert "next: git init && dvc init && scmd doctor && dvc repro" in told
    change(mine, "students/resnet10t.yaml", steps=4, evaluate_every=4, batch=8)
    change(mine, "experiment.yaml", matrix={"held_out": ["ink"], "method": ["erm", "scmd"], "trial": [0]})
    for words in ("git init -q", "dvc init -q"):
        command(*words.split(), cwd=mine, target=installed)
    doctor = command("scmd", "doctor", cwd=mine, target=installed)
    assert not re.search("^wrong", doctor, re.M)
    assert "teacher     local-dir:pipeline/data/icons_teacher: the weights are here" in doctor
    assert "Running stage 'report'" in command("dvc", "repro", cwd=mine, target=installed)
    assert (mine / "results/report.html").is_file()
    assert "up to date" in command("dvc", "status", cwd=mine, target=installed)
    # Nothing but what is the user's own is left for git.
    command("git", "add", "-A", cwd=mine, target=installed)
    names = command("git", "ls-files", cwd=mine, target=installed).splitlines()
    assert not [name for name in names if name.startswith(("cache/", "results/"))]
    change(mine, "students/resnet10t.yaml", steps=5)
    again = command("dvc", "repro", cwd=mine, target=installed)
    assert re.findall(r"Running stage '(\w+)'", again) == ["students", "report"]


def test_it_says_what_is_in_the_folder(mine):
    root = mine / "My photos"
    shutil.copy(root / "ink/disc/0.png", root / "clay/disc/copy.png")
    Image.open(root / "neon/square/1.png").resize((120, 120)).save(root / "neon/square/larger.png")
    (root / "ink/notes.txt").write_text("x")
    (root / "ink/disc/broken.jpg").write_bytes(b"no picture")
    for number in range(40):
        Image.new("RGB", (9, 9), (number, 0, 0)).save(root / f"clay/square/more{number}.png")
    output = ok("init", "My photos", *SHIPPED, cwd=mine)
    assert "clay: 53 found, 53 kept" in output
    assert "ink/disc/broken.jpg: not an image" in output
    assert "ink/notes.txt: a file outside the class folders" in output
    assert "note: class `square` has 59 images, `disc` 19" not in output
    assert "pairs look the same, 1 of them in two domains" in output
    assert "  clay/disc/copy.png and ink/disc/0.png" in output
    for number in range(60):
        Image.new("RGB", (9, 9), (number, 9, 0)).save(root / f"clay/square/yet{number}.png")
    for name in ("dvc.yaml", "configs/experiment.yaml"):
        (mine / name).unlink()
    assert "note: class `square` has 119 images, `disc` 19" in ok("init", "My photos", *SHIPPED, cwd=mine)


def test_the_configuration_is_the_folders(mine, monkeypatch):
    ok("init", "My photos", *SHIPPED, cwd=mine)
    monkeypatch.chdir(mine)
    plan = places.load(places.DEFAULT)
    assert plan.experiment.dataset == "my_photos"
    assert plan.experiment.matrix.held_out == plan.dataset.domains == DOMAINS
    assert plan.dataset.classes == CLASSES
    assert (plan.experiment.teacher, plan.experiment.student, plan.experiment.pixels.size) == ("icons", "resnet10t", 24)


def test_an_experiment_that_is_here_is_not_touched(mine):
    ok("init", "My photos", *SHIPPED, cwd=mine)
    (mine / "configs/experiment.yaml").unlink()
    (mine / "dvc.yaml").write_text("mine")
    assert "dvc.yaml is already here, and nothing was written" in refused("init", "My photos", cwd=mine)
    assert (mine / "dvc.yaml").read_text() == "mine"
    assert not (mine / "configs/experiment.yaml").exists()


def test_ignore_files_keep_their_lines(mine):
    (mine / ".gitignore").write_text("secret.txt\n/cache/")
    ok("init", "My photos", *SHIPPED, cwd=mine)
    assert (mine / ".gitignore").read_text() == "secret.txt\n/cache/\n/results/\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nowhere",), "nowhere: no such folder"),
        (("empty",), "empty: no image in it"),
        (("My photos/ink",), "put them at My photos/ink/<domain>/<class>/<image>"),
        (("My photos", "--teacher", "clip"), "none of this name ships with scmd; those there are: icons"),
    ],
)
def test_what_is_no_data_set_is_refused_and_nothing_written(mine, arguments, told):
    (mine / "empty").mkdir()
    assert told in refused("init", *arguments, cwd=mine)
    assert sorted(path.name for path in mine.iterdir()) == ["My photos", "empty"]


def test_the_projects_stages_are_the_repositorys_without_its_code():
    ours, theirs = (yaml.safe_load((ROOT / name).read_text()) for name in ("dvc.yaml", "pipeline/project/stages.yaml"))
    assert theirs["plots"] == ours["plots"]
    assert theirs["vars"] == ours["vars"]
    assert list(theirs["stages"]) == list(ours["stages"])
    for name, stage in ours["stages"].items():
        deps = [one for one in stage["deps"] if not one.startswith("pipeline/")]
        assert theirs["stages"][name] == {**stage, "cmd": f"scmd {name}", "deps": deps}


# The doctor.


def test_what_stops_a_run_is_named_and_ends_with_exit_code_one(ready):
    assert "ok    experiment  configs/experiment.yaml: 2 trials" in ok("doctor", cwd=ready)
    shutil.rmtree(ready / "images")
    change(ready, "teachers/tiny.yaml", model="local-dir:nowhere")
    change(ready, "students/small.yaml", model={"backbone": "resnet10t", "pretrained": "weights.pth"})
    done = run_scmd("doctor", cwd=ready)
    assert done.returncode == 1
    wrong = dict(re.findall(r"^wrong (\w+) +(.*)", done.stdout, re.M))
    assert wrong.keys() == {"images", "teacher", "student"}
    assert wrong["student"] == "weights.pth is not there; put the file there, or change `pretrained`"
    assert "scmd: 3 of these stop a run: images, teacher, student" in done.stderr


def test_weights_of_the_hub_are_a_note(ready):
    change(ready, "teachers/tiny.yaml", model="ViT-B-32-quickgelu", weights="openai")
    change(ready, "students/small.yaml", model={"backbone": "resnet10t.c3_in1k", "pretrained": True})
    notes = dict(re.findall(r"^note  (\w+) +(.*)", ok("doctor", cwd=ready), re.M))
    assert "fetched from the hub at first use" in notes["teacher"]
    assert "fetched from the hub at first use" in notes["student"]


def test_a_faulty_configuration_is_a_finding(ready):
    (ready / "configs/experiment.yaml").write_text("dataset: [")
    done = run_scmd("doctor", cwd=ready)
    assert done.returncode == 1
    assert re.search(r"^wrong experiment  configs/experiment.yaml: not valid YAML", done.stdout, re.M)
    assert sys.version.split()[0] in done.stdout
