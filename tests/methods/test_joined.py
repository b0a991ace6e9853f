"""A method beside another: whose terms count, which cross-entropy remains, and what cannot be joined."""

import json

import pytest
import torch

from pipeline import methods, training
from pipeline.batches import Batch, Outputs
from pipeline.errors import ConfigError
from pipeline.experiment.draws import drawn
from pipeline.methods import METHODS, joined
from pipeline.methods.method import overrides
from pipeline.trials import snapshot
from pipeline.trials.key import TrialKey
from pipeline.trials.settings import StudentSettings
from tests.small_outputs import CLASSES, EMBEDDING, LABELS, made, said
from tests.small_trials import CPU, assert_same_end, data_of, judged, run, started

DOMAINS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
REGULARISERS = [name for name, one in METHODS.items() if one.family == "domains"]


class Said(torch.nn.Module):
    """In a student's place: says the same whatever it sees."""

    def forward(self, _: torch.Tensor) -> Outputs:
        return said()


def everything(method) -> Batch:
    random = torch.Generator().manual_seed(3)
    return Batch(
        images=torch.zeros(8, 3, 2, 2),
        labels=LABELS,
        domains=DOMAINS,
        teacher_logits=torch.randn(8, CLASSES, generator=random),
        teacher_features=torch.randn(8, EMBEDDING, generator=random),
        text=method.problem.text,
        rows=torch.arange(8),
    )


def losses(name: str, **values) -> dict[str, float]:
    method = made(name, **values)
    return {term: loss.item() for term, loss in method.losses(Said(), everything(method)).items()}


def test_the_terms_of_both_are_there_and_the_cross_entropy_once():
    alone, beside = losses("kd"), losses("coral", weight=0.5)
    found = losses("kd", beside={"coral": {"weight": 0.5}})
    assert found == pytest.approx({**alone, "correlations": beside["correlations"]})


def test_a_classification_loss_of_its_own_takes_the_place_of_the_cross_entropy():
    found = losses("kd", beside={"focal": {"gamma": 2.0}})
    assert found == pytest.approx({"distillation": losses("kd")["distillation"], **losses("focal")})


def test_the_official_focal_variant_is_scmd_beside_which_the_focal_loss_stands():
    found = losses("scmd", beside={"focal": {}})
    expected = losses("scmd")
    del expected["cross_entropy"]
    assert found == pytest.approx({**expected, **losses("focal")})


@pytest.mark.parametrize("first", ["label_free", "vl2v_adip"])
def test_nothing_teaches_a_classifier_that_the_first_does_not_answer_by(first):
    """Whatever the first learns from, a term that needs no labels brings in none."""
    found = losses(first, beside={"coral": {"weight": 0.5}})
    alone, beside = losses(first), losses("coral", weight=0.5)
    assert found == pytest.approx({**alone, "correlations": beside["correlations"]})


def test_terms_of_one_name_keep_apart():
    found = losses("clip_kd", beside={"fitnet": {}})
    assert found.keys() == {"cross_entropy", "features", "relations", "fitnet_features"}


@pytest.mark.parametrize("name", REGULARISERS)
@pytest.mark.parametrize("first", ["kd", "scmd"])
def test_every_domain_regulariser_can_stand_beside_kd_and_scmd(first, name):
    """In a trial, whose batch carries what both need and nothing else."""
    values = {"hard_fraction": 1.0, "beside": {name: {}}}
    trial, alone = started(first, **values), started(name)
    batch = next(data_of(judged(), first, **values).stream(0, 1, 0, CPU))
    own = alone.method.losses(alone.student, batch).keys()
    training.learn(trial, batch)
    terms = {term: total[0] for term, total in trial.sums.items()}
    assert {"distillation"} | own <= terms.keys()
    assert ("cross_entropy" in terms) == ("cross_entropy" in own)
    assert all(torch.isfinite(loss) for loss in terms.values())


