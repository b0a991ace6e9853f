"""The sentence of the page: win, tie, loss, one trial, nothing to compare with."""

from pipeline.report.verdict import sentence

TEACHER = {0: 0.9, 1: 0.9, 2: 0.9}
BASE = {0: 0.50, 1: 0.52, 2: 0.54}
DOMAINS = ("solid", "pixel")


def moved(by, noise=(0.0, 0.01, -0.01)):
    return {number: value + by + noise[number] for number, value in BASE.items()}


def test_a_win():
    told = sentence({"erm": moved(-0.2), "kd": BASE, "scmd": moved(0.1)}, TEACHER, DOMAINS)
    assert told == (
        "Over 3 trials `scmd` is 10.0 points above `kd`, the best of the others, on the average of 2 held-out domains; the 95 % "
        "interval of the difference (for 2 comparisons at once), between +6.4 and +13.6, excludes zero: with this data set, "
        "teacher and student `scmd` is better than `kd`, which says nothing of others."
    )


def test_the_best_of_many_rivals_takes_a_wider_interval_than_one_named_beforehand():
    """t(0.975, 2) = 4.30 of one rival; of five, whose best is seen from the same trials, t(1 − 0.05/10, 2) = 9.92."""
    subject = moved(0.04)
    others = {name: moved(-by, (0.0, 0.0, 0.0)) for name, by in zip("abcd", (0.1, 0.2, 0.3, 0.4), strict=True)}
    assert "between +1.5 and +6.5, excludes zero" in sentence({"kd": BASE, "scmd": subject}, {}, DOMAINS)
    told = sentence({"kd": BASE, **others, "scmd": subject}, {}, DOMAINS)
    assert "(for 5 comparisons at once), between -1.7 and +9.7, includes zero" in told


def test_rivals_are_ranked_on_the_trials_that_they_share():
    """`erm` ran on the easy trial alone, which makes it no best: `kd` is ahead of it there, too."""
    hard = {0: 0.9, 1: 0.3, 2: 0.3}
    told = sentence({"erm": {0: 0.8}, "kd": hard, "scmd": hard}, {}, DOMAINS)
    assert told.startswith("Over 3 trials `scmd` is level with `kd` on")
    assert told.endswith("(`erm`: left out, with fewer trials in common.)")
    told = sentence({"a": {0: 0.8}, "b": {1: 0.3}, "scmd": hard}, {}, DOMAINS)
    assert told.startswith("In one trial `scmd` is 10.0 points above `a` on")
    assert told.endswith("(`b`: left out, with fewer trials in common.)")
    # On the one number that both have, `b` is ahead of `a`; the others would say otherwise.
    told = sentence({"a": {0: 0.8, 1: 0.3}, "b": {1: 0.4, 2: 0.1}, "scmd": hard}, {}, DOMAINS)
    assert told.startswith("In one trial `scmd` is 10.0 points below `b`, the best of the others, on")


def test_a_small_difference_that_is_a_finding_is_not_called_level():
    gaps = {0: 0.5003, 1: 0.5204, 2: 0.5404}
    told = sentence({"kd": BASE, "scmd": gaps}, {}, DOMAINS)
    assert told.startswith("Over 3 trials `scmd` is 0.0 points above `kd` on")
    assert "excludes zero" in told


def test_equal_differences_are_no_finding():
    told = sentence({"kd": BASE, "scmd": moved(0.1, (0.0, 0.0, 0.0))}, {}, ("solid",))
    assert told == (
        "Over 3 trials `scmd` is 10.0 points above `kd` on `solid`; all 3 differences are the same, so that nothing says how "
        "much chance is in them; run more trial numbers (`matrix.trial`)."
    )


def test_a_loss():
    told = sentence({"kd": BASE, "scmd": moved(-0.1)}, TEACHER, ("solid",))
    assert told.startswith("Over 3 trials `scmd` is 10.0 points below `kd` on `solid`; the 95 % interval")
    assert "between -12.5 and -7.5, excludes zero" in told
    assert "`kd` is better than `scmd`" in told


def test_a_tie():
    told = sentence({"kd": BASE, "scmd": moved(0.005)}, TEACHER, DOMAINS)
    assert told == (
        "Over 3 trials `scmd` is 0.5 points above `kd` on the average of 2 held-out domains, but the 95 % interval of the "
        "difference, between -2.0 and +3.0, includes zero: these trials do not show which is better."
    )


def test_one_trial():
    told = sentence({"kd": {0: 0.5}, "scmd": {0: 0.6}}, TEACHER, DOMAINS)
    assert told == (
        "In one trial `scmd` is 10.0 points above `kd` on the average of 2 held-out domains; one trial cannot tell that from "
        "chance: more trial numbers (`matrix.trial`) can."
    )


def test_nothing_to_compare_with():
    told = sentence({"scmd": {0: 0.6}}, {0: 0.9}, ("solid",))
    assert told == (
        "`scmd` reaches 60.0 % on `solid`, beside 90.0 % of the teacher; there is no other method to compare it with."
    )
    assert "no other method" in sentence({"erm": {1: 0.4}, "scmd": {0: 0.6}}, {}, ("solid",))
    assert sentence({"erm": {0: 0.1}, "scmd": {}}, TEACHER, DOMAINS) == (
        "No trial of `scmd` is complete on the average of 2 held-out domains, so that these numbers say nothing of it."
    )
