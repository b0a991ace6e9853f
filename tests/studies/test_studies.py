"""The statistics of docs/results.md, by hand and by brute force."""

import numpy as np
import pytest

from pipeline.trials.predictions import Answers
from tests.studies import results_page
from tests.studies.collecting import told_apart
from tests.studies.inference import bootstrap, holm, sign_flip


@pytest.mark.parametrize(
    ("differences", "p"),
    [([1.0] * 5, 2 / 32), ([1.0, 1.0, -1.0], 1.0), ([3.0, 1.0], 0.5), ([0.0, 0.0], 1.0), ([-2.0], 1.0)],
)
def test_exact_p_by_hand(differences, p):
    assert sign_flip(np.array(differences)) == p


def test_differences_that_are_equal_but_for_rounding_count_as_equal():
    """0.1 + 0.2 is not 0.3 to a computer: all eight changes of sign that leave the sum's size must count."""
    assert sign_flip(np.array([0.1, 0.2, -0.3])) == 1.0
    assert sign_flip(np.array([0.3, 0.1, 0.2])) == 2 / 8


def test_holms_correction_by_hand():
    assert holm({"a": 0.04, "b": 0.01, "c": 0.03}) == {
        "a": pytest.approx(0.06),
        "b": pytest.approx(0.03),
        "c": pytest.approx(0.06),
    }
    assert holm({"a": 0.9, "b": 0.6}) == {"a": 1.0, "b": 1.0}


def test_a_bootstrap_draws_styles_and_their_trials():
    assert bootstrap(np.full((3, 2), 0.5)) == (0.5, 0.5)
    assert bootstrap(np.array([[0.0] * 9, [1.0] * 9])) == (0.0, 1.0)
    # One style alone: only its trials vary, and a mean of four is all zeros once in sixteen times.
    low, high = bootstrap(np.array([[0.0, 1.0, 0.0, 1.0]]))
    assert (low, high) == (0.0, 1.0)
    steady, wild = np.array([[0.4, 0.4], [0.6, 0.6]]), np.array([[0.3, 0.5], [0.5, 0.7]])
    assert np.ptp(bootstrap(wild)) > np.ptp(bootstrap(steady))


def test_an_interval_that_students_over_styles_does_not_bear_out_is_marked():
    """Means of the styles 1, 2 and 9 points: bootstrap from 1 on; t(0.975, 2) = 4.30 times 2.52 around 4 holds zero."""
    assert results_page.points(np.array([[0.01], [0.02], [0.09]])).endswith("]°")
    assert results_page.points(np.array([[0.03], [0.04], [0.05]])).endswith("]")
    assert results_page.points(np.array([[-0.01], [0.02], [0.05]])).endswith("]")


def test_what_a_trial_learnt_from_by_hand():
    teacher_right = np.array([False, True, True, True, False, True, False, False, False])
    answers = Answers(
        domain=np.array(["a"] * 4 + ["b"] * 4 + ["a"]),
        inside=np.array([True] * 8 + [False]),
        label=np.zeros(9, int),
        answer=np.array([0, 0, 0, 1, 0, 1, 0, 1, 1]),
        confidence=np.ones(9),
        teacher_answer=np.where(teacher_right, 0, 1),
        teacher_confidence=np.ones(9),
        drawn=np.array([2, 2, 2, 2, 0, 0, 0, 0, 0]),
        selected=np.array([2, 0, 0, 1, 0, 0, 0, 0, 0]),
    )
    aligned = np.array([0.1, 0.5, 0.6, 0.7, 0.2, 0.55, 0.5, 0.4, 0.9])
    found = told_apart(answers, "b", aligned)
    assert found["share"] == 0.5
    assert found["where_teacher_errs"] == pytest.approx(2 / 3)
    assert found["fit"] == 0.75
    assert found["teacher_of_drawn"] == 0.75
    assert found["teacher_of_learnt"] == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="nothing to tell apart"):
        told_apart(answers, "b", np.where(answers.domain == "b", 1.0, aligned))


