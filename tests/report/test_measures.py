"""Confusions, calibration and the choice of samples, by hand."""

import numpy as np
import pytest

from pipeline.report import tidy
from pipeline.report.measures import Reliability, confusion, largest_confusions, most_selected, surest

LABELS = np.array([0, 0, 0, 1, 1, 2])
ANSWERS = np.array([0, 1, 1, 1, 2, 0])


def test_a_confusion_matrix_has_a_row_a_label():
    assert confusion(LABELS, ANSWERS, 3).tolist() == [[1, 2, 0], [0, 1, 1], [1, 0, 0]]
    assert confusion(LABELS[:0], ANSWERS[:0], 2).tolist() == [[0, 0], [0, 0]]


def test_the_largest_confusions_are_off_the_diagonal():
    matrix = confusion(LABELS, ANSWERS, 3)
    assert largest_confusions(matrix, 2) == [(0, 1, 2), (1, 2, 1)]
    assert largest_confusions(matrix, 9) == [(0, 1, 2), (1, 2, 1), (2, 0, 1)]
    assert largest_confusions(np.diag([3, 4]), 9) == []
    assert matrix[0, 0] == 1


def test_ece_is_the_mean_gap_between_confidence_and_accuracy():
    confidence = np.array([0.95, 0.95, 0.5, 1.0, 0.0])
    right = np.array([True, False, True, True, False])
    found = Reliability.of(confidence, right)
    # Bins of a fifteenth: 0.95 twice and 1.0 (accuracy 2/3, confidence 2.9/3), 0.5 (1, 0.5), 0 (0, 0).
    assert found.counts.tolist() == [1, *[0] * 6, 1, *[0] * 6, 3]
    assert found.ece == pytest.approx((abs(2 - 2.9) + abs(1 - 0.5) + 0) / 5)
    confidence, accuracy = found.filled
    assert confidence == pytest.approx([0, 0.5, 2.9 / 3])
    assert accuracy == pytest.approx([0, 1, 2 / 3])


def test_curves_of_several_trials_add_up():
    random = np.random.default_rng(0)
    confidence, right = random.random(100), random.random(100) < 0.5
    parts = Reliability.of(confidence[:30], right[:30]) + Reliability.of(confidence[30:], right[30:])
    assert parts.ece == pytest.approx(Reliability.of(confidence, right).ece)


def test_samples_are_chosen_by_rank_and_ties_by_row():
    assert most_selected(np.array([2, 0, 5, 2]), 3).tolist() == [2, 0, 3]
    assert most_selected(np.array([0, 1, 0]), 3).tolist() == [1]
    confidence = np.array([0.9, 0.8, 0.99, 0.9])
    assert surest(confidence, np.array([True, True, False, True]), 2).tolist() == [0, 3]
    assert surest(confidence, np.zeros(4, bool), 2).tolist() == []


def test_of_many_classes_a_plot_is_given_the_fullest_cells_alone():
    matrix = np.zeros((60, 60), int)
    matrix[np.arange(60), np.arange(60)] = 5
    matrix[3, 4] = 9
    matrix[7] += 1
    assert tidy._largest(matrix) == [(at, to) for at in range(60) for to in range(60) if matrix[at, to]]
    full = np.random.default_rng(0).permutation(3600).reshape(60, 60)
    kept = tidy._largest(full)
    assert kept == sorted(kept)
    assert {int(full[place]) for place in kept} == set(range(1600, 3600))
