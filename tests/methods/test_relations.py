"""Distillation of features, relations and rankings against their definitions in NumPy, and at their edges."""

from itertools import permutations

import numpy as np
import pytest
import torch

from pipeline.batches import Batch, Outputs
from pipeline.errors import ConfigError
from pipeline.methods import parse, templates
from pipeline.methods.darkrank import log_probability
from pipeline.methods.locality import affinities
from tests.small_outputs import CLASSES, EMBEDDING, LABELS, WIDTH, cross_entropies, made, numbers, said, softmax, unit
from tests.small_trials import run, started


def features_of_teacher(count: int = 8) -> torch.Tensor:
    return 3 * torch.randn(count, EMBEDDING, generator=torch.Generator().manual_seed(7))


def test_fnkd_scales_logits_by_the_length_of_their_features():
    method, outputs = made("fnkd", lambda1=0.4, tau=5.0), said()
    teacher = 9 * torch.randn(8, CLASSES)
    z = numbers(outputs.logits) / np.linalg.norm(numbers(outputs.features), axis=1, keepdims=True)
    q, p = softmax(5 * z), softmax(5 * numbers(teacher) / 10)  # 10: the cache's exp(logit scale)
    expected = 0.4 * (p * np.log(p / q)).sum(1).mean()
    found = method.terms(outputs, Batch(labels=LABELS, teacher_logits=teacher))["distillation"]
    assert found.item() == pytest.approx(expected, rel=1e-4)


def test_ec_kd_weighs_distances_by_what_is_not_learnt_yet():
    method, outputs = made("ec_kd", lambda1=0.6), said()
    teacher = features_of_teacher()
    missing = 1 - np.exp(-cross_entropies(outputs.logits, LABELS))
    away = ((numbers(outputs.features) @ numbers(method.head.weight).T - numbers(teacher)) ** 2).mean(1)
    terms = method.terms(outputs, Batch(labels=LABELS, teacher_features=teacher))
    assert terms["features"].item() == pytest.approx(0.6 * (missing * away).mean(), rel=1e-5)


def test_locality_draws_the_teachers_neighbours_together():
    method, outputs = made("locality", lambda1=0.2, neighbours=3, width=0.5), said()
    v, f = unit(numbers(features_of_teacher())), numbers(outputs.features)
    total = 0.0
    for i in range(8):
        distances = ((v - v[i]) ** 2).sum(1)
        for j in [j for j in np.argsort(distances, kind="stable") if j != i][:3]:
            total += np.exp(-distances[j] / 0.5) * ((f[i] - f[j]) ** 2).sum()
    terms = method.terms(outputs, Batch(labels=LABELS, teacher_features=features_of_teacher()))
    assert terms["neighbours"].item() == pytest.approx(0.2 * total / 8, rel=1e-4)


def test_neighbours_are_at_most_all_others_and_never_the_sample_itself():
    found = affinities(features_of_teacher(3), neighbours=5, width=1.0)
    assert ((found > 0) == ~torch.eye(3, dtype=torch.bool)).all()
    assert affinities(features_of_teacher(1), 5, 1.0).tolist() == [[0.0]]


def plackett_luce(scores: np.ndarray, order) -> float:
    """The probability of an order, place by place."""
    left, probability = list(order), 1.0
    for first in order:
        probability *= np.exp(scores[first]) / np.exp(scores[left]).sum()
        left.remove(first)
    return probability


@pytest.mark.parametrize("ranking", ["hard", "soft"])
def test_darkrank_ranks_the_nearest_as_the_teacher_does(ranking):
    method, outputs = made("darkrank", lambda1=0.5, ranking=ranking, length=3, alpha=2.0, beta=3.0), said()
    teacher = features_of_teacher()
    score = {
        name: -2 * np.linalg.norm(unit(side)[:, None] - unit(side)[None], axis=2) ** 3
        for name, side in (("teacher", numbers(teacher)), ("student", numbers(outputs.features)))
    }
    losses = []
    for i in range(8):
        nearest = [j for j in np.argsort(-score["teacher"][i]) if j != i][:3]
        mine, theirs = score["student"][i][nearest], score["teacher"][i][nearest]
        if ranking == "hard":
            losses.append(-np.log(plackett_luce(mine, (0, 1, 2))))
        else:
            both = [(plackett_luce(theirs, order), plackett_luce(mine, order)) for order in permutations(range(3))]
            assert sum(p for p, _ in both) == pytest.approx(1)
            losses.append(sum(p * np.log(p / q) for p, q in both))
    found = method.terms(outputs, Batch(labels=LABELS, teacher_features=teacher))["ranking"]
    assert found.item() == pytest.approx(0.5 * np.mean(losses), rel=1e-4)


