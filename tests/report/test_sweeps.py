"""A DomainBed sweep beside an experiment's own trials, and hyperparameter seeds of these, by the real commands."""

import json
import shutil

import pytest

from pipeline.domainbed.choosing import RULES
from pipeline.domainbed.records import Record
from pipeline.experiment import checks
from pipeline.report.outcome import Outcome, best_by_validation
from pipeline.report.sweeps import columns, own_records
from pipeline.trials.key import TrialKey
from tests.conftest import change, ok, refused, run_scmd


@pytest.fixture
def mine(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "mine")


def record(seed: int, step: int, shares: list[float], dataset="Toy", tests=(1,)) -> str:
    """Environments clay, ink, neon; `shares` are in and out of each."""
    args = {"dataset": dataset, "algorithm": "CORAL", "test_envs": list(tests), "hparams_seed": seed, "trial_seed": 0}
    names = [f"env{at}_{split}_acc" for at in range(len(shares) // 2) for split in ("in", "out")]
    return json.dumps({"args": args, "step": step, **dict(zip(names, shares, strict=True))}) + "\n"


SWEEP = record(0, 0, [0.9, 0.6, 0.31, 0.1, 0.9, 0.6]) + record(1, 0, [0.9, 0.8, 0.47, 0.2, 0.9, 0.6])


def write_sweep(folder, text: str):
    (folder / "sweep/a").mkdir(parents=True)
    (folder / "sweep/a/results.jsonl").write_text(text)


def test_a_users_sweep_stands_in_the_same_table(mine):
    write_sweep(mine, SWEEP)
    told = ok("report", "--domainbed", "sweep", cwd=mine)
    table = [line for line in told.splitlines() if line.startswith("| ")]
    assert table[0] == "| held out | teacher zero-shot | erm | scmd | CORAL (DomainBed) |"
    assert table[1].endswith("| 47.0 (1) |")  # seed 1, of the higher mean on clay's and neon's out splits
    assert json.loads((mine / "results/report.json").read_text())["ink"]["CORAL (DomainBed)"] == 47.0
    assert "CORAL (DomainBed)" in (mine / "results/report.html").read_text()
    after = told[told.index("## By DomainBed's other rules of choice") :]
    assert "### oracle" in after
    assert "47.0 (1)" in after
    assert after.index("### leave-one-domain-out") < after.index("No record follows it.")


def test_every_table_marks_a_collapsed_cell_and_a_strange_name_breaks_none(mine):
    write_sweep(mine, SWEEP.replace('"CORAL"', json.dumps("A|B\n<b>")))
    change(mine, "students/small.yaml", evaluate="all")
    ok("students", "--jobs", "1", cwd=mine)
    path = mine / "results/trials/small/ink/erm/hparams-0/trial-0/card.json"
    card = json.loads(path.read_text())
    path.write_text(json.dumps({**card, "metrics": {**card["metrics"], "collapsed": True}}))
    told = ok("report", "--domainbed", "sweep", cwd=mine)
    assert "| A B <b> (DomainBed) |" in told
    rows = [line for line in told.splitlines() if line.startswith("| ink |")]
    assert len(rows) == 3
    assert all(row.count("†") == 1 for row in rows)
    assert told[told.index("## By DomainBed's other") :].count("| average |") == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (record(0, 0, [0.5] * 6, dataset="PACS"), "sweep: no record of data set `toy`; those there are of PACS"),
        (record(0, 0, [0.5] * 8), "its `Toy` has 4 environments, and `toy` has 3 domains (clay, ink, neon)"),
        ("{}\n", "sweep/a/results.jsonl, line 1: not a record of DomainBed's"),
    ],
)
def test_a_sweep_of_something_else_is_refused_in_one_sentence(mine, text, said):
    write_sweep(mine, text)
    assert said in refused("report", "--domainbed", "sweep", cwd=mine)


