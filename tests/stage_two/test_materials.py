"""One rule says what a trial was made from."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import methods
from pipeline.experiment import places
from pipeline.methods import METHODS
from pipeline.samples import table
from pipeline.stage_two.materials import gather, is_of, made_from
from pipeline.stages.gathering import assigned, gathered


@pytest.fixture
def opened(made, monkeypatch):
    monkeypatch.chdir(made)
    plan = places.load(Path("configs/experiment.yaml"))
    return plan, gathered(plan), assigned(plan, plan.experiment.key("ink", "scmd", 0))


def test_what_changes_a_number_changes_it_and_workers_do_not(opened, monkeypatch):
    _, materials, one = opened
    before = made_from(materials, one)
    student = one.student
    assert made_from(materials, replace(one, student=student.model_copy(update={"workers": 9}))) == before
    others = [
        (materials, replace(one, student=student.model_copy(update={"steps": 7}))),
        (replace(materials, size=32), one),
        (replace(materials, views=2), one),
        (replace(materials, dataset="other"), one),
        (replace(materials, samples=replace(materials.samples, rows=materials.samples.rows[:-1])), one),
        (materials, replace(one, key=replace(one.key, trial=1))),
        (materials, replace(one, settings=one.settings.model_copy(update={"lambda1": 0.1}))),
    ]
    assert all(made_from(*other) != before for other in others)
    monkeypatch.setattr(METHODS["scmd"], "version", 2)
    assert made_from(materials, one) != before


def test_domains_in_another_order_than_their_names_split_otherwise_than_they_did(opened):
    """Trials of when environments were numbered as written are another's; where the order is that of names, nothing moves."""
    _, materials, one = opened
    assert "environments" not in made_from(materials, one)
    turned = replace(materials, samples=replace(materials.samples, domains=materials.samples.domains[::-1]))
    assert made_from(turned, one)["environments"] == ["clay", "ink", "neon"]
    before = {key: value for key, value in made_from(turned, one).items() if key != "environments"}
    assert not is_of(before, made_from(turned, one))
    stable = one.student.split.model_copy(update={"rule": "stable"})
    assert "environments" not in made_from(
        turned, replace(one, student=one.student.model_copy(update={"split": stable}))
    )


def test_the_weights_that_a_student_starts_from_are_told_by_their_content(opened, tmp_path):
    _, materials, one = opened
    file = tmp_path / "start.safetensors"
    model = one.student.model.model_copy(update={"pretrained": str(file)})
    one = replace(one, student=one.student.model_copy(update={"model": model}))
    seen = []
    for content in (b"one", b"other"):
        file.write_bytes(content)
        seen.append(made_from(materials, one))
    assert seen[0]["student"] == seen[1]["student"]
    assert seen[0] != seen[1]


def test_another_cache_is_another_material(opened):
    plan, materials, one = opened
    samples = table.read(plan.samples_folder)
    again = gather("toy", samples, plan.cache_folder, plan.teacher, 24)
    assert made_from(again, one) == made_from(materials, one)
    for changed, same in (({"normalisation": "imagenet"}, False), ({"further_templates": ["the {}"]}, True)):
        attributes = materials.cache.attributes.model_copy(update={"identity": {**materials.cache.identity, **changed}})
        other = replace(materials, cache=replace(materials.cache, attributes=attributes))
        assert (made_from(other, one) == made_from(materials, one)) is same


def test_a_card_that_lacks_a_setting_is_of_its_default_and_of_no_other_value(opened):
    """As one from before there was the setting; what is no setting any more, or another value, makes it another trial's."""
    _, materials, one = opened
    expected = made_from(materials, one)
    card = json.loads(json.dumps(expected))
    del card["method"]["select_from"], card["method"]["beside"], card["student"]["averaging"]["decay"]
    assert is_of(card, expected)
    other = replace(one, settings=one.settings.model_copy(update={"select_from": 0.25}))
    assert not is_of(card, made_from(materials, other))
    assert not is_of({**card, "method": {**card["method"], "gone": 1}}, expected)
    assert not is_of({key: value for key, value in card.items() if key != "student"}, expected)


def test_a_new_version_of_what_stands_beside_makes_another_trial(opened, monkeypatch):
    _, materials, one = opened
    joined = replace(one, settings=methods.parse("scmd", {"beside": {"coral": {}}}, "x"))
    before = made_from(materials, joined)
    monkeypatch.setattr(METHODS["coral"], "version", 2)
    assert made_from(materials, joined) != before
    assert made_from(materials, one)["method"]["version"] == 1


@pytest.mark.parametrize("name", ["importance_sampling", "swad"])
def test_a_card_that_lacks_a_later_setting_is_read_though_the_method_decides_others(opened, name):
    _, materials, one = opened
    asked = replace(one, method=name, settings=methods.parse(name, {}, "here"))
    expected = made_from(materials, asked)
    card = json.loads(json.dumps(expected))
    del card["method"]["scoring"]
    assert is_of(card, expected)
