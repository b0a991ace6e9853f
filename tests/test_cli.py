"""What a command imports, how it ends before its end, and where its words go."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from pipeline import cli, package
from pipeline.averaging.building import SOURCES
from pipeline.errors import ConfigError
from pipeline.methods import METHODS, NAMED, decided, parse
from pipeline.selection.rules import RULES
from tests.conftest import ENVIRONMENT, ROOT, alive, change, hear_interrupts, ok, process_scmd, refused, run_scmd

HEAVY = ("torch", "torchvision", "timm", "open_clip", "faiss")
# Runs a command and says what heavy it imported.
WATCHED = f"""
import sys
from pipeline.cli import main
try:
    main()
finally:
    print("imported:", *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""


def imported(*arguments: str, cwd) -> tuple[int, str]:
    command = [sys.executable, "-c", WATCHED, *arguments]
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--help",), 0),
        (("cache", "verify", "--help"), 0),
        (("teacher", "--colour"), 2),
        (("students", "--jobs", "0"), 2),
        (("nothing",), 2),
        (("cache", "info", "CACHE"), 0),
        (("cache", "verify", "CACHE"), 0),
        (("cache", "diff", "CACHE", "CACHE"), 0),
        (("cache", "verify", "nowhere"), 1),
    ],
)
def test_help_usage_errors_and_a_cache_on_its_own_need_no_torch(made, tmp_path, arguments, code):
    given = [str(made / "cache/toy/tiny") if one == "CACHE" else one for one in arguments]
    assert imported(*given, cwd=tmp_path) == (code, "imported:")


def test_every_command_says_what_is_true_when_it_is_stopped():
    names = {command.name or command.callback.__name__ for command in cli.app.registered_commands}
    names |= {group.name for group in cli.app.registered_groups}
    assert set(cli.STOPPED) <= names
    # These write at their end, and only then.
    assert names - set(cli.STOPPED) == {"init", "doctor", "samples", "report", "benchmark", "methods"}


def test_results_go_to_standard_output_and_talk_to_standard_error(ready):
    for method in ("erm", "scmd"):
        ok("student", "--held-out", "ink", "--method", method, cwd=ready)
    report = run_scmd("report", cwd=ready)
    assert "\n| held out | teacher zero-shot | erm | scmd |\n" in report.stdout
    assert report.stderr == "in results/report.md; with plots and samples in results/report.html\n"
    for arguments in (("cache", "info"), ("cache", "diff", "cache/toy/tiny", "cache/toy/tiny"), ("cache", "verify")):
        done = run_scmd(*arguments, cwd=ready)
        assert done.stdout
        assert not done.stderr
    assert "pictures to encode" in run_scmd("teacher", "--plan", cwd=ready).stdout
    (ready / "images/ink/disc/notes.txt").write_text("")
    ok("samples", cwd=ready)
    assert run_scmd("samples", "--list", cwd=ready).stdout == "ink/disc/notes.txt: a file of another kind (.txt)\n"


