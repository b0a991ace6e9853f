"""The pages: every `scmd` command in them is one that the real command line takes, and two of them run on toy images."""

import os
import re
import shlex
import shutil
import subprocess

import pytest
from typer import BadParameter, Exit
from typer.main import get_command

from pipeline.cli import app
from tests import methods_page, performance_page, scaling_page
from tests.conftest import ENVIRONMENT, ROOT, change, write_images
from tests.studies import results_page, selection_page

PAGES = sorted([ROOT / "README.md", ROOT / "cache/README.md", *(ROOT / "docs").glob("*.md")])
UsageError = BadParameter.__base__
# What is no command, and why.
NO_COMMANDS = {
    "scmd": "the name alone",
    "scmd cache info|verify|diff": "three commands in one",
    "scmd cache search | probe | duplicates": "three commands in one",
    "scmd cache …": "a family of commands",
    "scmd benchmark …": "a family of commands",
    "scmd --debug …": "any command",
    "scmd --install-completion": "parsing it would write to the shell of whoever runs the tests",
    "scmd icons …": "a family of commands",
}
# Lines of pages that run here but for these, and why.
NOT_RUN = {
    "git clone URL scmd && cd scmd": "there is no network here",
    "make run": "this is the whole job; the toy project stands for what it made",
    "python3 -m venv .venv && source .venv/bin/activate": "the tests' own environment stands for it",
    "pip install 'path/to/scmd[dvc,export]'": "the wheel is installed already",
}


def commands(text: str) -> set[str]:
    """Whole commands that begin with `scmd`: lines of code blocks, up to a pipe or the next command, and words in backticks."""
    blocks = re.findall(r"^```(?:bash|console)?\n(.*?)^```|((?:^ {4}.*\n)+)", text, re.S | re.M)
    lines = [line.strip() for block in blocks for line in "".join(block).splitlines()]
    spans = re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))
    found = set()
    for one in (*lines, *(" ".join(span.split()) for span in spans)):
        for part in re.split(r"&&|\s\|\s|;", one.split("  #")[0]):
            part = part.strip()
            if part == "scmd" or part.startswith("scmd "):
                found.add(one if one in NO_COMMANDS else part)
    return found


def placed(command: str) -> list[str]:
    """Its words, without what stands for others: `[FOLDER]` is FOLDER, `…` nothing."""
    plain = re.sub(r"\s…(?=\s|$)", "", re.sub(r"\[([^\]]*)\]", r"\1", command))
    return shlex.split(plain)[1:]


def parse(words: list[str]) -> None:
    """By the command line itself, which then does nothing. A bare command, which names it, may lack what it requires."""
    command, context = get_command(app), None
    while True:
        try:
            context = command.make_context(words[0] if words else "scmd", list(words), parent=context)
        except UsageError as error:
            if type(error).__name__ == "MissingParameter" and not words:
                return
            raise
        except (Exit, SystemExit):  # it has said what was asked for, as `--show-completion` does
            return
        rest = [*context._protected_args, *context.args]
        if not hasattr(command, "resolve_command") or not rest:
            return
        _, command, words = command.resolve_command(context, rest)


def test_the_pages_have_commands():
    assert len(PAGES) >= 14
    assert sum(len(commands(page.read_text())) for page in PAGES) > 60


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_of_a_page_is_one_that_the_command_line_takes(page):
    for command in sorted(commands(page.read_text()) - NO_COMMANDS.keys()):
        try:
            parse(placed(command))
        except Exception as error:
            raise AssertionError(f"{page.name}: `{command}`: {error}") from error


def test_a_command_that_is_none_is_found():
    with pytest.raises(Exception, match="No such option"):
        parse(placed("scmd teacher --colour"))
    with pytest.raises(Exception, match="No such command"):
        parse(placed("scmd cache mend"))
    assert "scmd teacher --colour" in commands("```bash\ndvc pull && scmd teacher --colour\n```\n")
    assert commands("run `scmd samples\n--list`, then `dvc repro`") == {"scmd samples --list"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / link).exists(), link


def run_page(page: str, project, environment, between=lambda _: None) -> None:
    """Every line of a page's blocks but `NOT_RUN`, in a shell, in order."""
    for block in re.findall(r"```bash\n(.*?)```", (ROOT / "docs" / page).read_text(), re.S):
        for line in block.strip().splitlines():
            if line not in NOT_RUN:
                done = subprocess.run(
                    ["bash", "-c", line], cwd=project, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
                between(line)


def shell(target, folder) -> dict[str, str]:
    """The environment of a user who has the wheel installed."""
    return {
        **ENVIRONMENT,
        "PYTHONPATH": str(target),
        "PATH": f"{target / 'bin'}:{ENVIRONMENT['PATH']}",
        "XDG_CACHE_HOME": str(folder / "kept"),
        "GIT_CONFIG_GLOBAL": os.devnull,
    }


def shorten(project) -> None:
    """What `scmd init` chose, small enough for a test, and with the teacher that ships."""
    shutil.copy(ROOT / "configs/teachers/icons.yaml", project / "configs/teachers/icons.yaml")
    change(project, "teachers/icons.yaml", views=2)
    change(project, "students/resnet10t.yaml", steps=4, evaluate_every=4, batch=8)
    matrix = {"held_out": ["ink"], "method": ["kd", "scmd"], "trial": [0]}
    change(project, "experiment.yaml", teacher="icons", pixels={"size": 16, "max_gb": 1.0}, matrix=matrix)


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "project").mkdir()
    write_images(tmp_path / "project/photos")
    return tmp_path / "project"


def test_own_images_and_then_the_quickstart_run_as_they_stand(installed, photos, tmp_path):
    environment = shell(installed, tmp_path)
    run_page("own-images.md", photos, environment, lambda line: shorten(photos) if line == "scmd init photos" else None)
    assert (photos / "results/report.html").is_file()
    assert (photos / "configs/exclude/mine.txt").is_file()
    for words in ("add -A", "-c user.name=t -c user.email=t@example.org commit -qm start"):
        subprocess.run(["git", *words.split()], cwd=photos, env=environment, check=True)
    # Nothing but what is the user's own went to git.
    listed = subprocess.run(["git", "ls-files"], cwd=photos, capture_output=True, text=True, check=True).stdout.split()
    assert "dvc.lock" in listed
    assert not [name for name in listed if name.startswith(("cache/", "results/", "photos/"))]
    run_page("quickstart.md", photos, environment)
    for name in ("answers.csv", "export/student.onnx", "found.png"):
        assert (photos / name).is_file()


def test_the_page_of_figures_is_that_of_the_files():
    """`python -m tests.performance_page` and its like write them."""
    for written in (performance_page, scaling_page, methods_page, selection_page, results_page):
        assert written.PAGE.read_text(encoding="utf-8") == written.page()


def test_every_reference_has_its_state_and_every_method_that_runs_is_one():
    listed = methods_page.references()
    assert len({one["reference"] for one in listed}) == 80
    assert all(one["by"] for one in listed if one["state"] in ("runs", "cannot", "other field"))
    named = {name for one in listed if one["state"] == "runs" for name in re.findall(r"`(\w+)`", one["by"])}
    # SCMD itself, what came after the list, and DomainBed's other baselines.
    assert set(methods_page.METHODS) - named == {"scmd", "vl2v_adip", "clip_kd", "label_free", "group_dro", "mixup"}
