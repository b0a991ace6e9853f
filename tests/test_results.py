"""Which checkpoint is chosen, and who has a say in it."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.results import Evaluation, is_better, validation

SOURCES = ["a", "b"]


def evaluation(step: int, a_out: float, b_out: float, held: float = 0.0) -> Evaluation:
    accuracies = {"a_out": a_out, "a_in": 0, "b_out": b_out, "b_in": 0, "h_in": held, "h_out": held}
    return Evaluation(step, accuracies, {}, 0.0, 14.3, {}, [])


def chosen(history):
    best = None
    for entry in history:
        if is_better(entry, best, SOURCES):
            best = entry
    return best


def test_validation_is_the_plain_mean_of_the_sources_out_splits():
    assert validation(evaluation(0, 0.5, 1.0), SOURCES) == 0.75


def test_of_equal_ones_the_first_is_chosen():
    assert chosen([evaluation(0, 0.1, 0.1), evaluation(300, 0.6, 0.4), evaluation(600, 0.4, 0.6)]).step == 300


shares = st.floats(0, 1)


@given(st.lists(st.tuples(shares, shares, shares, shares), min_size=1, max_size=8))
def test_the_held_out_domain_has_no_say(rows):
    history = [evaluation(step, a, b, held) for step, (a, b, held, _) in enumerate(rows)]
    otherwise = [evaluation(step, a, b, held) for step, (a, b, _, held) in enumerate(rows)]
    assert chosen(history).step == chosen(otherwise).step
