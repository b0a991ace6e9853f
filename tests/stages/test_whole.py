"""`scmd run`: every stage in turn, and what a second run keeps."""

from tests.conftest import change, ok, refused

EXPERIMENT = ("run", "--results", "results/mine", "--page", "docs/mine.md", "--jobs", "2", "--workers", "0")


def test_it_runs_everything_once_and_then_only_what_is_new(project):
    assert "0 of 2 trials are done" in ok(*EXPERIMENT, cwd=project)
    report = (project / "results/mine/report.md").read_text()
    assert report.startswith("| held out | teacher zero-shot | erm | scmd |\n")
    assert "(1)" in report
    weights = project / "results/mine/trials/ink/erm/0/student.safetensors"
    page = (project / "docs/mine.md").read_text()
    assert report.rstrip() in page
    assert page.count("- 2 trials in 0 minutes, 2 at a time, on ") == 1
    before = weights.stat().st_mtime_ns
    change(project, "experiment.yaml", methods={"erm": {}, "scmd": {"hard_fraction": 0.4}})
    output = ok(*EXPERIMENT, cwd=project)
    assert "1 of 2 trials are done" in output
    assert "rendering pixels" not in output
    page = (project / "docs/mine.md").read_text()
    assert "- 2 trials (1 of them are in the table) in" in page
    assert "- 1 trials in" in page
    assert weights.stat().st_mtime_ns == before
    # What a trial was trained from is more than its own settings: other pictures are another result.
    change(project, "experiment.yaml", pixels={"size": 16, "max_gb": 1.0})
    assert "0 of 2 trials are done" in ok(*EXPERIMENT, cwd=project)
    (project / "images/ink/disc/5.png").rename(project / "images/ink/square/9.png")
    assert "0 of 2 trials are done" in ok(*EXPERIMENT, cwd=project)


def test_a_held_out_domain_that_is_not_there_stops_before_any_trial(ready):
    change(ready, "experiment.yaml", matrix={"held_out": ["ink", "oil"], "method": ["erm"], "trial": [0]})
    assert "held-out domain `oil` is not in the data set" in refused(*EXPERIMENT, cwd=ready)
    assert not (ready / "results").exists()
