"""DomainBed's rules of choice: by hand, and as its own code chose on made-up records.

facebookresearch/DomainBed: model_selection.py at 29b1bf5c, lib/query.py at a0e39955, scripts/collect_results.py at 27e115e6.
"""

import json
from pathlib import Path

import pytest

from pipeline.domainbed.choosing import RULES, accuracies, chosen
from pipeline.domainbed.records import read
from pipeline.errors import InputError

SWEEP = Path(__file__).with_name("sweep")
# Environment → rule → what DomainBed's code reports of `sweep/results.jsonl`.
REPORTED = {
    0: {"training-domain validation": 0.59, "oracle": 0.79, "leave-one-domain-out": 0.79},
    1: {"training-domain validation": 0.71, "oracle": 0.63, "leave-one-domain-out": 0.6},
    2: {"training-domain validation": 0.6, "oracle": 0.82, "leave-one-domain-out": 0.55},
}


@pytest.mark.parametrize("environment", REPORTED)
@pytest.mark.parametrize("rule", RULES)
def test_domainbeds_own_choices(environment, rule):
    """Three environments, three hyperparameter seeds, three steps, one and two held out; one tie of leave-one-out."""
    assert chosen(read(SWEEP), environment, RULES[rule]) == REPORTED[environment][rule]


def line(seed: int, trial: int, step: int, tests: list[int], accuracies: list[tuple[float, float]]) -> str:
    args = {"dataset": "D", "algorithm": "ERM", "test_envs": tests, "hparams_seed": seed, "trial_seed": trial}
    shares = {
        f"env{at}_{split}_acc": value
        for at, pair in enumerate(accuracies)
        for split, value in zip(("in", "out"), pair, strict=True)
    }
    return json.dumps({"args": args, "step": step, **shares}) + "\n"


def sweep_of(folder: Path, *lines: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "results.jsonl").write_text("".join(lines))
    return folder


def test_a_table_worked_out_by_hand(tmp_path):
    """Environment 0 held out. Trial 0: seed 0 is best at step 300 (mean of 0.8 and 0.6), seed 1 at step 0 (0.75), which wins.
    Trial 1: both seeds reach 0.5, and the larger wins."""
    sweep_of(
        tmp_path / "a",
        line(0, 0, 0, [0], [(0.10, 0.9), (0, 0.5), (0, 0.5)]),
        line(0, 0, 300, [0], [(0.20, 0.8), (0, 0.8), (0, 0.6)]),
        line(1, 0, 0, [0], [(0.30, 0.1), (0, 0.7), (0, 0.8)]),
        line(1, 0, 300, [0], [(0.40, 0.2), (0, 0.7), (0, 0.6)]),
    )
    sweep_of(
        tmp_path / "b",
        line(0, 1, 0, [0], [(0.50, 0.5), (0, 0.5), (0, 0.5)]),
        line(1, 1, 0, [0], [(0.60, 0.4), (0, 0.5), (0, 0.5)]),
    )
    records = read(tmp_path)
    assert accuracies(records, RULES["training-domain validation"]) == {"ERM": {0: {0: 0.30, 1: 0.60}}}
    # The last steps: 0.20 valued 0.8 against 0.40 valued 0.2; then 0.50 valued 0.5 against 0.60 valued 0.4.
    assert accuracies(records, RULES["oracle"]) == {"ERM": {0: {0: 0.20, 1: 0.50}}}
    assert accuracies(records, RULES["leave-one-domain-out"]) == {}


def test_the_earliest_of_equal_steps_and_the_largest_of_equal_seeds_win(tmp_path):
    sweep_of(
        tmp_path / "a",
        *(
            line(seed, 0, step, [0], [(seed / 10 + step / 1000, 0.5), (0, 0.5)])
            for seed in (2, 0, 1)
            for step in (0, 10)
        ),
    )
    records = read(tmp_path)
    assert chosen(records, 0, RULES["training-domain validation"]) == 0.2
    assert chosen(records, 0, RULES["oracle"]) == pytest.approx(0.21)


def test_of_several_records_of_the_last_step_the_oracle_takes_the_last(tmp_path):
    """A run that was begun again appends; and the mean of a valley is a second evaluation of its trial's last step."""
    lines = [line(0, 0, step, [0], [(share, 0.5), (0, 0.5)]) for step, share in ((5, 0.1), (5, 0.9), (0, 0.3))]
    assert chosen(read(sweep_of(tmp_path / "a", *lines)), 0, RULES["oracle"]) == 0.9


def test_what_a_split_for_adaptation_measured_is_passed_by(tmp_path):
    """DomainBed writes it with `--uda_holdout_fraction`."""
    text = line(0, 0, 0, [0], [(0.4, 0.5), (0.5, 0.5)]).replace('"step"', '"env0_uda_acc": 0.2, "step"')
    assert chosen(read(sweep_of(tmp_path / "a", text)), 0, RULES["oracle"]) == 0.4


def test_leave_one_out_drops_a_step_that_lacks_a_pair(tmp_path):
    both = [(0.5, 0.5), (0.7, 0.5), (0.9, 0.5)]
    folder = sweep_of(tmp_path / "a", line(0, 0, 0, [0], both), line(0, 0, 0, [0, 1], both))
    assert chosen(read(folder), 0, RULES["leave-one-domain-out"]) is None
    with (folder / "results.jsonl").open("a") as file:
        file.write(line(0, 0, 0, [0, 2], both))
    assert chosen(read(folder), 0, RULES["leave-one-domain-out"]) == 0.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", None),
        ('{"args": {}, "step": 0}\n', "line 1: not a record of DomainBed's"),
        ("half a li", "line 1: not a record"),
        (line(0, 0, 0, [3], [(0.5, 0.5)]), "accuracies of environments 0, 1, … in both splits are wanted"),
        ("[1, 2]\n", "line 1: not a record"),
        (line(0, 0, 0, [1, 1], [(0.5, 0.5), (0.5, 0.5)]), "`test_envs` names an environment twice"),
        (line(0, 0, 0, [0], [(float("nan"), 0.5), (0.5, 0.5)]), "accuracies are shares from 0 to 1"),
        (line(0, 0, 0, [0], [(0.5, 0.5), (0.5, 0.5)]).replace('"step": 0', '"step": Infinity'), "not a record"),
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path, text, said):
    folder = sweep_of(tmp_path / "a", text)
    if said is None:
        assert read(folder) == []
        return
    with pytest.raises(InputError, match=r"results\.jsonl") as refused:
        read(folder)
    assert said in str(refused.value)


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(InputError, match="name the output folder of a DomainBed sweep"):
        read(tmp_path)
