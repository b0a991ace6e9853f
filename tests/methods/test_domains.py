"""Methods over source domains against their definitions in NumPy, and at their edges."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline import training
from pipeline.batches import Batch, Outputs
from pipeline.methods.coral import apart
from pipeline.methods.grouping import groups
from pipeline.methods.irm import penalty
from pipeline.methods.mmd import discrepancy
from pipeline.methods.rsc import left
from tests.small_outputs import CLASSES, LABELS, WIDTH, cross_entropies, made, numbers, said, softmax
from tests.small_trials import CPU, data_of, judged, run, started

DOMAINS = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2])
PARTS = [np.flatnonzero(DOMAINS.numpy() == domain) for domain in range(3)]


def batch_of(**more) -> Batch:
    return Batch(labels=LABELS, domains=DOMAINS, **more)


def pairs_of(features: np.ndarray, distance) -> float:
    return np.mean([distance(features[one], features[other]) for one, other in combinations(PARTS, 2)])


def test_coral_is_the_mean_over_pairs_of_the_distances_of_moments():
    method, outputs = made("coral", weight=0.7), said()

    def distance(one, other):
        covariances = np.cov(one.T) - np.cov(other.T)
        return ((one.mean(0) - other.mean(0)) ** 2).mean() + (covariances**2).mean()

    expected = 0.7 * pairs_of(numbers(outputs.features), distance)
    assert method.terms(outputs, batch_of())["correlations"].item() == pytest.approx(expected, rel=1e-5)


def test_coral_of_a_domain_with_one_sample_compares_means_alone():
    one, other = torch.randn(1, 3), torch.randn(4, 3)
    assert apart(one, other).item() == pytest.approx(((one[0] - other.mean(0)) ** 2).mean().item())


def test_mmd_is_the_discrepancy_of_seven_gaussian_kernels():
    method, outputs = made("mmd", weight=0.5), said()

    def kernel(one, other):
        total = 0.0
        for a in one:
            for b in other:
                total += sum(
                    np.exp(-width * ((a - b) ** 2).sum()) for width in (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)
                )
        return total / len(one) / len(other)

    expected = 0.5 * pairs_of(numbers(outputs.features), lambda a, b: kernel(a, a) + kernel(b, b) - 2 * kernel(a, b))
    assert method.terms(outputs, batch_of())["discrepancy"].item() == pytest.approx(expected, rel=1e-4)
    assert discrepancy(outputs.features, outputs.features).item() == pytest.approx(0, abs=1e-6)


def test_moments_are_matched_to_the_second_order():
    method, outputs = made("moment_matching", weight=0.3), said()
    features = numbers(outputs.features)
    orders = [pairs_of(features**order, lambda a, b: np.linalg.norm(a.mean(0) - b.mean(0))) for order in (1, 2)]
    assert method.terms(outputs, batch_of())["moments"].item() == pytest.approx(0.3 * sum(orders), rel=1e-5)


@pytest.mark.parametrize("name", ["coral", "mmd", "moment_matching"])
def test_one_domain_has_nothing_to_be_apart_from_and_equal_features_a_finite_gradient(name):
    method, outputs = made(name), said()
    alone = Batch(labels=LABELS, domains=torch.zeros(8, dtype=torch.int64))
    *_, distance = method.terms(outputs, alone).values()
    assert distance.item() == 0
    features = torch.ones(8, WIDTH, requires_grad=True)
    same = Outputs(features, outputs.logits, outputs.embeddings, outputs.log_scale)
    sum(method.terms(same, batch_of()).values()).backward()
    assert torch.isfinite(features.grad).all()


def risks(logits) -> np.ndarray:
    losses = cross_entropies(logits, LABELS)
    return np.array([losses[part].mean() for part in PARTS])


def test_vrex_adds_the_population_variance_of_risks_and_leaps_once():
    method, outputs = made("vrex", weight=4.0, anneal_steps=1), said()
    for weight in (1.0, 4.0, 4.0):
        terms = method.terms(outputs, batch_of())
        assert terms["risk"].item() == pytest.approx(risks(outputs.logits).mean(), rel=1e-5)
        assert terms["variance"].item() == pytest.approx(weight * risks(outputs.logits).var(), rel=1e-5)


@pytest.mark.parametrize("name", ["vrex", "irm"])
def test_the_average_goes_on_where_the_penalty_leaps(name):
    """EoA's `start` of 3 has the weights after update 2 as the first."""
    trial, data, weights = started(name, steps=5, anneal_steps=4), data_of(judged(), name), []
    for step in range(5):
        training.advance(trial, data, judged(), step + 1)
        weights.append(trial.student.predictor.classifier.weight.detach().clone())
    average = trial.averaging.model.predictor.classifier.weight
    assert torch.allclose(average, torch.stack(weights[1:]).mean(0), atol=1e-7)


