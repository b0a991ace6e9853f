"""`teacher_logits: adapted` and `select: hard_without_doubt`, from the source domains' labels alone."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from pipeline import training
from pipeline.cache import reader
from pipeline.experiment import places
from pipeline.experiment.places import DEFAULT
from pipeline.samples import table
from pipeline.stage_two import data, materials, teaching
from pipeline.trials.key import TrialKey
from tests.conftest import change, files, ok, refused, run_scmd

TRIAL = ("student", "--held-out", "ink", "--method", "kd")
FOLDER = "results/trials/small/ink/kd/hparams-0/trial-0"
DOUBT = {"kd": {"select": "hard_without_doubt", "hard_fraction": 0.5}}


@pytest.fixture
def adapted(ready):
    change(ready, "students/small.yaml", teacher_logits="adapted")
    change(ready, "experiment.yaml", methods=DOUBT, matrix={"held_out": ["ink"], "method": ["kd"], "trial": [0]})
    return ready


def answered(labels=None):
    """The answers of a trial, with other labels where some are given."""
    plan = places.load(DEFAULT)
    samples = table.read(plan.samples_folder)
    made = materials.gather(plan.experiment.dataset, samples, plan.cache_folder, plan.teacher, 24)
    name, settings = plan.experiment.method("kd")
    one = materials.Assignment(TrialKey("small", "ink", "kd", 0, 0), name, settings, plan.student)
    judged = data.evaluation_set(made, one, None)
    if labels is not None:
        judged.labels[:] = labels(judged)
    sources = ["clay", "neon"]
    return judged, teaching.taught(made, one, data.answers(made, judged, one.needs), judged, sources)


def test_labels_of_the_held_out_domain_change_nothing(adapted, monkeypatch):
    monkeypatch.chdir(adapted)

    def permuted(judged):
        there = judged.domains == judged.names.index("ink")
        labels = judged.labels.copy()
        labels[there] = 1 - labels[there]
        return labels

    def source_permuted(judged):
        labels = permuted(judged)
        labels[np.flatnonzero(judged.split("clay", out=False))[:3]] ^= 1
        return labels

    judged, one = answered()
    everywhere = (np.repeat(judged.rows, 3), np.tile(np.arange(3), len(judged.rows)))
    for labels, same in ((permuted, True), (source_permuted, False)):
        _, two = answered(labels)
        assert (one.adapter.chosen.validation == two.adapter.chosen.validation) is same
        if same:  # so few pictures are all neighbours, whatever they are called
            assert np.array_equal(one.of_samples["agreement"], two.of_samples["agreement"])
        logits = [answers.columns["teacher_logits"][everywhere] for answers in (one, two)]
        assert np.array_equal(*logits) is same


def test_a_trial_tells_and_keeps_its_adapter_and_is_the_same_twice(adapted):
    told = ok(*TRIAL, cwd=adapted)
    assert "the teacher's logits are by " in told
    assert "zero_shot " in told
    card = json.loads((adapted / FOLDER / "card.json").read_text())
    assert card["student"]["teacher_logits"] == "adapted"
    assert {"name", "validation", "accuracy"} <= card["adapter"].keys()
    assert card["adapter"]["validation"].keys() == {"zero_shot", "linear_probe", "tip_adapter"}
    assert 0 <= card["adapter"]["accuracy"] <= 1
    kept = adapted / FOLDER / "adapter.safetensors"
    assert kept.exists() is (card["adapter"]["name"] != "zero_shot")
    if card["adapter"]["name"] == "linear_probe":
        assert load_file(kept)["weights"].shape == (6, 2, 16)
    before = {name: data for name, data in files(adapted / FOLDER).items() if name != "metrics.json"}
    ok(*TRIAL, cwd=adapted)
    assert {name: data for name, data in files(adapted / FOLDER).items() if name != "metrics.json"} == before
    ok("report", cwd=adapted)


def test_one_whose_adapter_is_gone_runs_again_and_zero_shot_is_another_trial(adapted):
    ok("students", cwd=adapted)
    assert "1 of 1 trials are current" in ok("students", cwd=adapted)
    kept = adapted / FOLDER / "adapter.safetensors"
    assert kept.exists()
    kept.unlink()
    assert "0 of 1 trials are current" in ok("students", cwd=adapted)
    assert kept.exists()
    change(adapted, "students/small.yaml", teacher_logits="zero_shot")
    assert "0 of 1 trials are current" in ok("students", cwd=adapted)
    assert not kept.exists()


def test_a_method_that_reads_no_logits_fits_nothing(adapted):
    change(
        adapted, "experiment.yaml", methods={"erm": {}}, matrix={"held_out": ["ink"], "method": ["erm"], "trial": [0]}
    )
    assert "the teacher's logits are by" not in ok("students", cwd=adapted)
    # And so it is the same trial without.
    change(adapted, "students/small.yaml", teacher_logits="zero_shot")
    assert "1 of 1 trials are current" in ok("students", cwd=adapted)


def test_a_finished_trial_is_kept_though_the_cache_is_gone_by_then(adapted, monkeypatch):
    monkeypatch.chdir(adapted)
    train = training.train

    def and_then_the_cache_is_gone(*arguments):
        answered = train(*arguments)
        (adapted / "cache/toy/tiny").rename(adapted / "elsewhere")
        return answered

    monkeypatch.setattr(training, "train", and_then_the_cache_is_gone)
    ok(*TRIAL, cwd=adapted)
    assert json.loads((adapted / FOLDER / "card.json").read_text())["adapter"]["accuracy"] >= 0


def test_adapted_logits_of_a_view_are_those_of_its_features(adapted, monkeypatch):
    monkeypatch.chdir(adapted)
    judged, answers = answered()
    cache = reader.open_complete(adapted / "cache/toy/tiny")
    features = cache.column("image_features").astype(np.float64)
    rows, views = judged.rows[:7], np.array([0, 1, 2, 0, 1, 2, 1])
    unit = features[rows, views] / np.linalg.norm(features[rows, views], axis=1, keepdims=True)
    expected = answers.adapter.chosen.adapter.logits(unit, rows)
    assert answers.columns["teacher_logits"][rows, views] == pytest.approx(expected, rel=1e-6)


def test_doubtful_labels_are_listed_worst_first_and_written(ready):
    listed = run_scmd("cache", "doubtful", "--below", "1", "-k", "5", "--exclude", "doubt.txt", cwd=ready)
    assert listed.returncode == 0, listed.stderr
    lines = listed.stdout.splitlines()
    shares = [float(line.split()[0]) for line in lines]
    assert shares == sorted(shares)
    assert all("; its neighbours: " in line for line in lines)
    keys = (ready / "doubt.txt").read_text().splitlines()
    assert sorted(line.split()[1] for line in lines) == keys != []
    # What the experiment holds out has no part in it.
    assert f"{len(lines)} of 24 labels are those of less than 1 of their nearest (up to 5)" in listed.stderr
    assert "(ink, " not in listed.stdout


def test_no_list_chooses_what_students_are_judged_by(ready):
    doubtful = ("cache", "doubtful", "--below", "1", "--exclude", "doubt.txt")
    told = refused(*doubtful, "--held-out", "clay", cwd=ready)
    assert "of domains that the experiment holds out" in told
    change(ready, "experiment.yaml", matrix={"held_out": ["clay", "ink", "neon"], "method": ["erm"], "trial": [0]})
    assert "would flatter every student; nothing is written" in refused(*doubtful, cwd=ready)
    assert "of 36 labels" in run_scmd("cache", "doubtful", cwd=ready).stderr
    assert not (ready / "doubt.txt").exists()


def test_a_domain_that_is_not_there_is_named(ready):
    assert "`oil`" in refused("cache", "doubtful", "--held-out", "oil", cwd=ready)
