"""The table: what it averages, and what it says of gaps."""

import math

import pytest

from pipeline.report import table
from pipeline.report.accuracies import accuracies, collapsed
from pipeline.report.headline import headline
from pipeline.trials.files import OUTDATED
from pipeline.trials.key import TrialKey


def tabulated(trials: dict[tuple, float], held_out: list, methods: list):
    metrics = {
        TrialKey("student", domain, method, 0, number): {"accuracy": accuracy, "teacher_zero_shot": 0.9}
        for (domain, method, number), accuracy in trials.items()
    }
    return table.tabulate(accuracies(metrics, held_out, methods))


def test_a_cell_is_mean_and_domainbeds_standard_error():
    one = table.cell([0.5, 0.7])
    assert one.mean == pytest.approx(0.6)
    assert one.error == pytest.approx(0.1 / math.sqrt(2))
    assert str(one) == "60.0 ± 7.1 (2)"
    assert str(table.cell([0.5])) == "50.0 (1)"
    assert table.cell([]) is None


def test_the_average_is_taken_trial_by_trial_over_whole_trials():
    trials = {("a", "erm", 0): 0.2, ("b", "erm", 0): 0.4, ("a", "erm", 1): 0.9}
    cells = tabulated(trials, ["a", "b"], ["erm", "scmd"])
    assert cells["a"]["erm"].trials == 2
    assert cells["average"]["erm"].mean == pytest.approx(0.3)
    assert cells["average"]["erm"].trials == 1
    assert cells["average"]["scmd"] is None
    assert cells["a"]["teacher zero-shot"].mean == pytest.approx(0.9)


def test_a_gap_is_named_with_what_is_left_out_and_the_command_that_fills_it():
    assert table.gap_lines(2, 2, 0, "scmd students") == []
    lines = table.gap_lines(1, 6, 3, "scmd students --experiment configs/x.yaml")
    left_out = f"3 more are damaged, or {OUTDATED}, and are left out."
    assert lines == [
        "",
        f"1 of 6 trials are done. {left_out} `scmd students --experiment configs/x.yaml` runs the rest.",
    ]
    assert table.gap_lines(1, 2, 0, "scmd students")[1] == "1 of 2 trials are done. `scmd students` runs the rest."


def test_the_page_is_a_markdown_table():
    cells = tabulated({("a", "erm", 0): 0.25}, ["a"], ["erm", "kd"])
    about, _, verdict, _, *lines = table.page("Data set `a`.", "It shows this.", [], cells, 0.8, []).splitlines()
    assert about == "Data set `a`."
    assert verdict == "It shows this."
    assert lines[0] == "| held out | teacher zero-shot | erm | kd |"
    assert lines[2] == "| a | 90.0 (1) | 25.0 (1) | – |"
    assert not lines[3]
    assert lines[4].startswith("Accuracy in % on the held-out domain's in split (80 %),")
    both = tabulated({("a", "erm", 0): 0.25, ("b", "erm", 0): 0.75}, ["a", "b"], ["erm", "kd"])
    lines = table.page("Data set `a`.", "It shows this.", [], both, 0.85, []).splitlines()
    assert "| average | 90.0 (1) | 50.0 (1) | – |" in lines
    assert any("in split (85 %)," in line for line in lines)


def test_the_metrics_are_the_tables_in_per_cent():
    cells = tabulated({("a", "erm", 0): 0.25004, ("a", "erm", 1): 0.5}, ["a"], ["erm", "kd"])
    assert table.plain(cells)["a"] == {"teacher zero-shot": 90.0, "erm": 37.5}


def test_a_cell_of_which_a_trial_collapsed_is_marked_in_every_table():
    metrics = {
        TrialKey("s", "a", method, 0, 0): {"accuracy": 0.5, "teacher_zero_shot": 0.9, "collapsed": fell}
        for method, fell in (("kd", False), ("scmd", True))
    }
    del metrics[TrialKey("s", "a", "kd", 0, 0)]["collapsed"]  # a trial from before it was watched for
    found, marked = accuracies(metrics, ["a"], ["kd", "scmd"]), collapsed(metrics)
    cells = table.tabulate(found, marked)
    assert {name: str(cell) for name, cell in cells["a"].items()} == {
        "teacher zero-shot": "90.0 (1)",
        "kd": "50.0 (1)",
        "scmd": "50.0 (1) †",
    }
    assert str(cells["average"]["scmd"]) == "50.0 (1) †"
    assert [cell.text for cell in headline(found, marked).rows["a"]] == ["90.0 (1)", "50.0 (1)", "50.0 (1) †"]
