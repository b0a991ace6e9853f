"""`teacher_logits: adapted` and `select: hard_without_doubt`, from the source domains' labels alone."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

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
        assert (one.adapter.validation == two.adapter.validation) is same
        assert np.array_equal(one.of_samples["agreement"], two.of_samples["agreement"]) is same
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
    assert "the teacher's logits are by" not in ok("student", "--held-out", "ink", "--method", "erm", cwd=adapted)


def test_adapted_logits_of_a_view_are_those_of_its_features(adapted, monkeypatch):
    monkeypatch.chdir(adapted)
    judged, answers = answered()
    cache = reader.open_complete(adapted / "cache/toy/tiny")
    features = cache.column("image_features").astype(np.float64)
    rows, views = judged.rows[:7], np.array([0, 1, 2, 0, 1, 2, 1])
    unit = features[rows, views] / np.linalg.norm(features[rows, views], axis=1, keepdims=True)
    expected = answers.adapter.adapter.logits(unit, rows)
    assert answers.columns["teacher_logits"][rows, views] == pytest.approx(expected, rel=1e-6)


def test_doubtful_labels_are_listed_worst_first_and_written(ready):
    listed = run_scmd("cache", "doubtful", "--below", "1", "-k", "5", "--exclude", "doubt.txt", cwd=ready)
    assert listed.returncode == 0, listed.stderr
    lines = listed.stdout.splitlines()
    shares = [float(line.split()[0]) for line in lines]
    assert shares == sorted(shares)
    assert all("; its neighbours: " in line for line in lines)
    keys = (ready / "doubt.txt").read_text().splitlines()
    assert len(keys) == len(lines) > 0
    assert sorted(line.split()[1] for line in lines) == keys
    assert f"{len(lines)} of 36 labels are those of less than 1 of their 5 nearest" in listed.stderr
    without = run_scmd("cache", "doubtful", "--below", "1", "--held-out", "ink", cwd=ready)
    assert "of 24 labels" in without.stderr
    assert "(ink, " not in without.stdout


def test_a_domain_that_is_not_there_is_named(ready):
    assert "`oil`" in refused("cache", "doubtful", "--held-out", "oil", cwd=ready)
