"""Terms against what the original public code gives for fixed tensors: literals in float64, the code's repository and commit
beside them. What is ours where the original differs by design is in the modules' own words."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline.averaging.running_mean import RunningMean
from pipeline.averaging.settings import first_averaged
from pipeline.batches import Batch, Outputs
from pipeline.losses import distillation
from pipeline.methods import METHODS
from pipeline.methods.clip_kd import CLIPKD
from pipeline.methods.coral import apart
from pipeline.methods.crossgrad import CrossGrad
from pipeline.methods.darkrank import hard, scores
from pipeline.methods.focal import focal
from pipeline.methods.grouping import mean_over_pairs
from pipeline.methods.importance_sampling import gain, importance
from pipeline.methods.irm import penalty
from pipeline.methods.method import Problem
from pipeline.methods.miro import LEAST
from pipeline.methods.mixup import Mixed
from pipeline.methods.mmd import discrepancy
from pipeline.methods.rkd import cosines, relative_distances
from pipeline.methods.rsc import left
from pipeline.methods.unicl import contrast
from pipeline.methods.xded import class_means
from pipeline.selection.rules import RULES
from pipeline.student.model import Predictor, Student
from tests.small_trials import predictor_of


def fixed(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(seed).standard_normal(shape))


f, g, h = (fixed(seed, 6, 4) for seed in (0, 1, 2))
z, t, v, e = fixed(3, 6, 3), 2 * fixed(4, 6, 3), 3 * fixed(5, 6, 5), fixed(6, 6, 5)
text = F.normalize(fixed(7, 3, 5), dim=1)
y, d = torch.tensor([0, 1, 2, 0, 1, 1]), torch.tensor([0, 0, 0, 1, 1, 1])


def built(name: str, texts=None, **values):
    problem = Problem(4, text, 10.0, domains=2, samples=6, steps=10, network=predictor_of(4), prompts=texts or {})
    return METHODS[name](METHODS[name].Settings(**values), problem).double()


def said(**changes) -> Outputs:
    return Outputs(**{"features": f, "logits": z, "embeddings": e, "log_scale": torch.tensor(0.0), **changes})


# facebookresearch/DomainBed, 22002eaae419ddb30c911b40c40bd27513baebb9, domainbed/algorithms.py


@pytest.mark.parametrize(
    ("distance", "pair", "mean"),
    [(apart, 0.903431413333, 1.03128085198), (discrepancy, 1.55234687042, 1.59111028977)],
)
def test_domainbeds_coral_and_mmd(distance, pair, mean):
    assert distance(f, g).item() == pytest.approx(pair, rel=1e-9)
    assert mean_over_pairs([f, g, h], distance).item() == pytest.approx(mean, rel=1e-9)


def test_domainbeds_mmd_of_parts_of_unequal_size():
    assert discrepancy(f[:4], g).item() == pytest.approx(2.09798145415, rel=1e-9)
    assert apart(f[:4], g).item() == pytest.approx(1.09083268481, rel=1e-9)


@pytest.mark.parametrize(("anneal", "loss"), [(0, 1.15459767712), (500, 0.885273872073)])
def test_domainbeds_vrex(anneal, loss):
    terms = built("vrex", weight=10.0, anneal_steps=anneal).terms(said(), Batch(labels=y, domains=d))
    assert sum(terms.values()).item() == pytest.approx(loss, rel=1e-9)


def test_domainbeds_irm():
    assert penalty(z, y).item() == pytest.approx(-0.0747541922246, rel=1e-7)
    method = built("irm", weight=100.0, anneal_steps=1)
    for loss in (0.795256036588, -5.15394782098):
        terms = method.terms(said(), Batch(labels=y, domains=d))
        assert sum(terms.values()).item() == pytest.approx(loss, rel=1e-7)


def test_domainbeds_group_dro():
    method = built("group_dro", eta=0.01)
    for loss, share in ((0.85564825322, 0.499135060587), (0.855947499803, 0.498270126351)):
        assert method.terms(said(), Batch(labels=y, domains=d))["risk"].item() == pytest.approx(loss, rel=1e-6)
        assert method.log_shares[0].exp().item() == pytest.approx(share, rel=1e-6)


def test_domainbeds_rsc():
    classifier = torch.nn.Linear(4, 3).double()
    with torch.no_grad():
        classifier.weight.copy_(fixed(8, 3, 4))
        classifier.bias.zero_()
    mask = left(f, classifier, y, 1 / 3, 1 / 3)
    muted, whole = [0, 0, 1, 1], [1, 1, 1, 1]
    assert mask.tolist() == [muted, whole, whole, muted, whole, whole]
    assert F.cross_entropy(classifier(f * mask), y).item() == pytest.approx(4.54572447185, rel=1e-9)


def test_domainbeds_cdann_weighs_classes_alike():
    """Its weights sum to the share of classes that are there; here all are."""
    method = built("cdann")
    method.discriminator = torch.nn.Linear(4, 2, bias=False).double()
    with torch.no_grad():
        method.discriminator.weight.copy_(fixed(9, 2, 4))
        method.classes.weight.copy_(fixed(10, 3, 4))
    term = method.terms(said(), Batch(labels=y, domains=d))["domain"]
    assert term.item() == pytest.approx(0.453349318345, rel=1e-7)


def test_domainbeds_discriminator_and_its_reversed_gradient():
    """Without its penalty on the discriminator's gradient, which is 0 by default."""
    method, outputs = built("dann", weight=0.3), said(features=f.clone().requires_grad_())
    method.discriminator = torch.nn.Linear(4, 2, bias=False).double()
    with torch.no_grad():
        method.discriminator.weight.copy_(fixed(9, 2, 4))
    term = method.terms(outputs, Batch(labels=y, domains=d))["domain"]
    assert term.item() == pytest.approx(0.514631454473, rel=1e-9)
    (turned,) = torch.autograd.grad(term, outputs.features)
    plain = torch.autograd.grad(F.cross_entropy(outputs.features @ fixed(9, 2, 4).T, d), outputs.features)[0]
    assert torch.allclose(turned, -0.3 * plain)


