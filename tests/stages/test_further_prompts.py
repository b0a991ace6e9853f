"""Prompts from which no logits follow: kept in arrays of their own, for the methods that read them."""

import json

import pytest

from pipeline.cache import reader
from pipeline.cache.layout import FURTHER_CHUNK, TEXT_CHUNK
from tests.conftest import change, files, ok, refused, run_scmd
from tests.stages.test_stage_one import CACHE, passed

FURTHER = ["itap of a {}", "a clay of a {}", "a ink of a {}", "a neon of a {}"]
RISE = {"rise": {"prompts": ["{}", "itap of a {}"]}}
TRIAL = ("student", "--held-out", "ink", "--method")


@pytest.fixture
def further(ready):
    change(ready, "teachers/tiny.yaml", further_templates=FURTHER)
    return ready


def test_they_need_no_image_and_change_no_other_number(further):
    before = reader.open_complete(further / CACHE)
    columns = {name: before.column(name).tobytes() for name in ("image_features", "logits")}
    text = (further / CACHE / TEXT_CHUNK).read_bytes()
    output = ok("teacher", cwd=further)
    assert passed(output) == 0
    assert "only the text differs (further_templates is null in the cache" in output
    after = reader.open_complete(further / CACHE)
    assert {name: after.column(name).tobytes() for name in columns} == columns
    assert (further / CACHE / TEXT_CHUNK).read_bytes() == text
    prompts = after.read_prompts()
    assert list(prompts) == [*FURTHER, "a drawing of a {}", "{}"]
    assert all(one.shape == (2, 16) for one in prompts.values())
    assert prompts["{}"].tobytes() == after.read_text_embeddings()[1].tobytes()
    ok("cache", "verify", "--against-teacher", "5", cwd=further)
    # More images come to the same texts.
    kept = (further / CACHE / FURTHER_CHUNK).read_bytes()
    change(further, "teachers/tiny.yaml", views=4)
    assert passed(ok("teacher", cwd=further)) == 36
    assert (further / CACHE / FURTHER_CHUNK).read_bytes() == kept


def test_a_trial_that_reads_none_of_them_stays_what_it_was(further):
    change(further, "teachers/tiny.yaml", further_templates=[])
    ok(*TRIAL, "erm", cwd=further)
    change(further, "teachers/tiny.yaml", further_templates=FURTHER)
    ok("teacher", cwd=further)
    change(further, "experiment.yaml", matrix={"held_out": ["ink"], "method": ["erm"], "trial": [0]})
    assert "1 of 1 trials are current" in ok("students", cwd=further)


@pytest.mark.parametrize("harm", [lambda data: data[:-7], lambda data: bytes([data[0] ^ 1]) + data[1:], None])
def test_harmed_ones_are_named_and_encoded_again(further, harm):
    ok("teacher", cwd=further)
    whole, path = files(further / CACHE), further / CACHE / FURTHER_CHUNK
    if harm:
        path.write_bytes(harm(path.read_bytes()))
    else:
        path.unlink()
    told = run_scmd("cache", "verify", cwd=further)
    assert told.returncode == 1
    assert told.stdout.startswith(f"{CACHE}: {FURTHER_CHUNK}: ")
    ok("cache", "repair", cwd=further)
    assert files(further / CACHE) == whole


def test_without_them_again_the_cache_is_what_it_was(further):
    change(further, "teachers/tiny.yaml", further_templates=[])
    before = files(further / CACHE)
    change(further, "teachers/tiny.yaml", further_templates=FURTHER)
    ok("teacher", cwd=further)
    change(further, "teachers/tiny.yaml", further_templates=[])
    ok("teacher", cwd=further)
    assert files(further / CACHE).keys() == before.keys()


def test_a_method_that_reads_them_says_which_are_lacking_and_then_trains(further):
    change(further, "experiment.yaml", methods=RISE, matrix={"held_out": ["ink"], "method": ["rise"], "trial": [0]})
    change(further, "teachers/tiny.yaml", further_templates=FURTHER[:2])
    lacking = json.dumps([*FURTHER[:2], FURTHER[3]])
    for command in (("teacher",), ("students",)):
        told = refused(*command, cwd=further)
        wanted = f"which needs no image for it: `further_templates: {lacking}`"
        assert "lacks 1 prompts that the method reads" in told
        assert wanted in told
    change(further, "teachers/tiny.yaml", further_templates=FURTHER)
    assert "another teacher cache than the configuration asks for" in refused(*TRIAL, "rise", cwd=further)
    ok("teacher", cwd=further)
    ok(*TRIAL, "rise", cwd=further)
    history = json.loads((further / "results/trials/small/ink/rise/hparams-0/trial-0/history.json").read_text())
    assert {"loss_absolute", "loss_relative"} <= history[-1].keys()
    # Its student answers, though what only training read is not there any more.
    answers = ok("predict", "--best", "images/neon/disc/0.png", cwd=further)
    assert "disc" in answers or "square" in answers


@pytest.mark.parametrize("again", ["{}", "itap of a {}"])
def test_a_prompt_that_is_named_twice_is_refused(further, again):
    change(further, "teachers/tiny.yaml", further_templates=["itap of a {}", again])
    assert f"`further_templates` names '{again}', which is there already" in refused("teacher", cwd=further)
