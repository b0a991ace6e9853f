"""DomainBed's splits to the sample, and splits that adding images does not move."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.samples.splits import domainbed_out, is_out, seed_hash, stable_out
from pipeline.samples.table import Sample, Samples


def test_seed_hash_gives_domainbeds_numbers():
    assert [seed_hash(0, env) for env in range(4)] == [894182419, 1514274641, 1325548499, 1796103049]
    assert seed_hash(1, 0) == 785910682
    assert seed_hash("PACS", "SCMD", [0], 0, 0) == 1828421216


def test_ten_items_of_trial_0_and_environment_0_split_as_in_domainbed():
    # The shuffled order is 2 3 8 1 4 5 0 9 6 7.
    assert domainbed_out(10, 0, 0, 0.2) == {2, 3}
    assert domainbed_out(10, 0, 0, 0.5) == {2, 3, 8, 1, 4}


def sample(number: int, domain: str) -> Sample:
    return Sample(f"{number:064x}", f"{number}.png", domain, "a", 0, number, 8, 8)


def test_the_split_counts_over_all_files_found_not_over_those_kept():
    rows = tuple(sample(position, "one") for position in (0, 2, 4, 5))
    samples = Samples(rows, ("one", "two"), ("a", "b"), {"one": 10, "two": 0}, True, True)
    assert is_out(samples, 0, "domainbed", 0.2).tolist() == [False, True, False, False]


def test_environments_are_numbered_by_their_names_whatever_the_order_of_a_configuration():
    rows = tuple(sample(position, domain) for domain in ("one", "two") for position in range(10))
    split = {
        order: is_out(
            Samples(rows, order, ("a", "b"), {"one": 10, "two": 10}, True, True), 0, "domainbed", 0.2
        ).tolist()
        for order in (("one", "two"), ("two", "one"))
    }
    assert split["one", "two"] == split["two", "one"]
    assert split["two", "one"][:10] == [position in {2, 3} for position in range(10)]


@given(st.sets(st.integers(0, 10**6), min_size=2), st.integers(0, 10**6), st.integers(0, 5))
def test_a_new_image_moves_no_other_in_a_stable_split(numbers, new, trial):
    def split(some):
        rows = tuple(sample(number, "one") for number in sorted(some))
        samples = Samples(rows, ("one",), ("a",), {"one": len(rows)}, True, True)
        return dict(zip((row.id for row in rows), is_out(samples, trial, "stable", 0.2).tolist(), strict=True))

    before, after = split(numbers), split(numbers | {new})
    assert all(after[key] == value for key, value in before.items())


def test_a_stable_split_sets_aside_about_the_fraction():
    share = np.mean([stable_out(f"{number:064x}", 0, 0.2) for number in range(5000)])
    assert abs(share - 0.2) < 0.02
