"""`scmd init` and `scmd doctor`; from a folder of images to a report, as a new user would, is `tests/test_docs.py`."""

import re
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml
from PIL import Image

from pipeline.experiment import places
from pipeline.project import doctor as findings
from tests.conftest import CLASSES, DOMAINS, ROOT, change, files, ok, refused, run_scmd, write_images

SHIPPED = ("--teacher", "icons", "--student", "resnet10t", "--size", "24")


@pytest.fixture
def mine(tmp_path):
    """A folder that holds images, and nothing else."""
    write_images(tmp_path / "My photos")
    return tmp_path


def test_it_says_what_is_in_the_folder(mine):
    root = mine / "My photos"
    shutil.copy(root / "ink/disc/0.png", root / "clay/disc/copy.png")
    Image.open(root / "neon/square/1.png").resize((120, 120)).save(root / "neon/square/larger.png")
    (root / "ink/notes.txt").write_text("x")
    (root / "ink/disc/broken.jpg").write_bytes(b"no picture")
    for number in range(40):
        Image.new("RGB", (9, 9), (number, 0, 0)).save(root / f"clay/square/more{number}.png")
    output = ok("init", "My photos", *SHIPPED, cwd=mine)
    assert "78 images, 3 domains, 2 classes" in output
    assert "`dvc add 'My photos'` leaves them to DVC" in output
    assert "next: git init && dvc init && scmd doctor && dvc repro" in output
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
    assert plan.experiment.methods["scmd"] == {"hard_fraction": 0.5, "full_batch_fraction": 0.25}
    for kind in ("teachers", "students"):  # what another `teacher` or `student` may name
        assert files(mine / "configs" / kind).keys() == files(ROOT / "configs" / kind).keys()
    assert (plan.experiment.teacher, plan.experiment.student, plan.experiment.pixels.size) == ("icons", "resnet10t", 24)


def test_a_student_of_trained_weights_takes_the_papers_selection(mine):
    ok("init", "My photos", "--student", "resnet50", cwd=mine)
    assert yaml.safe_load((mine / "configs/experiment.yaml").read_text())["methods"]["scmd"] == {}


def test_two_domains_are_said_and_folders_may_be_links(mine):
    elsewhere = mine.parent / f"{mine.name}-elsewhere"
    (mine / "My photos").rename(elsewhere)
    (mine / "My photos").mkdir()
    for name in ("ink", "neon"):
        (mine / "My photos" / name).symlink_to(elsewhere / name)
    output = ok("init", "My photos", *SHIPPED, cwd=mine)
    assert "24 images, 2 domains, 2 classes" in output
    assert "note: of two domains one is held out, so that every student learns from one alone" in output


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
        ((".",), "all images lie in its one folder, at My photos/<domain>/<class>/<image>; name that"),
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


class Hub(BaseHTTPRequestHandler):
    """Answers, if only that there is nothing."""

    def do_HEAD(self):
        self.send_error(404)

    def log_message(self, *_):
        pass


def test_weights_of_the_hub_are_a_note_where_it_answers_and_wrong_where_it_does_not(ready, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    change(ready, "teachers/tiny.yaml", model="ViT-B-32-quickgelu", weights="openai")
    change(ready, "students/small.yaml", model={"backbone": "resnet10t.c3_in1k", "pretrained": True})
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(findings, "ENDPOINT", endpoint)
        answered = ok("doctor", cwd=ready)
        server.shutdown()
    silent = run_scmd("doctor", cwd=ready).stdout
    for what in ("teacher", "student"):
        assert re.search(f"^note  {what} .* fetched from the hub at first use$", answered, re.M)
        assert re.search(f"^wrong {what} .* on the hub, and {endpoint} does not answer", silent, re.M)


def test_what_the_configurations_and_the_folder_do_not_share_is_told(ready):
    change(ready, "datasets/toy.yaml", domains=["clay", "ink", "neon"])
    (ready / "images/neon").rename(ready / "images/glass")
    done = run_scmd("doctor", cwd=ready)
    assert "wrong images      images has no folder for domain `neon`" in done.stdout
    (ready / "images/glass").rename(ready / "images/neon")
    shutil.copytree(ready / "images/neon", ready / "images/glass")
    change(ready, "experiment.yaml", matrix={"held_out": ["inc"], "method": ["erm"], "trial": [0]})
    done = run_scmd("doctor", cwd=ready)
    assert "note  images      images also has glass, which the data set's `domains` do not name" in done.stdout
    assert "wrong held out    `inc` is none of the data set's domains (clay, ink, neon); change" in done.stdout
    change(ready, "datasets/toy.yaml", exclude="configs/exclude/gone.txt")
    assert "wrong images      configs/exclude/gone.txt: the list that `exclude`" in run_scmd("doctor", cwd=ready).stdout


def test_a_leak_is_told(ready):
    shutil.copy(ready / "images/ink/disc/0.png", ready / "images/clay/disc/copy.png")
    ok("samples", cwd=ready)
    told = (
        "note  held out    1 of 12 pictures of held-out domain `ink` also stand in another domain, first ink/disc/0.png"
    )
    assert told in ok("doctor", cwd=ready)


def test_a_faulty_configuration_is_a_finding(ready):
    (ready / "configs/experiment.yaml").write_text("dataset: [")
    done = run_scmd("doctor", cwd=ready)
    assert done.returncode == 1
    assert re.search(r"^wrong experiment  configs/experiment.yaml: not valid YAML", done.stdout, re.M)
    assert sys.version.split()[0] in done.stdout