def test_domainbeds_mixup_of_a_pair():
    share = 0.3
    images = share * f[:3] + (1 - share) * f[3:]
    mixed = Mixed(images, share, y[:3], y[3:])
    assert mixed.loss(images @ fixed(8, 3, 4).T).item() == pytest.approx(4.11020307548, rel=1e-9)


# HAHA-DL/MLDG, a24a1b1a, model.py, of two domains; its step and β as in run_mldg.sh


def test_the_official_mldg():
    method = built("mldg", inner_lr=0.5)
    predictor = Predictor(torch.nn.Identity(), 4, 3, 0.0).double()
    with torch.no_grad():
        predictor.classifier.weight.copy_(fixed(8, 3, 4))
        predictor.classifier.bias.zero_()
    student = Student(predictor, torch.nn.Linear(4, 5).double(), freeze_statistics=False)
    terms = method.losses(student, Batch(images=f, labels=y, domains=d))
    assert terms["meta_train"].item() == pytest.approx(2.79557386775, rel=1e-9)
    assert terms["meta_test"].item() == pytest.approx(4.86194853023, rel=1e-9)
    sum(terms.values()).backward()
    assert predictor.classifier.weight.grad.norm().item() == pytest.approx(2.24742073007, rel=1e-9)
    assert predictor.classifier.bias.grad.norm().item() == pytest.approx(0.458839436164, rel=1e-9)


# SeanLeng1/SCMD, 0f757129, DomainBed/domainbed/algorithms.py


def test_the_official_scmd():
    scale = torch.tensor(1 / 0.07).double().log()
    terms = built("scmd").terms(said(log_scale=scale), Batch(labels=y, teacher_logits=t, text=text))
    assert terms["cross_entropy"].item() == pytest.approx(0.855349004846, rel=1e-9)
    assert terms["distillation"].item() == pytest.approx(0.5 * 1.47141053604, rel=1e-9)
    assert terms["cross_modality"].item() == pytest.approx(0.5 * 14.0010942011, rel=1e-6)
    assert sum(terms.values()).item() == pytest.approx(8.59160137342, rel=1e-6)
    kd = built("kd", lambda1=0.5).terms(said(), Batch(labels=y, teacher_logits=t))
    assert kd["distillation"].item() == pytest.approx(terms["distillation"].item(), rel=1e-12)
    hardest = RULES["hardest"].score(None)(z, Batch(labels=y)).argsort(descending=True)[:3]
    assert hardest.tolist() == [3, 2, 5]


