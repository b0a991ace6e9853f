"""Accuracy apart for what the teacher knows and does not: by hand and by brute force, and in a report."""

import shutil
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cache import reader
from pipeline.queries.alignment import alignments
from pipeline.report.apart import section, shares, threshold
from pipeline.report.outcome import Group
from pipeline.samples import table
from pipeline.trials.predictions import Named
from tests.conftest import run_scmd


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=30))
def test_the_threshold_is_the_smallest_that_tells_best(drawn):
    aligned, right = (np.array(one) for one in zip(*drawn, strict=True))

    def told(limit):
        above = np.mean(aligned[right] >= limit) if right.any() else 0.0
        below = np.mean(aligned[~right] < limit) if not right.all() else 0.0
        return round(above + below, 12)

    found = threshold(aligned.astype(float), right)
    assert found == min(limit for limit in set(aligned.tolist()) if told(limit) == max(map(told, aligned.tolist())))


DOMAIN = np.array(["a"] * 4 + ["b"] * 4 + ["a"])
TEACHER_RIGHT = np.array([False, True, True, True, False, True, False, False, False])
ANSWERS = Named(
    domain=DOMAIN,
    inside=np.array([True] * 8 + [False]),
    label=np.zeros(9, int),
    answer=np.array([0, 0, 0, 1, 0, 1, 0, 1, 1]),
    teacher_answer=np.where(TEACHER_RIGHT, 0, 1),
)
ALIGNED = np.array([0.1, 0.5, 0.6, 0.7, 0.2, 0.55, 0.5, 0.4, 0.9])


def test_shares_by_hand():
    """The threshold is 0.5, that of the sources' in split: the held-out teacher's answers have no part in it, nor has the out
    split. Of the held-out four images two reach it; of each pair the student names one, the teacher one and none."""
    assert shares(ANSWERS, "b", ALIGNED) == {"share": 0.5, "ip": 0.5, "oop": 0.5, "teacher_ip": 0.5, "teacher_oop": 0.0}


class Left:
    """A trial's outcome, as far as the section looks."""

    card: ClassVar = {"metrics": {}}

    def named(self):
        return ANSWERS


def test_the_section_has_a_pair_a_cell_and_dashes_for_what_is_not_there():
    groups = [Group("b", "kd", (Left(), Left())), Group("b", "erm", (Left(),)), Group("a", "kd", (Left(),))]
    lines = section(groups, ALIGNED).splitlines()
    assert lines[2] == "| held out | known | teacher zero-shot | kd | erm |"
    assert lines[4] == "| b | 50 % | 50.0 / 0.0 | 50.0 / 50.0 | 50.0 / 50.0 |"
    assert lines[5].endswith("| – |")
    # All is above what the sources need: there is no image that the teacher does not know.
    near = np.where(DOMAIN == "b", 1.0, ALIGNED)
    assert section(groups[:1], near).splitlines()[4] == "| b | 100 % | 25.0 / – | 50.0 / – |"


def test_alignments_are_the_logits_of_true_classes(trained):
    samples, cache = table.read(trained / "cache/toy"), reader.open_complete(trained / "cache/toy/tiny")
    row_of = {row.id: at for at, row in enumerate(cache.rows)}
    rows, labels = [row_of[one.id] for one in samples.rows], [one.label for one in samples.rows]
    logits = cache.column("logits")[rows, 0, labels].astype(float)
    assert alignments(cache, samples) == pytest.approx(logits / cache.attributes.logit_scale, abs=1e-3)


def test_the_report_has_the_section_and_comes_without_it_where_features_are_damaged(trained, tmp_path):
    title, mine = "## What the teacher knows, and does not", tmp_path / "mine"
    text = (trained / "results/report.md").read_text()
    (line,) = [one for one in text[text.index(title) :].splitlines() if one.startswith("| ink |")]
    assert line.count(" / ") == 3
    shutil.copytree(trained, mine)
    (chunk,) = (mine / "cache/toy/tiny/image_features/c/0/0").rglob("0")
    chunk.write_bytes(chunk.read_bytes()[:-1])
    told = run_scmd("report", cwd=mine)
    assert told.returncode == 0
    assert f"warning: cache/toy/tiny/{chunk.relative_to(mine / 'cache/toy/tiny')}: " in told.stderr
    assert "does not say what the teacher knows" in told.stderr
    assert title not in told.stdout