def test_a_ranking_of_one_is_certain_and_equal_features_have_a_finite_gradient():
    assert log_probability(torch.tensor([[-3.0]])).item() == 0
    features = torch.ones(4, WIDTH, requires_grad=True)
    for ranking in ("hard", "soft"):
        outputs = Outputs(features, said(4).logits, said(4).embeddings, torch.tensor(2.6))
        batch = Batch(labels=LABELS[:4], teacher_features=torch.ones(4, EMBEDDING))
        sum(made("darkrank", ranking=ranking).terms(outputs, batch).values()).backward()
        assert torch.isfinite(features.grad).all()


def test_miro_is_the_gaussian_likelihood_of_the_teachers_features():
    method, outputs = made("miro", lambda1=0.3), said()
    teacher = features_of_teacher()
    with torch.no_grad():
        method.spread.copy_(torch.linspace(-1, 1, EMBEDDING))
    variance = np.log1p(np.exp(np.linspace(-1, 1, EMBEDDING))) + 1e-5
    mean = numbers(method.mean(outputs.features))
    expected = 0.3 * (np.log(variance) + (numbers(teacher) - mean) ** 2 / variance).mean() / 2
    terms = method.terms(outputs, Batch(labels=LABELS, teacher_features=teacher))
    assert terms["information"].item() == pytest.approx(expected, rel=1e-4)


def test_miros_encoders_start_at_a_tenth_and_have_a_rate_of_their_own():
    assert made("miro").variance.tolist() == pytest.approx([0.1] * EMBEDDING, rel=1e-5)
    assert started("miro", rate=7.0).optimizer.param_groups[-1]["lr"] == pytest.approx(7e-3)


def test_unicl_contrasts_images_with_the_texts_of_all_labels_of_the_batch():
    method, outputs = made("unicl", lambda1=0.8), said()
    text = method.problem.text
    labels = torch.tensor([0, 1, 1, 2, 2, 2, 3, 0])
    e, x = unit(numbers(outputs.embeddings)), numbers(text)[labels.numpy()]
    alike = np.exp(2.6) * e @ x.T
    both = 0.0
    for side in (alike, alike.T):
        logs = np.log(softmax(side))
        both += np.mean([-np.mean(logs[i][labels.numpy() == int(labels[i])]) for i in range(8)])
    found = method.terms(outputs, Batch(labels=labels, text=text))["contrast"]
    assert found.item() == pytest.approx(0.8 * both / 2, rel=1e-4)


def test_label_free_is_the_cross_modal_divergence_alone_and_reads_no_label():
    method, outputs = made("label_free", lambda1=0.7, temperature=2.0), said()
    text, teacher = method.problem.text, 5 * torch.randn(8, CLASSES)
    c = np.exp(2.6) * unit(numbers(outputs.embeddings)) @ numbers(text).T
    q, p = softmax(c / 2), softmax(numbers(teacher) / 2)
    terms = method.terms(outputs, Batch(teacher_logits=teacher, text=text))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {"cross_modality": 0.7 * 4 * (p * np.log(p / q)).sum(1).mean()}, rel=1e-4
    )


def test_label_free_predicts_by_the_nearest_text_with_the_scale_that_it_learnt():
    trial = run("label_free")
    images = torch.randn(4, 3, 16, 16)
    predictor = trial.predictor.eval()
    embeddings = trial.student.projector(predictor.features(images))
    expected = float(trial.student.log_scale.exp()) * unit(numbers(embeddings)) @ numbers(trial.method.text).T
    assert numbers(predictor(images)) == pytest.approx(expected, rel=1e-4)
    assert trial.chosen.projection.keys() == {"projector.weight", "log_scale"}
    assert not any(name.startswith("classifier") for name in trial.chosen.weights)