@pytest.mark.parametrize("name", ["vrex", "irm"])
def test_the_optimiser_begins_anew_where_the_penalty_leaps_and_the_weights_go_on(name):
    trial = started(name, steps=4, anneal_steps=2)
    assert [phase.first for phase in trial.method.phases()] == [0, 2]
    training.advance(trial, data_of(judged(), name), judged(), 2)
    weights, optimiser = trial.student.predictor.classifier.weight.clone(), trial.optimizer
    update, seen = training.update, []

    def looked_at(one, batch):
        seen.append((one.student.predictor.classifier.weight.clone(), len(one.optimizer.state)))
        return update(one, batch)

    training.update = looked_at
    try:
        training.advance(trial, data_of(judged(), name), judged(), 3)
    finally:
        training.update = update
    assert torch.equal(seen[0][0], weights)
    assert seen[0][1] == 0
    assert trial.optimizer is not optimiser
    assert len(made(name, anneal_steps=0).phases()) == len(made(name, anneal_steps=500).phases()) == 1


def test_irms_penalty_is_the_product_of_two_halves_gradients():
    """By finite differences of the scale."""
    logits, labels = said().logits.double(), LABELS

    def slope(part):
        def at(scale):
            return cross_entropies(scale * logits[part], labels[part]).mean()

        return (at(1 + 1e-6) - at(1 - 1e-6)) / 2e-6

    expected = slope(slice(0, None, 2)) * slope(slice(1, None, 2))
    assert penalty(logits, labels).item() == pytest.approx(expected, rel=1e-4)
    assert penalty(logits[:1], labels[:1]).item() == 0


def test_irm_weighs_the_domains_mean_penalty():
    method, outputs = made("irm", weight=7.0, anneal_steps=0), said()
    terms = method.terms(outputs, batch_of())
    of_domains = [penalty(outputs.logits[part], LABELS[part]).item() for part in PARTS]
    assert terms["invariance"].item() == pytest.approx(7 * np.mean(of_domains), rel=1e-5)
    assert terms["risk"].item() == pytest.approx(risks(outputs.logits).mean(), rel=1e-5)


def test_group_dro_weighs_domains_by_how_they_went():
    method, outputs = made("group_dro", eta=0.5), said()
    shares = np.full(3, 1 / 3)
    for _ in range(2):
        shares = shares * np.exp(0.5 * risks(outputs.logits))
        shares /= shares.sum()
        loss = method.terms(outputs, batch_of())["risk"]
        assert loss.item() == pytest.approx((shares * risks(outputs.logits)).sum(), rel=1e-5)
    # A domain that a batch lacks keeps its share of the sum.
    inside = DOMAINS != 2
    part = Outputs(*(one[inside] for one in (outputs.features, outputs.logits, outputs.embeddings)), outputs.log_scale)
    method.terms(part, Batch(labels=LABELS[inside], domains=DOMAINS[inside]))
    raw = shares * np.exp(0.5 * np.array([*risks(outputs.logits)[:2], 0]))
    assert method.log_shares.exp().numpy() == pytest.approx(raw / raw.sum(), rel=1e-5)


