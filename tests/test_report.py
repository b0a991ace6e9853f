"""The table: what it averages, and what it says of gaps."""

import math
from pathlib import Path

import pytest

from pipeline import report


def trial(held_out, method, number, accuracy, zero_shot=0.9):
    return {
        "held_out": held_out,
        "method": method,
        "trial": number,
        "accuracy": accuracy,
        "teacher_zero_shot": zero_shot,
    }


def test_a_cell_is_mean_and_domainbeds_standard_error():
    cell = report.cell([0.5, 0.7])
    assert cell.mean == pytest.approx(0.6)
    assert cell.error == pytest.approx(0.1 / math.sqrt(2))
    assert str(cell) == "60.0 ± 7.1 (2)"
    assert str(report.cell([0.5])) == "50.0 (1)"
    assert report.cell([]) is None


def test_the_average_is_taken_trial_by_trial_over_whole_trials():
    trials = [trial("a", "erm", 0, 0.2), trial("b", "erm", 0, 0.4), trial("a", "erm", 1, 0.9)]
    table = report.tabulate(trials, ["a", "b"], ["erm", "scmd"])
    assert table["a"]["erm"].trials == 2
    assert table["average"]["erm"].mean == pytest.approx(0.3)
    assert table["average"]["erm"].trials == 1
    assert table["average"]["scmd"] is None
    assert table["a"]["teacher zero-shot"].mean == pytest.approx(0.9)


def test_a_gap_is_named_with_the_command_that_fills_it():
    wanted = [("a", "erm", 0), ("a", "scmd", 0)]
    lines = report.missing_lines([trial("a", "erm", 0, 0.5)], wanted, Path("configs/x.yaml"), Path("results/y"))
    command = "`scmd student --experiment configs/x.yaml --held-out a --method scmd --trial 0 --results results/y`"
    assert lines == ["", f"1 of 2 trials are done; the first that is missing: {command}"]
    assert report.missing_lines([trial("a", "erm", 0, 0.5)], wanted[:1], Path("x"), Path("y")) == []


def test_the_page_is_a_markdown_table():
    table = report.tabulate([trial("a", "erm", 0, 0.25)], ["a"], ["erm", "kd"])
    lines = report.page(table, []).splitlines()
    assert lines[0] == "| held out | teacher zero-shot | erm | kd |"
    assert lines[2] == "| a | 90.0 (1) | 25.0 (1) | – |"
    assert lines[3] == "| average | 90.0 (1) | 25.0 (1) | – |"