def test_a_method_of_several_passes_stands_beside_one_of_one():
    trial = started("kd", beside={"mldg": {}}, batch_norm="frozen")
    batch = next(data_of(judged(), "kd", beside={"mldg": {}}).stream(0, 1, 0, CPU))
    terms = trial.method.losses(trial.student.train(), batch)
    assert list(terms) == ["distillation", "meta_train", "meta_test"]
    alone = started("mldg", batch_norm="frozen")
    expected = alone.method.losses(alone.student.train(), batch)
    assert all(terms[name].item() == pytest.approx(loss.item(), rel=1e-5) for name, loss in expected.items())


def test_networks_of_the_one_beside_learn_too():
    before = started("kd", beside={"dann": {}}).method.beside["dann"].discriminator[0].weight.clone()
    trial = run("kd", beside={"dann": {}})
    assert not torch.equal(trial.method.beside["dann"].discriminator[0].weight, before)


def test_the_first_says_what_is_learnt_from_and_the_other_when_the_optimiser_begins_anew():
    trial = started("scmd", beside={"vrex": {"anneal_steps": 2}}, steps=4)
    assert trial.method.selector.selects(0, 8)
    assert [phase.first for phase in trial.method.phases()] == [0, 2]


def test_a_joined_trial_that_was_written_down_ends_as_if_it_had_not_stopped(tmp_path):
    values = {"steps": 4, "beside": {"group_dro": {}, "coral": {}}}
    of, data = judged(), data_of(judged(), "kd", beside=values["beside"])
    whole = run("kd", **values)
    half = started("kd", **values)
    training.advance(half, data, of, 2)
    snapshot.write(half, tmp_path / "trial", {})
    again = started("kd", **values)
    snapshot.read_into(again, tmp_path / "trial", {})
    training.train(again, data, of)
    assert_same_end(again, whole)


@pytest.mark.parametrize(
    ("first", "values", "said_of_it"),
    [
        ("kd", {"beside": {"magic": {}}}, "`beside` names `magic`, which is no method (known: "),
        ("kd", {"beside": {"coral": {"weigth": 1.0}}}, "`beside.coral`: `weigth` is not a key here (known: weight)"),
        (
            "kd",
            {"beside": {"coral": {"hard_fraction": 0.5}}},
            "`hard_fraction` is set for the method that `coral` stands",
        ),
        ("kd", {"beside": {"swad": {}}}, "`swad` has its own averaging, and so cannot stand beside another method"),
        ("kd", {"beside": {"vl2v_adip": {}}}, "`vl2v_adip` has its own predictor"),
        ("kd", {"beside": {"importance_sampling": {}}}, "`importance_sampling` has its own selection"),
        (
            "focal",
            {"beside": {"mixup": {}}},
            "two of these methods put a classification loss of their own in the place",
        ),
        ("importance_sampling", {"beside": {"coral": {}}}, "the first method draws its samples unevenly"),
        ("vl2v_adip", {"beside": {"irm": {}}}, "two of these methods train in phases of their own"),
        (
            "vl2v_adip",
            {"beside": {"mldg": {}}},
            "`mldg` is a classification loss, and the first method has no classifier",
        ),
        (
            "label_free",
            {"beside": {"focal": {}}},
            "`focal` is a classification loss, and the first method has no classifier",
        ),
        ("erm", {"select": "distillation"}, "`select: distillation` needs a method with `lambda1`, and `erm` has none"),
    ],
)
def test_what_cannot_be_joined_is_refused_in_one_sentence(first, values, said_of_it):
    with pytest.raises(ConfigError) as refused:
        methods.parse(first, values, "here")
    assert str(refused.value).startswith("here: ")
    assert said_of_it in str(refused.value)


def test_settings_of_what_stands_beside_are_written_out():
    settings = methods.parse("kd", {"beside": {"coral": {}}}, "here")
    assert settings.beside == {"coral": {"weight": 1.0}}


BESIDE = [name for name in METHODS if not joined.fault(METHODS["erm"], {name: METHODS[name]})]