def test_hyperparameter_seeds_are_trials_of_their_own_and_validation_chooses(mine):
    """From one file: seed 0 is there, seed 1 is trained; the table shows the better by validation."""
    matrix = {"held_out": ["ink"], "method": ["erm"], "trial": [0], "hparams": [0, 1]}
    change(mine, "experiment.yaml", matrix=matrix)
    assert "1 of 2 trials are done" in ok("report", cwd=mine)
    told = ok("students", "--jobs", "1", cwd=mine)
    assert "1 of 2 trials are current" in told
    folders = {seed: mine / f"results/trials/small/ink/erm/hparams-{seed}/trial-0" for seed in (0, 1)}
    cards = {seed: json.loads((folder / "card.json").read_text()) for seed, folder in folders.items()}
    assert cards[1]["student"]["batch"] == 39
    assert cards[1]["student"]["optimiser"]["lr"] == pytest.approx(2.70289307421e-05)
    best = max(cards.values(), key=lambda card: (card["metrics"]["validation"], card["metrics"]["hparams_seed"]))
    ok("report", cwd=mine)
    shown = json.loads((mine / "results/report.json").read_text())["ink"]["erm"]
    assert shown == pytest.approx(100 * best["metrics"]["accuracy"], abs=0.006)


def test_a_drawn_batch_that_is_too_large_is_refused_before_any_trial_and_names_its_seed(mine, monkeypatch):
    change(mine, "experiment.yaml", matrix={"held_out": ["ink"], "method": ["erm"], "trial": [0], "hparams": [0, 1]})
    monkeypatch.setattr(checks, "MOST_TIMES", 3)  # 12 images of a domain, and seed 1 draws a batch of 39
    assert "`batch: 39`, which hyperparameter seed 1 draws," in refused("students", cwd=mine)
    assert not (mine / "results/trials/small/ink/erm/hparams-1").exists()


def test_a_seed_that_draws_too_small_a_batch_for_selection_is_named_before_any_trial(mine):
    matrix = {"held_out": ["ink"], "method": ["erm"], "trial": [0], "hparams": [0, 4]}
    change(mine, "experiment.yaml", matrix=matrix, methods={"erm": {"hard_fraction": 0.05}})
    change(mine, "students/small.yaml", batch=20)
    told = refused("students", "--plan", cwd=mine)
    assert "keeps one image of 36 in a batch that hyperparameter seed 4 draws; leave that seed out" in told


def outcome(seed: int, validation: float, trial: int = 0, history=()) -> Outcome:
    key = TrialKey("s", "b", "kd", seed, trial)
    return Outcome(key, None, {"metrics": {"validation": validation, "accuracy": seed / 10}}, list(history), {})


def test_the_largest_of_equal_seeds_is_shown_trial_by_trial():
    trials = [outcome(0, 0.5), outcome(2, 0.7), outcome(1, 0.7), outcome(0, 0.9, trial=1), outcome(1, 0.8, trial=1)]
    assert [(one.key.trial, one.key.hparams_seed) for one in best_by_validation(trials)] == [(0, 2), (1, 0)]


def test_own_evaluations_of_every_split_follow_the_same_rules():
    whole = {"a_in": 0.9, "a_out": 0.8, "b_in": 0.4, "b_out": 0.3}
    history = [{"step": 0, **whole, "b_in": 0.1}, {"step": 5, **whole}]
    partly = outcome(1, 0.9, history=[*history, {"step": 9, "a_out": 0.99}])  # its last step is not known
    found = own_records([outcome(0, 0.8, history=history), partly], "d", ["a", "b"])
    assert [one.step for one in found] == [0, 5]
    assert isinstance(found[0], Record)
    assert columns(found, ["a", "b"], RULES["oracle"]) == {"kd": {"b": {0: 0.4}}}


def test_environments_are_numbered_by_name_whatever_the_order_of_a_configuration():
    whole = {"a_in": 0.9, "a_out": 0.8, "b_in": 0.4, "b_out": 0.3}
    (found,) = own_records([outcome(0, 0.8, history=[{"step": 0, **whole}])], "d", ["b", "a"])
    assert found.test_envs == (1,)
    assert found.accuracies["env0_in_acc"] == 0.9
    assert columns([found], ["b", "a"], RULES["oracle"]) == {"kd": {"b": {0: 0.4}}}


def test_a_sweep_of_which_no_run_can_stand_in_the_table_is_told(mine):
    write_sweep(mine, record(0, 0, [0.5] * 6, tests=(0, 1)) + record(0, 0, [0.5] * 6, tests=(2,)))
    told = run_scmd("report", "--domainbed", "sweep", cwd=mine).stderr
    assert "sweep: no run of it holds out ink alone, so that none stands in the table" in told
