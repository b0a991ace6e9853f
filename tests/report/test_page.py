"""What stands in the page: what is aggregated and what is shown one by one, hostile names, pictures that are not there."""

import dataclasses
import json
import re
from xml.etree import ElementTree

import pytest
from PIL import Image

from pipeline.errors import InputError
from pipeline.report import outcome, page, tidy
from pipeline.report.details import details
from pipeline.samples.table import Sample
from pipeline.timing import pages
from pipeline.timing.pages import Sizes
from pipeline.trials import files

SMALL = Sizes(domains=2, methods=2, trials=2, samples=60, classes=3)
HOSTILE = '<script>alert("x")</script> & `co` "q"'


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return list(pages.made_up(tmp_path_factory.mktemp("trials"), SMALL))


def sections(text: str) -> dict[str, str]:
    return dict(re.findall(r'<section id="(\w+)"(.*?)</section>', text, re.S))


def test_it_has_every_section_and_nothing_from_elsewhere(small):
    text = page.render(pages.page_of(small, SMALL))
    assert list(sections(text)) == [
        *("results", "steps", "objective", "selection", "confusions", "calibration", "samples", "cost", "provenance")
    ]
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert not re.search(r"@import|url\((?!#)", text)
    names = re.findall(r'\bid="([^"]+)"', text)
    assert len(names) == len(set(names))
    assert page.render(pages.page_of(small, SMALL)) == text


def test_plots_are_svg_in_the_pages_own_ink(small):
    text = page.render(pages.page_of(small, SMALL))
    drawings = re.findall(r"<svg.*?</svg>", text, re.S)
    # Two domains by method; of four groups accuracy, loss, scale, two shares, two confusions and calibration.
    assert len(drawings) == 2 + 4 * 8
    for one in drawings:
        root = ElementTree.fromstring(one)
        assert root.get("role") == "img"
        assert root.get("aria-label")
        assert "currentColor" in one
        assert "#000000" not in one


def test_of_a_domain_that_evaluations_did_not_look_at_the_chosen_is_told(small):
    def deciding(one):
        rows = [
            {name: value for name, value in row.items() if not name.startswith(one.key.held_out)} for row in one.history
        ]
        chosen = one.history[-2]
        metrics = {**one.card["metrics"], "step": chosen["step"], "accuracy": chosen[f"{one.key.held_out}_in"]}
        return dataclasses.replace(one, history=[*rows[:-2], chosen, rows[-1]], card={**one.card, "metrics": metrics})

    outcomes = [deciding(one) for one in small]
    text = page.render(pages.page_of(outcomes, SMALL))
    ends = [one.card["metrics"]["accuracy"] for one in outcome.grouped(outcomes)[0].outcomes]
    assert f"At the end: method-0 {100 * sum(ends) / 2:.1f} %" in sections(text)["steps"]
    assert not re.search(r"\bnan\b", text)


@pytest.mark.filterwarnings("error")
def test_class_names_with_dollars_and_of_any_script_stand_in_plots(small):
    names = ("a$x_{$", "b$", "猫")
    text = page.render(dataclasses.replace(pages.page_of(small, SMALL), classes=names))
    assert all(
        name in plot for name in names for plot in re.findall(r"<svg.*?</svg>", sections(text)["confusions"], re.S)
    )


def test_a_term_that_some_steps_lack_leaves_a_gap(small):
    """MLDG's, where a selected batch has one domain."""
    rare = [
        dataclasses.replace(one, history=[*one.history[:-1], {**one.history[-1], "loss_meta_test": 0.5}])
        for one in small
    ]
    groups = outcome.grouped(rare)
    text = page.render(pages.page_of(rare, SMALL))
    assert "meta test" in sections(text)["objective"]
    assert not re.search(r"\bnan\b", text)
    found = [row for row in tidy.losses(groups) if row["term"] == "meta test"]
    assert [row["loss"] for row in found] == [0.5] * len(groups)
    json.dumps(tidy.losses(groups), allow_nan=False)


def test_the_words_for_a_plot_say_its_numbers(small):
    text = page.render(pages.page_of(small, SMALL))
    group = outcome.grouped(small)[0]
    ends = [one.history[-1]["domain-0_in"] for one in group.outcomes]
    assert f"At the end: method-0 {100 * sum(ends) / 2:.1f} %" in sections(text)["steps"]


def test_above_twelve_groups_the_others_are_aggregated_and_that_is_said(tmp_path):
    sizes = Sizes(domains=3, methods=5, trials=2, samples=120, classes=31)
    text = page.render(pages.page_of(list(pages.made_up(tmp_path, sizes)), sizes))
    found = sections(text)
    assert "12 of 15 pairs of method and held-out domain are shown one by one" in found["steps"]
    assert found["samples"].count("<article>") == found["confusions"].count("<article>") == 12
    assert found["cost"].count("<tr>") == 1 + 15
    # With 31 classes there is no room for names at a matrix: the largest confusions stand alone.
    assert "<svg" not in found["confusions"]
    assert found["confusions"].count("<table") == 12
    assert len(text) < 10e6


def test_names_are_told_as_they_are_and_do_nothing(small):
    shown = pages.page_of(small, SMALL)
    text = page.render(dataclasses.replace(shown, title=HOSTILE, classes=[HOSTILE, "b", "c"], gaps=[HOSTILE]))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text
    assert text.count("<script>") == 1
    assert "<code>co</code>" in text


def test_a_picture_that_is_not_here_is_said(small):
    group = outcome.grouped(small)[0]
    samples = [Sample("0", f"{row}.png", "domain-0", "class-0", 0, row, 9, 9) for row in range(60)]

    def load(row: int) -> Image.Image:
        if row % 2:
            raise InputError("image is missing")
        return Image.new("RGB", (300, 200), (row, 0, 0))

    found = details(group, samples, ["a", "b", "c"], load)
    shown = [one for gallery in found.galleries for one in gallery.shown]
    assert {one.picture is None for one in shown} == {True, False}
    assert all((one.picture is None) == bool(int(one.key.split(".")[0]) % 2) for one in shown)
    text = page.render(dataclasses.replace(pages.page_of(small, SMALL), details=[found]))
    assert text.count("image not on this machine") == sum(one.picture is None for one in shown)


@pytest.mark.parametrize("name", [files.HISTORY, files.PREDICTIONS])
@pytest.mark.parametrize("content", [None, b"", b"[1, 2]", b"{}"])
def test_a_damaged_file_of_a_trial_is_named(tmp_path, name, content):
    sizes = Sizes(domains=1, methods=1, trials=1, samples=20, classes=2)
    (one,) = pages.made_up(tmp_path, sizes)
    path = one.folder / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: not the \\w+ of a trial .*run the trial again"):
        outcome.read(tmp_path, one.key, one.card).answers()


def test_times_that_are_not_known_are_a_dash(tmp_path):
    sizes = Sizes(domains=1, methods=1, trials=1, samples=20, classes=2)
    (one,) = pages.made_up(tmp_path, sizes)
    (one.folder / files.METRICS).unlink()
    again = outcome.read(tmp_path, one.key, one.card)
    assert again.times == {}
    assert '<td data-value="-1">–</td>' in page.render(pages.page_of([again], sizes))