FIELDS = (
    *("accuracy", "validation", "teacher_zero_shot", "share", "ip", "oop", "teacher_ip", "teacher_oop"),
    *("where_teacher_errs", "fit", "teacher_of_drawn", "teacher_of_learnt"),
)


def made_up(student: str, methods, numbers) -> list[dict]:
    """Every share 0.5, images learnt from a quarter."""
    told = {"collapsed": False, "images_drawn": 80, "images_learnt_from": 20, "machine": "one"}
    return [
        {"student": student, "held_out": style, "method": method, "trial": trial, **dict.fromkeys(FIELDS, 0.5), **told}
        for style in ("x", "y")
        for method in methods
        for trial in numbers
    ]


def test_all_tables_stand_on_the_page_and_none_without_a_whole_trial():
    trials = made_up(results_page.STUDENT, results_page.METHODS, range(2))
    lines = results_page.tables([*trials, *made_up(results_page.PRETRAINED, ("erm", "kd"), [0])]).splitlines()
    assert lines[0] == "## Against `kd` and `erm`: 2 held-out styles, 2 trials each"
    for expected in (
        "| `scmd` | 50.0 [50.0, 50.0] | +0.0 [+0.0, +0.0] | 0 of 2 | 1.00 | 1.00 | +0.0 [+0.0, +0.0] | 0 of 2 | 1.00 | 1.00 |",
        "| `rise` | 50.0 [50.0, 50.0] | +0.0 [+0.0, +0.0] | 50.0 [50.0, 50.0] | +0.0 [+0.0, +0.0] | 50.0 [50.0, 50.0] |",
        f"| x | 50.0 ± 0.0 (2) |{' 50.0 ± 0.0 (2) |' * 8}",
        "| `random` | 25.0 % | 50.0 % | 50.0 % | 50.0 % |",
        "| y | 50.0 (1) | 50.0 (1) | 50.0 (1) |",
    ):
        assert expected in lines
    assert not [line for line in lines if "nan" in line]
    # A method that is none of the study's, and a trial that not all have, change no comparison.
    more = [*trials, *made_up(results_page.STUDENT, ("focal",), [0]), *made_up(results_page.STUDENT, ("kd",), [2])]
    assert (
        results_page.tables(more).splitlines()[: len(results_page.METHODS) + 3]
        == lines[: len(results_page.METHODS) + 3]
    )
    with pytest.raises(ValueError, match="no trial number"):
        results_page.tables(made_up(results_page.STUDENT, ("kd",), [0]) + made_up(results_page.STUDENT, ("erm",), [1]))


def test_the_table_of_comparisons_pairs_trials_and_turns_kd_against_erm():
    """Method number n is always n points above the first, whatever the style and trial; a trial that not all have is left out."""
    trials = [
        {"held_out": style, "method": method, "trial": trial, "accuracy": 0.1 * at + 0.05 * trial + 0.01 * rank}
        for at, style in enumerate(("x", "y"))
        for trial in range(3)
        for rank, method in enumerate(results_page.METHODS)
    ]
    trials.append({"held_out": "x", "method": "kd", "trial": 3, "accuracy": 1.0})
    assert results_page.whole(trials) == [0, 1, 2]
    found = results_page.comparisons(trials)
    assert len(found) == 13
    gaps, p, corrected = found["kd_coral", "erm"]
    assert gaps == pytest.approx(np.full((2, 3), 0.07))
    assert p == 2 / 2**6
    assert corrected == pytest.approx(13 * p)
    lines = list(results_page.compared(trials))
    assert lines[2].startswith("| `erm` | 10.0 [2.5, 17.5] | -1.0 [-1.0, -1.0] | 0 of 2 | 0.0312 | 0.41 | – |")
    assert lines[3].startswith("| `kd` | 11.0 [3.5, 18.5] | – | – | – | – | +1.0 [+1.0, +1.0] | 2 of 2 |")