def test_mutual_learning_draws_each_to_what_the_other_answers():
    method, outputs, peer = made("mutual"), said(), said(seed=1)
    peer.logits.requires_grad_(True)
    outputs.logits.requires_grad_(True)
    terms = method.between(outputs, peer, Batch(labels=LABELS))
    p, q = softmax(numbers(outputs.logits)), softmax(numbers(peer.logits))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {
            "cross_entropy": cross_entropies(outputs.logits, LABELS).mean(),
            "from_peer": (q * np.log(q / p)).sum(1).mean(),
            "peer_cross_entropy": cross_entropies(peer.logits, LABELS).mean(),
            "peer_from_student": (p * np.log(p / q)).sum(1).mean(),
        },
        rel=1e-4,
    )
    assert torch.autograd.grad(terms["from_peer"], peer.logits, allow_unused=True) == (None,)
    assert torch.autograd.grad(terms["peer_from_student"], outputs.logits, allow_unused=True) == (None,)


def test_a_peer_starts_with_other_heads_by_the_seed_alone_learns_and_is_not_shipped():
    trial = started("mutual", steps=2)
    peer = trial.method.peer.predictor.classifier.weight
    assert not torch.equal(peer, trial.student.predictor.classifier.weight)
    torch.manual_seed(9)
    assert torch.equal(peer, started("mutual", steps=2).method.peer.predictor.classifier.weight)
    ended = run("mutual", steps=2)
    assert not torch.equal(ended.method.peer.predictor.classifier.weight, peer)
    assert ended.chosen.weights.keys() == run("erm", steps=2).chosen.weights.keys()


def test_a_peer_of_a_student_with_frozen_statistics_has_them_frozen_too():
    trial = run("mutual", steps=2, batch_norm="frozen")
    assert not any(norm.training for norm in trial.method.peer.modules() if isinstance(norm, torch.nn.BatchNorm2d))


def test_rise_compares_with_the_mean_text_and_with_the_sources_texts_of_the_own_class():
    method, outputs = made("rise", prompts=("a {}", "the {}"), temperature=2.0), said()
    teacher = torch.randn(8, CLASSES, generator=torch.Generator().manual_seed(3))
    texts = {name: numbers(one) for name, one in method.problem.prompts.items()}
    assert list(texts) == ["a {}", "the {}", "a a of a {}", "a b of a {}", "a c of a {}"]
    e, labels = unit(numbers(outputs.embeddings)), LABELS.numpy()
    own = unit((texts["a {}"] + texts["the {}"])[labels])
    domains = np.stack([unit(texts[f"a {name} of a {{}}"])[labels] for name in "abc"], 1)
    p, q = (softmax(np.einsum("bd,bjd->bj", rows, domains)) for rows in (e, own))
    t, z = softmax(numbers(teacher) / 2), softmax(numbers(outputs.logits) / 2)
    expected = {
        "distillation": 0.9 * 4 * (t * np.log(t / z)).sum(1).mean(),
        "classification": 0.1 * cross_entropies(outputs.logits, LABELS).mean(),
        "absolute": 0.5 * (1 - (e * own).sum(1)).mean(),
        "relative": 0.5 * 10 * ((p - q) ** 2).mean(),
    }
    terms = method.terms(outputs, Batch(labels=LABELS, teacher_logits=teacher))
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-4)


def test_rise_refuses_a_single_anchor_and_a_text_without_a_class_and_stands_one_sample():
    for anchors in (["a photo of a {}"], ["a {domain} of a {}"]):
        with pytest.raises(ConfigError, match="compares with texts of several domains, and here is 1"):
            templates("rise", parse("rise", {"anchors": anchors}, "rise"), ["a"])
    with pytest.raises(ConfigError, match=r"'photo' must hold one \{\} where the class name goes"):
        parse("rise", {"prompts": ["photo"]}, "rise")
    outputs = said(1)
    terms = made("rise").terms(outputs, Batch(labels=LABELS[:1], teacher_logits=torch.zeros(1, CLASSES)))
    assert all(torch.isfinite(term) for term in terms.values())
