"""When it selects, and what it keeps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.selector import hardest, is_selecting, kept


@pytest.mark.parametrize(
    ("step", "steps", "k", "expected"),
    [
        (0, 5001, 0.25, True),
        (3750, 5001, 0.25, True),  # the official int(5000 · 0.75)
        (3751, 5001, 0.25, False),
        (5000, 5001, 0.25, False),
        (11250, 15001, 0.25, True),  # with DomainNet's steps, not the code's literal 5000
        (11251, 15001, 0.25, False),
        (0, 100, 1.0, True),  # ⌊0⌋ = 0: one step still selects
        (1, 100, 1.0, False),
        (99, 100, 0.0, True),
    ],
)
def test_the_schedule_at_its_edges(step, steps, k, expected):
    assert is_selecting(step, steps, k) is expected


def test_the_papers_batches_keep_19_and_32():
    assert kept(96, 0.2) == 19
    assert kept(160, 0.2) == 32


def test_at_least_one_sample_is_kept():
    assert kept(3, 0.1) == 1


losses = st.lists(st.floats(0, 100, width=32), min_size=1, max_size=60)


@given(losses, st.floats(0.01, 1))
def test_it_keeps_what_sorting_by_hand_keeps(values, fraction):
    chosen = hardest(torch.tensor(values), fraction).tolist()
    by_hand = sorted(range(len(values)), key=lambda at: (-np.float32(values[at]), at))[
        : max(1, int(fraction * len(values)))
    ]
    assert chosen == by_hand
