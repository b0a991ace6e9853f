"""`scmd run`: every stage in turn, and what a second run keeps."""

import json
import re
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.experiment import places
from pipeline.experiment.places import DEFAULT
from pipeline.stages import report, students
from tests.conftest import change, ok, refused

EXPERIMENT = ("run", "--results", "results/mine", "--page", "docs/mine.md", "--jobs", "2", "--workers", "0")


def test_it_runs_everything_once_and_then_only_what_is_new(project):
    assert "0 of 2 trials are current" in ok(*EXPERIMENT, cwd=project)
    report = (project / "results/mine/report.md").read_text()
    assert "\n\n| held out | teacher zero-shot | erm | scmd |\n" in report
    assert "(1)" in report
    weights = project / "results/mine/trials/small/ink/erm/hparams-0/trial-0/student.safetensors"
    page = (project / "docs/mine.md").read_text()
    assert report.rstrip() in page
    assert page.count("- 2 trials in 0 minutes, 2 at a time, on ") == 1
    before = weights.stat().st_mtime_ns
    change(project, "experiment.yaml", methods={"erm": {}, "scmd": {"hard_fraction": 0.4}})
    output = ok(*EXPERIMENT, cwd=project)
    assert "1 of 2 trials are current" in output
    assert "rendering pixels" not in output
    page = (project / "docs/mine.md").read_text()
    assert "- 2 trials (1 of them are in the table) in" in page
    assert "- 1 trials in" in page
    assert weights.stat().st_mtime_ns == before
    # What a trial was trained from is more than its own settings: other pictures are another result.
    change(project, "experiment.yaml", pixels={"size": 16, "max_gb": 1.0})
    assert "0 of 2 trials are current" in ok(*EXPERIMENT, cwd=project)


def test_a_held_out_domain_that_is_not_there_stops_before_any_trial(ready):
    change(ready, "experiment.yaml", matrix={"held_out": ["ink", "oil"], "method": ["erm"], "trial": [0]})
    assert "held-out domain `oil` is not in the data set" in refused(*EXPERIMENT, cwd=ready)
    assert not (ready / "results").exists()


def test_a_name_stands_for_a_method_with_other_settings_and_a_trial_that_fails_costs_no_other(
    ready, monkeypatch, capfd
):
    monkeypatch.chdir(ready)
    methods = {"scmd": {"lambda1": 1e38, "hard_fraction": 0.5}, "scmd_p25": {"method": "scmd", "hard_fraction": 0.25}}
    matrix = {"held_out": ["ink"], "method": ["scmd", "scmd_p25"], "trial": [0]}
    change(ready, "experiment.yaml", methods=methods, matrix=matrix)
    plan, results = places.load(DEFAULT), Path("results")
    with pytest.raises(InputError, match="1 trials failed, first scmd, ink held out, trial 0: see above"):
        students.run(plan, results, students.Here(2))
    assert re.search(
        r"\[scmd, ink held out, trial 0\] scmd: the loss `\w+` is no finite number", capfd.readouterr().err
    )
    report.run(plan, results)
    page = (results / "report.md").read_text()
    assert "\n| held out | teacher zero-shot | scmd | scmd_p25 |\n" in page
    assert "1 of 2 trials are done. `scmd students` runs the rest." in page
    assert list((results / "trials/small/ink/scmd").rglob("*.json")) == []
    card = json.loads((results / "trials/small/ink/scmd_p25/hparams-0/trial-0/card.json").read_text())
    assert (card["method"]["name"], card["method"]["hard_fraction"]) == ("scmd", 0.25)
    assert card["metrics"]["method"] == "scmd_p25"