def test_the_official_fitnet():
    method = built("fitnet", lambda1=1.0)
    with torch.no_grad():
        method.head.weight.copy_(fixed(8, 5, 4))
    terms = method.terms(said(), Batch(labels=y, teacher_features=v))
    assert terms["features"].item() == pytest.approx(12.2961197712, rel=1e-9)


def test_the_official_moving_average():
    """Its `start` of 3: after update 2 for the first time a mean, of it and what follows."""
    model = torch.nn.Linear(1, 1, bias=False).double()
    average, found = RunningMean(model, first_averaged(7, 3, None)), []
    for weight in fixed(15, 7).tolist():
        torch.nn.init.constant_(model.weight, weight)
        average.update()
        found.append(average.model.weight.item())
    expected = [-0.312328481544, 0.339284706046, 0.0916880860817, -0.106137833711, -0.0207111523521]
    assert found == pytest.approx([*expected, -0.369289973242, -0.49038531836], rel=1e-9)


# val-iisc/VL2V-ADiP, 58970658, domainbed/algorithms/distill_clip.py


def test_the_official_vl2v_adip():
    method = built("vl2v_adip", image_weight=0.3)
    method.projector = torch.nn.Identity()
    terms = method.terms(said(features=e), Batch(labels=y, teacher_features=v, text=text))
    assert sum(terms.values()).item() == pytest.approx(0.0282062773027, rel=1e-9)


# lenscloth/RKD, 92c85630, metric/loss.py


def sides(one: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    differences = one[None] - one[:, None]
    return differences, differences.norm(dim=2)


def test_the_official_rkd():
    student, teacher = sides(e), sides(v)
    distances = F.smooth_l1_loss(relative_distances(*student), relative_distances(*teacher))
    angles = F.smooth_l1_loss(cosines(*student), cosines(*teacher))
    assert distances.item() == pytest.approx(0.057510841483, rel=1e-9)
    assert angles.item() == pytest.approx(0.0687132255744, rel=1e-9)


def test_the_darkrank_of_rkds_code_on_unit_features():
    teacher, student = scores(v, 3, 3), scores(e, 3, 3)
    nearest = teacher.fill_diagonal_(-torch.inf).argsort(dim=1, descending=True)[:, :4]
    assert hard(None, student.gather(1, nearest)).item() == pytest.approx(13.9857560814, rel=1e-9)


# khanrc/miro, 2a344f35, domainbed/algorithms/miro.py


def test_the_official_miro_of_one_layer_with_an_identity():
    method = built("miro", lambda1=1.0)
    method.mean = torch.nn.Identity()
    terms = method.terms(said(features=e), Batch(labels=y, teacher_features=v))
    assert terms["information"].item() == pytest.approx(47.6456703003, rel=1e-5)
    assert LEAST == 1e-5
    with torch.no_grad():
        method.spread.copy_(torch.tensor([-2.0, -1, 0, 1, 2]))
    terms = method.terms(said(features=e), Batch(labels=y, teacher_features=v))
    assert terms["information"].item() == pytest.approx(16.1785662954, rel=1e-9)


# A public fork of open_clip with UniCL's targets and soft cross-entropy; microsoft/UniCL has published none


def test_unicls_contrast_over_classes():
    texts = F.normalize(fixed(13, 6, 5), dim=1)
    same = (y[:, None] == y[None]).double()
    for of_labels, one, other in (
        (text[y], 6.12472711904, 6.96569974513),
        (texts, 6.76153651413, 5.75679492788),
    ):
        alike = 10 * F.normalize(e, dim=1) @ of_labels.T
        assert contrast(alike, same).item() == pytest.approx(one, rel=1e-9)
        assert contrast(alike.T, same).item() == pytest.approx(other, rel=1e-9)


# WisconsinAIVision/RISE, 669477149b1e5b91a4ebc3386cc9d7336d5f495f, train_rise.py


def test_the_official_rise():
    classes, domains = fixed(7, 3, 5), fixed(12, 3, 3, 5)
    names = ("a bright {}", "a dark {}", "a good {}")
    texts = {"a {}": classes, **{name: domains[:, at] for at, name in enumerate(names)}}
    method = built("rise", texts, prompts=("a {}",), anchors=names)
    terms = method.terms(said(), Batch(labels=y, teacher_logits=100 * F.normalize(v, dim=1) @ text.T))
    expected = {"distillation": 0.9 * 9.63719179616, "classification": 0.1 * 0.855349004846}
    expected |= {"absolute": 0.5 * 0.980558032262, "relative": 0.5 * 0.230382959593}
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-9)
    assert sum(terms.values()).item() == pytest.approx(9.36447801295, rel=1e-9)


