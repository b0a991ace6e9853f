"""Trials together: by the sum of their logits, over all of the held-out domain."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import InputError
from pipeline.report import ensembles
from pipeline.report.outcome import Group, Outcome
from pipeline.trials import files, predictions
from pipeline.trials.key import TrialKey
from tests.conftest import change, ok

LABELS = np.array([0, 1, 1, 0])
DOMAINS = ["h", "h", "h", "a"]


def trial(folder, number: int, rows) -> Outcome:
    folder.mkdir()
    logits = np.array(rows, np.float64)
    flat = pa.array(
        (logits - np.logaddexp.reduce(logits, 1, keepdims=True)).astype(np.float16).reshape(-1), pa.float16()
    )
    lists = pa.FixedSizeListArray.from_arrays(flat, logits.shape[1])
    table = {"label": LABELS, "domain": DOMAINS, "log_probabilities": lists}
    predictions.write(pa.table(table), folder / files.PREDICTIONS)
    return Outcome(TrialKey("s", "h", "kd", 0, number), folder, {"metrics": {}}, [], {})


def test_the_sum_of_logits_decides_and_other_domains_have_no_part(tmp_path):
    """Of h: the first is sure and right, the second is right by a little, the third is wrong in both."""
    one = trial(tmp_path / "0", 0, [[2, 0], [1, 1], [2, 0], [0, 9]])
    other = trial(tmp_path / "1", 1, [[0, 0.5], [0, 0.2], [0.4, 0], [0, 9]])
    assert ensembles.accuracy(Group("h", "kd", (one, other))) == pytest.approx(2 / 3)
    text = ensembles.section([Group("h", "kd", (one, other)), Group("h", "erm", (one,))])
    assert "| held out | kd |" in text
    assert "| h | 66.7 (of 2) |" in text
    assert ensembles.section([Group("h", "kd", (one,))]) == ""


def test_far_apart_logits_count_in_full(tmp_path):
    """Beyond 2⁻²⁴, the least probability that half precision has: the first is 30 sure of class 1, the other 20 of class 0."""
    one = trial(tmp_path / "0", 0, [[0, 30, 0]] * 4)
    other = trial(tmp_path / "1", 1, [[20, 0, 0]] * 4)
    assert ensembles.accuracy(Group("h", "kd", (one, other))) == pytest.approx(2 / 3)


def test_a_probability_of_nothing_stays_a_number_and_a_damaged_file_is_named(tmp_path):
    one = trial(tmp_path / "0", 0, [[60_000, 0]] * 4)
    labels, logs = predictions.log_probabilities(one.folder / files.PREDICTIONS, "h")
    assert labels.tolist() == [0, 1, 1]
    assert np.isfinite(logs).all()
    (one.folder / files.PREDICTIONS).write_bytes(b"damaged")
    with pytest.raises(InputError, match="not the predictions of a trial"):
        ensembles.accuracy(Group("h", "kd", (one, one)))


def test_the_report_of_two_trials_has_their_ensemble(trained, tmp_path):
    mine = shutil.copytree(trained, tmp_path / "mine")
    change(mine, "experiment.yaml", matrix={"held_out": ["ink"], "method": ["erm"], "trial": [0, 1]})
    assert "## Ensembles" not in ok("report", cwd=mine)
    ok("student", "--held-out", "ink", "--method", "erm", "--trial", "1", cwd=mine)
    told = ok("report", cwd=mine)
    summed = 0
    for number in (0, 1):
        folder = mine / f"results/trials/small/ink/erm/hparams-0/trial-{number}"
        assert json.loads((folder / "card.json").read_text())["trial"]["trial"] == number
        labels, logs = predictions.log_probabilities(folder / files.PREDICTIONS, "ink")
        summed = summed + logs
    assert f"| ink | {100 * np.mean(summed.argmax(1) == labels):.1f} (of 2) |" in told