@pytest.mark.parametrize("name", BESIDE)
def test_whatever_can_stand_beside_a_method_does_and_its_card_says_so(name):
    """From the settings as a file has them to a trial, and from its card back to the settings; with any hyperparameter seed."""
    settings = methods.parse("erm", {"beside": {name: {}}}, "here")
    assert methods.parse("erm", json.loads(settings.model_dump_json()), "card") == settings
    drawn(TrialKey("s", "h", "erm", 1, 0), METHODS["erm"], settings, StudentSettings(), "toy")
    values = {"beside": settings.beside}
    trial = started("erm", **values)
    training.learn(trial, next(data_of(judged(), "erm", **values).stream(0, 1, 0, CPU)))
    assert all(torch.isfinite(total[0]) for total in trial.sums.values())


def test_a_name_that_has_a_method_beside_it_keeps_it_where_others_join():
    method, values = methods.named("scmd_focal", {"beside": {"coral": {}}})
    assert methods.parse(method, values, "here").beside.keys() == {"focal", "coral"}
    assert methods.named("scmd_focal", {"beside": {"focal": {"gamma": 3.0}}})[1]["beside"] == {"focal": {"gamma": 3.0}}
    with pytest.raises(ConfigError, match="`beside`: expected keys with values"):
        methods.parse(*methods.named("scmd_focal", {"beside": ["coral"]}), "here")


def test_a_batch_carries_what_the_first_the_rule_and_those_beside_need():
    settings = methods.parse("erm", {"hard_fraction": 0.5, "select": "divergence", "beside": {"unicl": {}}}, "here")
    assert methods.needs("erm", settings) == {"teacher_logits", "text"}


def test_hooks_are_told_from_the_plain_ones():
    assert overrides(METHODS["swad"], "averaging")
    assert not overrides(METHODS["erm"], "averaging")


@pytest.mark.parametrize("beside", ["coral", "dann"])
def test_a_method_of_phases_keeps_them_where_another_stands_beside_it(beside):
    """The projector learns first and then the backbone; what the other brings learns throughout."""
    values = {beside: {}}
    trial, data = started("vl2v_adip", steps=6, beside=values), data_of(judged(), "vl2v_adip", beside=values)
    backbone = trial.student.predictor.backbone.conv1[0].weight
    before = {"backbone": backbone.clone(), "projector": trial.method.first.projector.weight.clone()}
    training.advance(trial, data, judged(), 3)
    assert torch.equal(backbone, before["backbone"])
    assert not torch.equal(trial.method.first.projector.weight, before["projector"])
    own = {name: p.clone() for name, p in trial.method.beside[beside].named_parameters()}
    training.advance(trial, data, judged(), 6)
    assert not torch.equal(backbone, before["backbone"])
    assert all(not torch.equal(p, own[name]) for name, p in trial.method.beside[beside].named_parameters())


@pytest.mark.parametrize("beside", ["kd", "clip_kd"])
def test_beside_a_method_of_phases_the_heads_that_others_ask_learn_in_all_of_them(beside):
    values = {beside: {}}
    trial, data = started("vl2v_adip", steps=6, beside=values), data_of(judged(), "vl2v_adip", beside=values)
    heads = {"kd": trial.student.predictor.classifier.weight, "clip_kd": trial.student.projector.weight}
    backbone, head = trial.student.predictor.backbone.conv1[0].weight, heads[beside]
    scale = trial.student.log_scale.item()
    seen = [head.clone()]
    for end in (3, 6):
        before = backbone.clone()
        training.advance(trial, data, judged(), end)
        seen.append(head.clone())
        assert torch.equal(backbone, before) == (end == 3)
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])
    assert (trial.student.log_scale.item() != scale) == (beside == "clip_kd")


@pytest.mark.parametrize(
    ("name", "values"),
    [("swad", {"averaging": {"rule": "ema"}}), ("importance_sampling", {"select": "random"})],
)
def test_what_a_method_decides_itself_is_no_setting_of_it(name, values):
    (key,) = values
    with pytest.raises(ConfigError, match=f"`{key}` is no setting of `{name}`, which has a rule of its own"):
        methods.parse(name, values, "here")


def test_the_order_of_those_beside_makes_no_other_trial():
    orders = (("dann", "cdann"), ("cdann", "dann"))
    one, other = (methods.parse("kd", {"beside": {name: {} for name in names}}, "x") for names in orders)
    assert list(one.beside) == list(other.beside)