def test_whoever_has_read_enough_ends_it_without_a_word(ready):
    command = f"{sys.executable} -m pipeline.cli cache info | head -n 1"
    done = subprocess.run(command, shell=True, cwd=ready, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.stdout == "cache/toy/tiny\n"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("how", ["before", "behind", "environment"])
def test_the_cause_is_shown_to_who_asks(project, how):
    (project / "configs/experiment.yaml").write_text("a: [")
    plain = run_scmd("samples", cwd=project)
    assert plain.returncode == 1
    assert "Traceback" not in plain.stderr
    arguments = {"before": ("--debug", "samples"), "behind": ("samples", "--debug"), "environment": ("samples",)}[how]
    debugged = run_scmd(*arguments, cwd=project, env={"SCMD_DEBUG": "1"} if how == "environment" else None)
    assert debugged.stderr.startswith(plain.stderr)  # the sentence, and beneath it
    assert "yaml.parser.ParserError" in debugged.stderr
    assert "The above exception was the direct cause" in debugged.stderr


@pytest.mark.parametrize(
    ("command", "begun", "true"),
    [
        (("teacher", "--workers", "2"), "is built beside it", "finished blocks are kept"),
        (("pixels", "--workers", "2"), None, "the pictures that were there are kept"),
        (("student", "--held-out", "ink", "--method", "erm"), "steps of", "its last checkpoint is kept"),
        (("students",), "steps of", "finished trials and checkpoints are kept"),
        (("samples",), None, "nothing was written"),
    ],
)
def test_ctrl_c_ends_a_stage_with_one_true_sentence_and_no_orphans(ready, command, begun, true):
    """To the whole group, as a terminal sends it, and twice, as people press it."""
    change(ready, "students/small.yaml", steps=100_000)
    change(ready, "teachers/tiny.yaml", seed=3) if command[0] == "teacher" else None
    for number in range(3000 if command[0] == "samples" else 0):  # so that it is not done before the signal comes
        os.link(ready / "images/ink/disc/0.png", ready / f"images/ink/disc/again-{number}.png")
    log = ready / "log.txt"
    with log.open("w") as out:
        command = [sys.executable, "-u", "-m", "pipeline.cli", *command]
        options = {"cwd": ready, "env": ENVIRONMENT, "stderr": out, "start_new_session": True}
        running = subprocess.Popen(command, preexec_fn=hear_interrupts, **options)
    deadline = time.monotonic() + 60
    while begun and begun not in log.read_text() and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    os.killpg(running.pid, signal.SIGINT)
    time.sleep(0.1)
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGINT)
    try:
        assert running.wait(timeout=20) == 130
        deadline = time.monotonic() + 5  # helpers of multiprocessing see that their process has ended, and end
        while alive(running.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not alive(running.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    told = [line for line in log.read_text().splitlines() if line.startswith("scmd: ")]
    assert len(told) == 1
    assert told[0].startswith(f"scmd: stopped; {true}")
    assert "Traceback" not in log.read_text()


def test_a_signal_that_whoever_started_it_ignores_stays_ignored(ready):
    """As `nohup` does with the end of a session."""
    change(ready, "students/small.yaml", steps=40, evaluate_every=40)
    command = [sys.executable, "-m", "pipeline.cli", "student", "--held-out", "ink", "--method", "erm"]
    running = subprocess.Popen(["nohup", *command], cwd=ready, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    for line in running.stderr:
        if "steps of" in line:
            break
    running.send_signal(signal.SIGHUP)
    running.communicate(timeout=120)
    assert running.returncode == 0


def test_a_checkout_runs_its_own_code_or_none(tmp_path):
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/cli.py").write_text("")
    command = [sys.executable, "-P", "-c", "from pipeline.cli import main; main()", "samples"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"this folder is a checkout of scmd, and the code that runs is {ROOT / 'pipeline'}'s" in done.stderr


def test_what_ships_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert package.own(package.Path("pipeline/data/icons.parquet")) == ROOT / "pipeline/data/icons.parquet"
    (tmp_path / "mine.yaml").write_text((ROOT / "configs/experiment.yaml").read_text())
    for experiment in ("mine.yaml", "experiment"):
        done = run_scmd("teacher", "--experiment", experiment, cwd=tmp_path)
        assert "no samples table here; run `scmd samples` first" in done.stderr
    assert "configs/experiment.yaml: no such file" in run_scmd("teacher", cwd=tmp_path).stderr


def test_an_experiment_of_another_project_is_refused_where_a_second_cache_would_be_made(ready, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = run_scmd("teacher", "--experiment", str(ready / "configs/experiment.yaml"), cwd=elsewhere)
    assert f"belongs to the project in {ready}, which has its own `cache`" in done.stderr
    assert not list(elsewhere.iterdir())
    assert run_scmd("teacher", "--experiment", str(ready / "configs/experiment.yaml"), cwd=ready).returncode == 0


def test_what_needs_an_extra_says_which(tmp_path):
    (tmp_path / "faiss.py").write_text("raise ModuleNotFoundError('No module named faiss', name='faiss')")
    done = process_scmd("icons", "measure", cwd=tmp_path, env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    assert done.stderr == "scmd: `faiss` is not installed; run `pip install 'scmd[icons]'`\n"
    assert done.returncode == 1


def test_methods_are_listed_with_family_needs_and_source_and_told_one_by_one():
    listed = ok("methods", cwd=ROOT).splitlines()
    rules = [*(f"select: {name}" for name in RULES), *(f"averaging: {name}" for name in SOURCES)]
    assert [line.split("  ")[0] for line in listed[1:]] == [*METHODS, *NAMED, *rules]
    assert all(re.search(r"\S  +\S.*  +\S.*[.:=]", line) for line in listed[1 : len(METHODS) + 1])
    assert (
        "rkd                         distillation        teacher_features         Relational knowledge distillation (Park"
        in "\n".join(listed)
    )
    assert "`scmd` with {" in ok("methods", "scmd_official", cwd=ROOT)
    assert "\nnominal_steps: 5000    " in ok("methods", "scmd_official", cwd=ROOT)
    for name, method in METHODS.items():
        told = ok("methods", name, cwd=ROOT)
        for key in method.Settings.model_fields:
            assert (f"\n{key}: " in told) == (key not in decided(method))
            if key in decided(method):
                with pytest.raises(ConfigError, match="no setting of"):
                    parse(name, {key: method.Settings.model_fields[key].default}, "here")
    assert "λ2 · T² · KL" in ok("methods", "scmd", cwd=ROOT)
    assert "method `magic` is unknown (known: active_bias, " in refused("methods", "magic", cwd=ROOT)
