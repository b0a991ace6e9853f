"""Intervals over trials, worked out by hand, and what is bold."""

import math

import pytest

from pipeline.report.accuracies import accuracies
from pipeline.report.headline import headline
from pipeline.report.intervals import ahead_of_all, difference, interval
from pipeline.trials.key import TrialKey


def test_an_interval_is_students():
    # 0.5, 0.6, 0.7: deviation 0.1, t(0.975, 2) = 4.3027, so half is 4.3027 · 0.1 / √3.
    found = interval([0.5, 0.6, 0.7])
    assert found.mean == pytest.approx(0.6)
    assert found.half == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-5)
    assert (found.low, found.high) == pytest.approx((0.351589, 0.848411), abs=1e-5)


def test_one_value_has_no_interval_and_none_has_no_mean():
    assert interval([]) is None
    one = interval([0.4])
    assert (one.mean, one.half, one.low, one.high) == (0.4, None, -math.inf, math.inf)
    assert not one.excludes_zero


def test_a_difference_is_taken_trial_by_trial():
    """Trials that vary together have a narrow difference, and those without a partner have no part."""
    gap = difference({0: 0.5, 1: 0.7, 2: 0.9}, {0: 0.4, 1: 0.61, 2: 0.79, 3: 0.0})
    assert gap.n == 3
    assert gap.mean == pytest.approx(0.1)
    assert gap.excludes_zero
    assert gap.half < 0.03
    assert difference({0: 0.5}, {1: 0.5}) is None


def test_ahead_is_who_beats_every_other_beyond_chance():
    low, high = {0: 0.40, 1: 0.41, 2: 0.42}, {0: 0.50, 1: 0.52, 2: 0.52}
    wild = {0: 0.2, 1: 0.9, 2: 0.4}
    assert ahead_of_all({"erm": low, "scmd": high}) == "scmd"
    assert ahead_of_all({"erm": low, "scmd": high, "kd": wild}) is None
    assert ahead_of_all({"erm": {0: 0.1}, "scmd": {0: 0.9}}) is None
    assert ahead_of_all({"erm": low}) is None
    # Two comparisons at once take a wider interval than one: t(1 − 0.05/4, 2) = 6.2 in the place of 4.3.
    near = {0: 0.42, 1: 0.44, 2: 0.45}
    assert ahead_of_all({"erm": low, "scmd": near}) == "scmd"
    assert ahead_of_all({"erm": low, "kd": low, "scmd": near}) == "scmd"
    wider = {0: 0.42, 1: 0.44, 2: 0.46}
    assert ahead_of_all({"erm": low, "scmd": wider}) == "scmd"
    assert ahead_of_all({"erm": low, "kd": low, "scmd": wider}) is None


def test_the_headline_is_bold_only_where_the_paired_interval_says_so():
    sure = {("a", "erm"): (0.30, 0.31, 0.32), ("a", "scmd"): (0.40, 0.42, 0.42)}
    unsure = {("b", "erm"): (0.30, 0.50, 0.10), ("b", "scmd"): (0.40, 0.20, 0.60)}
    metrics = {
        TrialKey("student", domain, method, 0, number): {"accuracy": value, "teacher_zero_shot": 0.8}
        for (domain, method), values in {**sure, **unsure}.items()
        for number, value in enumerate(values)
    }
    found = headline(accuracies(metrics, ["a", "b"], ["erm", "scmd"]))
    assert found.columns == ["teacher zero-shot", "erm", "scmd"]
    assert list(found.rows) == ["a", "b", "average"]
    assert [cell.bold for cell in found.rows["a"]] == [False, False, True]
    assert not any(cell.bold for name in ("b", "average") for cell in found.rows[name])
    assert found.rows["a"][2].text == "41.3 ± 2.9 (3)"
    assert found.rows["a"][0].text == "80.0 ± 0.0 (3)"


def test_one_held_out_domain_needs_no_average_and_no_trial_is_a_dash():
    metrics = {TrialKey("student", "a", "erm", 0, 0): {"accuracy": 0.5, "teacher_zero_shot": 0.9}}
    found = headline(accuracies(metrics, ["a"], ["erm", "scmd"]))
    assert list(found.rows) == ["a"]
    assert [cell.text for cell in found.rows["a"]] == ["90.0 (1)", "50.0 (1)", "–"]


def test_values_that_are_all_equal_say_nothing_of_chance():
    assert not interval([0.5, 0.5, 0.5]).excludes_zero
    assert ahead_of_all({"erm": {0: 0.25, 1: 0.5}, "scmd": {0: 0.375, 1: 0.625}}) is None
    assert difference({0: 0.3, 1: 0.6, 2: 0.9}, {0: 0.2, 1: 0.5, 2: 0.8}).half == 0  # 0.3 − 0.2 is not 0.9 − 0.8