def test_group_dro_outlives_a_loss_of_thousands():
    method, outputs = made("group_dro", eta=1.0), said()
    method.terms(replace(outputs, logits=outputs.logits * 1e4), batch_of())
    assert method.log_shares.exp().sum().item() == pytest.approx(1)
    assert 0 < method.terms(outputs, batch_of())["risk"].item() < 100


def test_mixup_mixes_each_domain_with_the_next_of_a_ring():
    trial = started("mixup", alpha=0.4, batch_norm="frozen")
    student = trial.student.train()
    batch = next(data_of(judged(), "mixup").stream(0, 1, 0, CPU))
    torch.manual_seed(3)
    loss = trial.method.losses(student, batch)["mixed"]
    torch.manual_seed(3)
    ring = torch.randperm(2).tolist()
    expected = []
    for one, other in ((ring[0], ring[1]), (ring[1], ring[0])):
        share = float(torch.distributions.Beta(0.4, 0.4).sample())
        first, second = (batch.part(torch.nonzero(batch.domains == domain)[:, 0]) for domain in (one, other))
        logits = student(share * first.images + (1 - share) * second.images).logits
        expected.append(
            share * cross_entropies(logits, first.labels).mean()
            + (1 - share) * cross_entropies(logits, second.labels).mean()
        )
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-4)


def test_xded_draws_each_answer_to_its_classes_mean():
    method, outputs = made("xded", weight=0.6, temperature=4.0), said()
    z = numbers(outputs.logits)
    means = np.array([z[LABELS.numpy() == label].mean(0) for label in LABELS.numpy()])
    p, together = softmax(z / 4), softmax(means / 4)
    expected = 0.6 * 16 * (together * np.log(together / p)).sum(1).mean()
    outputs.logits.requires_grad_(True)
    term = method.terms(outputs, Batch(labels=LABELS))["ensemble"]
    assert term.item() == pytest.approx(expected, rel=1e-4)
    # The mean is a target: the gradient is that of the cross-entropy to it.
    (gradient,) = torch.autograd.grad(term, outputs.logits)
    assert numbers(gradient) == pytest.approx(0.6 * 4 * (p - together) / 8, rel=1e-3, abs=1e-6)


def test_a_class_with_one_sample_is_its_own_ensemble():
    method = made("xded")
    outputs = said(4)
    assert method.terms(outputs, Batch(labels=LABELS[:4]))["ensemble"].item() == pytest.approx(0, abs=1e-6)


def test_rsc_mutes_the_features_that_a_sample_leans_on_most():
    random = torch.Generator().manual_seed(5)
    features, classifier = torch.randn(8, WIDTH, generator=random), torch.nn.Linear(WIDTH, CLASSES)
    found = numbers(left(features, classifier, LABELS, 1 / 3, 1 / 4))
    # z_y is linear in f, so that its gradient is the label's row of weights.
    weight, bias = numbers(classifier.weight), numbers(classifier.bias)
    leaned = weight[LABELS.numpy()]
    kept = leaned < np.quantile(leaned, 2 / 3, axis=1, keepdims=True)
    at = np.arange(8), LABELS.numpy()
    before, after = (softmax(f @ weight.T + bias)[at] for f in (numbers(features), numbers(features) * kept))
    spared = (before - after) < np.quantile(before - after, 3 / 4)
    assert (found == (kept | spared[:, None])).all()
    assert kept.sum(1).tolist() == [4] * 8
    assert spared.sum() == 6


def test_rsc_learns_from_what_is_left():
    trial = started("rsc", batch_norm="frozen")
    student, batch = trial.student.train(), next(data_of(judged(), "rsc").stream(0, 1, 0, CPU))
    features = student.predictor.features(batch.images)
    mask = left(features, student.predictor.classifier, batch.labels, 1 / 3, 1 / 3)
    expected = cross_entropies(student.predictor.classifier(features * mask), batch.labels).mean()
    assert trial.method.losses(student, batch)["challenged"].item() == pytest.approx(expected, rel=1e-5)
    assert not any(p.grad is not None for p in student.predictor.classifier.parameters())