# winycg/CLIP-KD, e151019c, src/open_clip/loss.py


def test_clip_kds_features_are_its_mean_square_summed_over_dimensions():
    method = built("clip_kd", feature_weight=1.0)
    assert isinstance(method, CLIPKD)
    terms = method.terms(said(), Batch(labels=y, teacher_features=v, text=text))
    assert terms["features"].item() / 5 == pytest.approx(0.455754206293, rel=1e-9)


def test_clip_kds_relations_of_images_to_texts():
    """One of its two directions."""
    method = built("clip_kd", relation_weight=1.0)
    scale = torch.tensor(2.6).double()
    terms = method.terms(said(log_scale=scale), Batch(labels=y, teacher_features=v, text=text))
    assert terms["relations"].item() == pytest.approx(9.6349978864, rel=1e-6)


# leekyungmoon/XDED, 8f5d19b7, dassl/engine/xded.py (by label, as its pixel-wise form groups)


def test_the_official_xded():
    assert distillation(z, class_means(z, y), 4.0).item() == pytest.approx(0.138542086425, rel=1e-9)


# SeanLeng1/SCMD, 0f757129, with focal-loss-torch 0.1.2, whose mean divides by the sum of weights


def test_the_official_focal_loss():
    assert focal(z, y, 1.0, 2.0).mean().item() == pytest.approx(0.349590615679, rel=1e-9)
    assert focal(z, y, 0.25, 2.0).tolist() == pytest.approx(
        [0.00863293444811, 0.0532229097766, 0.084061379862, 0.276446865255, 0.018073716553, 0.0839481176238], rel=1e-9
    )


# idiap/importance-sampling, 0b5a4ef8, importance_sampling/reweighting.py


def test_the_official_importance():
    found = importance(z, y)
    assert found.tolist() == pytest.approx(
        [0.090601912404, 0.166125230881, 0.179293512053, 0.263012191241, 0.116115833648, 0.184851319773], rel=1e-9
    )
    assert (1 / (6 * found))[0].item() == pytest.approx(1.83954910271, rel=1e-9)
    assert gain(found) == pytest.approx(1.05294094512, rel=1e-9)


# akuzeee/AFLAC, d2d18c61 (its epsilon of 1e-8 is left out here)


def test_the_official_aflac():
    method = built("aflac", weight=1.0)
    method.discriminator = torch.nn.Identity()
    terms = method.terms(said(features=fixed(14, 6, 2)), Batch(labels=y, domains=d))
    assert terms["domain_given_label"].item() == pytest.approx(0.509835009656, rel=1e-6)
    assert terms["discriminator"].item() == pytest.approx(0.663976866841, rel=1e-9)


# KaiyangZhou/Dassl.pytorch, b60041f2, dassl/engine/dg/crossgrad.py


class Linear(torch.nn.Module):
    """In a student's place, with pictures that are features."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, images: torch.Tensor) -> Outputs:
        return said(features=images, logits=images @ self.weight.T)


def test_dassls_crossgrad():
    method = built("crossgrad")
    assert isinstance(method, CrossGrad)

    method.domain_network = Linear(fixed(9, 2, 4))
    terms = method.losses(Linear(fixed(8, 3, 4)), Batch(images=f, labels=y, domains=d))
    assert terms["moved"].item() == pytest.approx(4.08434764735, rel=1e-9)
    assert terms["domain"].item() == pytest.approx(0.515999116249, rel=1e-9)
