"""What users expect of `dvc repro`, `dvc push` and `dvc pull`, in real repositories."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.cache import reader
from tests.conftest import ENVIRONMENT, ROOT, change, configurations, files, once, write_configurations, write_images

ERM, SCMD = "erm, ink held out, trial 0", "scmd, ink held out, trial 0"
EVERYTHING = ["samples", "teacher", "pixels", "students", ERM, SCMD, "report"]


def attempt(*command: str, cwd: Path) -> subprocess.CompletedProcess:
    environment = {**ENVIRONMENT, "GIT_CONFIG_GLOBAL": os.devnull}
    if command[0] == "scmd":  # as in a checkout whose own code is installed
        command = (sys.executable, "-m", "pipeline.cli", *command[1:])
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def run(*command: str, cwd: Path) -> str:
    done = attempt(*command, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def repro(project: Path) -> list[str]:
    """The stages that `dvc repro` ran, in order, and below `students` the trials, sorted."""
    return ran(run("dvc", "repro", cwd=project))


def ran(output: str) -> list[str]:
    stages = re.findall(r"Running stage '([^']+)'", output)
    trials = sorted(set(re.findall(r"\[(.+)\] .+ steps of", output)))
    return [name for stage in stages for name in (stage, *(trials if stage == "students" else ()))]


def git(*arguments: str, cwd: Path) -> None:
    run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory, tiny_teacher) -> Path:
    """A repository in which `dvc repro` has run once; copied, never changed."""

    def make(folder: Path) -> None:
        make_repository(folder, tiny_teacher)
        assert repro(folder) == EVERYTHING
        git("add", "-A", cwd=folder)
        git("commit", "-qm", "reproduced", cwd=folder)

    return once(tmp_path_factory, "reproduced", make)


def make_repository(folder: Path, teacher: Path) -> Path:
    """A repository in which nothing has run."""
    folder.mkdir(parents=True)
    write_images(folder / "images")
    shutil.copytree(teacher, folder / "teacher")
    write_configurations(folder, configurations(Path("teacher")))
    for name in ("exclude", "plots"):
        shutil.copytree(ROOT / "configs" / name, folder / "configs" / name)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(ROOT / name, folder / name)
    with (folder / ".gitignore").open("a") as stream:
        stream.write("/images/\n/teacher/\n")
    shutil.copytree(ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("data", "__pycache__"))
    (folder / "pipeline/data/icons_teacher").mkdir(parents=True)
    shutil.copy(ROOT / "pipeline/data/icons_teacher/open_clip_config.json", folder / "pipeline/data/icons_teacher")
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    git("init", "-q", cwd=folder)
    return folder


@pytest.fixture
def repository(reproduced, tmp_path) -> Path:
    shutil.copytree(reproduced, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


def test_a_second_run_runs_nothing_and_leaves_the_tree_as_it_was(repository):
    assert repro(repository) == []
    assert run("git", "status", "--porcelain", cwd=repository) == ""


def test_a_students_setting_is_for_students_and_report_alone(repository):
    change(repository, "students/small.yaml", steps=5)
    told = run("dvc", "status", cwd=repository)
    assert re.findall(r"^(\w+):$", told, re.M) == ["students", "report"]


def test_code_that_changes_no_number_runs_no_trial(repository):
    path = repository / "pipeline/methods/kd.py"
    path.write_text(f"# A comment.\n{path.read_text()}")
    assert repro(repository) == ["students", "report"]


def test_a_teachers_prompt_encodes_no_picture(repository):
    change(repository, "teachers/tiny.yaml", templates=["a {}"])
    output = run("dvc", "repro", "pixels", cwd=repository)
    assert ran(output) == ["teacher", "pixels"]
    assert "0 pictures went through the teacher" in output
    assert "0 pictures rendered" in output


def test_a_view_setting_makes_cache_and_pictures_anew(repository):
    change(repository, "teachers/tiny.yaml", seed=3)
    output = run("dvc", "repro", "pixels", cwd=repository)
    assert ran(output) == ["teacher", "pixels"]
    assert f"{36 * 3} pictures went through the teacher" in output
    assert f"{36 * 3} pictures rendered" in output
    assert "students" in run("dvc", "status", cwd=repository)


def test_more_of_the_matrix_runs_only_what_is_new(repository):
    """A method more, and a trial less."""
    matrix = {"held_out": ["ink"], "method": ["scmd", "kd"], "trial": [0]}
    change(repository, "experiment.yaml", matrix=matrix)
    assert repro(repository) == ["students", "kd, ink held out, trial 0", "report"]


def test_a_clone_that_pulls_trains_without_teacher_and_without_images_loses_nothing(repository, tmp_path):
    run("dvc", "remote", "add", "-d", "store", str(tmp_path / "store"), cwd=repository)
    run("dvc", "push", cwd=repository)
    git("add", "-A", cwd=repository)
    git("commit", "-qm", "shared", cwd=repository)
    clone = tmp_path / "clone"
    git("clone", "-q", str(repository), str(clone), cwd=tmp_path)
    run("dvc", "pull", "--allow-missing", cwd=clone)
    assert not (clone / "teacher").exists()
    # Without the images: DVC's own sentence, as it looks at them first, and all that was pulled is still there.
    before = files(clone / "cache")
    done = attempt("dvc", "repro", cwd=clone)
    assert done.returncode != 0
    assert f"No such file or directory: '{clone}/images'" in done.stderr
    assert "Traceback" not in done.stderr
    assert files(clone / "cache") == before
    assert "| ink |" in run("scmd", "report", cwd=clone)
    # With them: no stage of the teacher's.
    shutil.copytree(repository / "images", clone / "images")
    change(clone, "students/small.yaml", steps=5)
    assert repro(clone) == ["pixels", "students", ERM, SCMD, "report"]


def test_a_cache_made_outside_dvc_says_what_keeps_it_through_an_experiment(repository):
    change(repository, "teachers/tiny.yaml", seed=5)
    git("commit", "-qam", "another seed", cwd=repository)
    told = run("scmd", "teacher", "--workers", "0", cwd=repository)
    (command,) = re.findall("`(dvc commit .*)` keeps it", told)
    run(*command.split(), cwd=repository)
    git("commit", "-qam", "kept", cwd=repository)
    output = run("dvc", "exp", "run", "-S", "configs/students/small.yaml:steps=5", "teacher", cwd=repository)
    assert ran(output) == []
    assert reader.open_complete(repository / "cache/toy/tiny").identity["drawing"]["seed"] == 5


def test_an_interrupted_stage_one_loses_no_finished_block_to_an_experiment(repository):
    change(repository, "teachers/tiny.yaml", seed=6)
    git("commit", "-qam", "another seed", cwd=repository)
    building = repository / "cache/toy/.tiny.building"
    running = subprocess.Popen(["dvc", "repro", "teacher"], cwd=repository, env=ENVIRONMENT, start_new_session=True)
    while not (building / "ledger/0.json").exists() and running.poll() is None:
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    # A lock that DVC leaves behind when it is killed.
    (repository / ".dvc/tmp/rwlock").unlink(missing_ok=True)
    finished = json.loads((building / "ledger/0.json").read_text())["files"]
    output = run("dvc", "exp", "run", "teacher", cwd=repository)
    (pictures,) = re.findall(r"(\d+) pictures went through the teacher", output)
    assert 0 < int(pictures) <= 36 * 3 - 16 * 3  # the first block of sixteen samples was there
    ledger = json.loads((repository / "cache/toy/tiny/ledger/0.json").read_text())["files"]
    assert {path: ledger[path] for path in finished if "logits" not in path}.items() <= ledger.items()


def test_an_experiment_elsewhere_runs_its_own_code(repository):
    """As a queued one does, in a folder of its own, where only what git knows is."""
    (repository / ".gitignore").write_text((repository / ".gitignore").read_text().replace("/images/\n/teacher/\n", ""))
    git("add", "-A", cwd=repository)
    git("commit", "-qm", "images", cwd=repository)
    path = repository / "pipeline/stages/samples.py"
    path.write_text(path.read_text().replace("samples in {plan", "MARKED samples in {plan"))
    assert "36 MARKED samples in" in run("dvc", "exp", "run", "--temp", "-n", "marked", "samples", cwd=repository)


def test_dvcs_own_views_tell_what_the_report_tells(repository):
    """`metrics`, `params`, `plots` and `exp show`, before and after a method's setting."""
    shown = json.loads(run("dvc", "metrics", "show", "--json", cwd=repository))[""]["data"]["results/report.json"][
        "data"
    ]
    row, *_ = re.findall(r"^\| ink \| (.*) \|$", (repository / "results/report.md").read_text(), re.M)
    told = [float(cell.split()[0]) for cell in row.split(" | ")]
    assert [round(value, 1) for value in shown["ink"].values()] == pytest.approx(told, abs=0.051)
    assert list(shown["ink"]) == ["teacher zero-shot", "erm", "scmd"]
    before = json.loads((repository / "results/plots/accuracy.json").read_text())
    assert {one["method"] for one in before} == {"erm", "scmd"}
    change(repository, "experiment.yaml", methods={"erm": {}, "scmd": {"hard_fraction": 0.75}})
    assert repro(repository) == ["students", SCMD, "report"]
    params = json.loads(run("dvc", "params", "diff", "--json", cwd=repository))
    assert params["configs/experiment.yaml"]["methods.scmd.hard_fraction"] == {"old": 0.5, "new": 0.75, "diff": 0.25}
    assert "results/report.json" in json.loads(run("dvc", "metrics", "diff", "--all", "--json", cwd=repository))
    titles = (
        "Accuracy on the held-out domain",
        "Accuracy by domain",
        "Loss terms",
        "Confusions on the held-out domain",
    )
    for words in (("show",), ("diff", "HEAD")):
        run("dvc", "plots", *words, "-o", "drawn", cwd=repository)
        page = (repository / "drawn/index.html").read_text()
        assert [title for title in titles if f'"title": "{title}"' not in page] == []
        assert "DVC_METRIC" not in page  # every anchor was filled
    assert "hard_fraction" in run("dvc", "exp", "show", "--only-changed", "--md", cwd=repository)