def test_cdann_tells_domains_by_features_and_label_each_class_weighing_the_same():
    method, outputs = made("cdann", weight=0.3), said()
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    term = method.terms(outputs, Batch(labels=labels, domains=DOMAINS))["domain"]
    told = method.discriminator(outputs.features.detach() + method.classes(labels))
    losses = cross_entropies(told, DOMAINS)
    weights = 1 / np.array([3, 3, 3, 2, 2, 3, 3, 3])
    assert term.item() == pytest.approx((weights * losses).sum() / weights.sum(), rel=1e-5)
    term.backward()
    plain = outputs.features.detach().clone().requires_grad_(True)
    told = method.discriminator(plain + method.classes(labels))
    weighed = torch.tensor(weights / weights.sum(), dtype=torch.float32)
    (weighed * F.cross_entropy(told, DOMAINS, reduction="none")).sum().backward()
    assert torch.allclose(outputs.features.grad, -0.3 * plain.grad, atol=1e-6)


def test_aflac_draws_features_to_what_the_label_says_of_the_domain():
    method, outputs = made("aflac", weight=0.8), said()
    terms = method.terms(outputs, batch_of())
    counts = np.zeros((CLASSES, 3))
    np.add.at(counts, (LABELS.numpy(), DOMAINS.numpy()), 1)
    p = counts[LABELS.numpy()] / counts[LABELS.numpy()].sum(1, keepdims=True)
    q = softmax(numbers(method.discriminator(outputs.features)))
    divergence = np.where(p > 0, p * np.log(np.where(p > 0, p, 1) / q), 0).sum(1).mean()
    assert terms["domain_given_label"].item() == pytest.approx(0.8 * divergence, rel=1e-5)
    # The features learn from one term, the discriminator from the other.
    weight = method.discriminator[0].weight
    assert torch.autograd.grad(terms["domain_given_label"], weight, retain_graph=True, allow_unused=True) == (None,)
    assert torch.autograd.grad(terms["discriminator"], outputs.features, allow_unused=True) == (None,)


def test_crossgrad_moves_pictures_along_the_other_networks_gradient():
    trial = started("crossgrad", alpha=0.25, epsilon=2.0, clip=0.001, batch_norm="frozen")
    student, batch = trial.student.train(), next(data_of(judged(), "crossgrad").stream(0, 1, 0, CPU))
    networks = {"moved": (student, batch.labels), "domain": (trial.method.domain_network, batch.domains)}
    terms = trial.method.losses(student, batch)
    for name, other in (("moved", "domain"), ("domain", "moved")):
        (network, target), (mover, aim) = networks[name], networks[other]
        seen = batch.images.clone().requires_grad_(True)
        F.cross_entropy(mover(seen).logits, aim).backward()
        moved = batch.images + 2 * seen.grad.clamp(-0.001, 0.001)
        plain, there = (cross_entropies(network(one).logits, target).mean() for one in (batch.images, moved))
        assert terms[name].item() == pytest.approx(0.75 * plain + 0.25 * there, rel=1e-4)


def test_crossgrads_network_of_domains_learns_and_is_not_shipped():
    before = started("crossgrad").method.domain_network.predictor.classifier.weight.clone()
    trial = run("crossgrad", steps=2)
    assert not torch.equal(trial.method.domain_network.predictor.classifier.weight, before)
    assert trial.chosen.weights.keys() == run("erm", steps=2).chosen.weights.keys()


def test_groups_are_in_order_and_lose_nobody():
    found = groups(torch.tensor([2, 0, 2, 5]))
    assert [one.tolist() for one in found] == [[1], [0, 2], [3]]


def test_a_selected_batch_with_one_picture_of_a_domain_is_mixed_too():
    """Batch norm at one pixel, as of small pictures, makes nothing of a single picture."""
    trial = started("mixup")
    batch = next(data_of(judged(), "mixup").stream(0, 1, 0, CPU))
    part = batch.part(torch.tensor([0, 1, 2, 4]))
    assert part.domains.tolist() == [0, 0, 0, 1]
    assert torch.isfinite(trial.method.losses(trial.student.train(), part)["mixed"])
