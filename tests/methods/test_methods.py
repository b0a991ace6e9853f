"""Each method's terms against an independent computation, and the hook that it stands for at work in a trial."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from pipeline import training
from pipeline.batches import Batch, Outputs
from pipeline.methods import METHODS
from pipeline.stage_two.data import CACHE_COLUMNS, FROM_TEXT
from tests.small_outputs import EMBEDDING, LABELS, WIDTH, cross_entropies, made, said, unit
from tests.small_trials import CPU, SAMPLES, data_of, judged, run, started

# FitNet: teacher features, and a head of its own.


def test_fitnet_is_the_mean_squared_distance_to_the_teachers_features():
    method, outputs = made("fitnet", lambda1=0.7), said()
    features = torch.randn(8, EMBEDDING) * 9
    terms = method.terms(outputs, Batch(labels=LABELS, teacher_features=features))
    mapped = outputs.features.detach().double().numpy() @ method.head.weight.detach().double().numpy().T
    assert terms["features"].item() == pytest.approx(0.7 * ((mapped - features.numpy()) ** 2).mean(), rel=1e-5)
    assert terms["cross_entropy"].item() == pytest.approx(cross_entropies(outputs.logits, LABELS).mean(), rel=1e-5)


def test_fitnets_head_starts_as_the_official_codes_and_by_the_seed_alone():
    weight = made("fitnet").head.weight
    assert weight.abs().max() <= 0.005
    assert weight.abs().max() > 0.004
    torch.manual_seed(9)
    assert torch.equal(weight, made("fitnet").head.weight)


def test_fitnets_head_learns_with_the_student_and_is_not_shipped():
    before = started("fitnet").method.head.weight.clone()
    trial = run("fitnet")
    assert not torch.equal(trial.method.head.weight, before)
    assert not any("head" in name and name.startswith("head") for name in trial.chosen.weights)
    assert trial.chosen.weights.keys() == run("erm").chosen.weights.keys()


# RKD, PKT, CLIP-KD: relations within a batch.


def huber(one: np.ndarray, other: np.ndarray) -> float:
    apart = np.abs(one - other)
    return np.where(apart < 1, apart**2 / 2, apart - 0.5).mean()


def relations(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances by their mean, (B, B), and cosines of angles, (B, B, B), pair by pair and triple by triple."""
    count = len(features)
    lengths = np.array([[np.linalg.norm(a - b) for b in features] for a in features])
    cosines = np.zeros((count,) * 3)
    for i in range(count):
        for j in range(count):
            for k in range(count):
                if lengths[i, j] and lengths[i, k]:
                    to = (features[j] - features[i]) @ (features[k] - features[i])
                    cosines[i, j, k] = to / lengths[i, j] / lengths[i, k]
    return lengths / lengths[lengths > 0].mean(), cosines


def test_rkd_compares_distances_and_angles_written_out():
    method, outputs = made("rkd", lambda1=0.5, distance_weight=20, angle_weight=30), said()
    outputs.embeddings[5] = outputs.embeddings[2]  # two that are the same
    features = 3 * torch.randn(8, EMBEDDING)
    terms = method.terms(outputs, Batch(labels=LABELS, teacher_features=features))
    (distances, angles), (far, wide) = (
        relations(one.double().numpy()) for one in (outputs.embeddings.detach(), features)
    )
    assert terms["distances"].item() == pytest.approx(0.5 * 20 * huber(distances, far), rel=1e-5)
    assert terms["angles"].item() == pytest.approx(0.5 * 30 * huber(angles, wide), rel=1e-5)


def test_pkt_is_the_divergence_of_neighbourhoods_written_out():
    method, outputs = made("pkt", lambda1=2), said()
    features = 3 * torch.randn(8, EMBEDDING)
    terms = method.terms(outputs, Batch(labels=LABELS, teacher_features=features))
    sides = []
    for one in (outputs.features.detach(), features):
        near = (unit(one.double().numpy()) @ unit(one.double().numpy()).T + 1) / 2
        np.fill_diagonal(near, 0)
        sides.append(near / near.sum(1, keepdims=True))
    q, p = sides
    off = ~np.eye(8, dtype=bool)
    expected = 2 * (p[off] * np.log(p[off] / q[off])).sum() / 8
    assert terms["neighbourhoods"].item() == pytest.approx(expected, rel=1e-4)


def test_clip_kd_compares_features_and_the_batchs_texts_written_out():
    method, outputs = made("clip_kd", feature_weight=0.3, relation_weight=0.6), said()
    features, text = 3 * torch.randn(8, EMBEDDING), method.problem.text
    terms = method.terms(outputs, Batch(labels=LABELS, teacher_features=features, text=text))
    student, teacher = (unit(one.detach().double().numpy()) for one in (outputs.embeddings, features))
    texts = text.double().numpy()[LABELS.numpy()]
    assert terms["features"].item() == pytest.approx(0.3 * ((student - teacher) ** 2).sum(1).mean(), rel=1e-5)
    p, q = (np.exp(scale * side @ texts.T) for scale, side in ((10.0, teacher), (np.exp(2.6), student)))
    p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    assert terms["relations"].item() == pytest.approx(0.6 * (p * np.log(p / q)).sum(1).mean(), rel=1e-4)


@pytest.mark.parametrize("name", ["rkd", "pkt", "clip_kd"])
def test_one_sample_has_no_relations_and_equal_ones_a_finite_gradient(name):
    method = made(name)
    for outputs in (said(1), said(1)):
        text, features = method.problem.text, torch.randn(1, EMBEDDING)
        batch = Batch(labels=LABELS[:1], teacher_features=features, text=text)
        relating = {k: t for k, t in method.terms(outputs, batch).items() if k not in ("cross_entropy", "features")}
        assert all(term.item() == pytest.approx(0, abs=1e-5) for term in relating.values())
    embeddings = torch.randn(2, EMBEDDING)[[0, 0, 1]].requires_grad_(True)
    outputs = Outputs(
        torch.randn(2, WIDTH)[[0, 0, 1]].requires_grad_(True), said(3).logits, embeddings, torch.tensor(2.6)
    )
    batch = Batch(labels=LABELS[:3], teacher_features=torch.randn(3, EMBEDDING), text=method.problem.text)
    sum(method.terms(outputs, batch).values()).backward()
    for one in (outputs.features, embeddings):
        assert one.grad is None or one.grad.abs().max() < 1e4


# DANN: a network and an optimiser group of its own.


def test_danns_features_get_the_reversed_gradient_and_its_discriminator_the_plain_one():
    method, outputs = made("dann", weight=0.3), said()
    batch = Batch(labels=LABELS, domains=torch.tensor([0, 0, 0, 1, 1, 1, 2, 2]))
    method.terms(outputs, batch)["domain"].backward()
    plain = outputs.features.detach().clone().requires_grad_(True)
    weight = method.discriminator[0].weight
    turned, own = outputs.features.grad.clone(), weight.grad.clone()
    weight.grad = None
    F.cross_entropy(method.discriminator(plain), batch.domains).backward()
    assert torch.allclose(turned, -0.3 * plain.grad, atol=1e-7)
    assert torch.allclose(own, weight.grad)


def test_danns_discriminator_has_a_rate_of_its_own():
    trial = started("dann", discriminator_lr=0.02)
    own = {id(parameter) for parameter in trial.method.parameters()}
    (group,) = [g for g in trial.optimizer.param_groups if {id(p) for p in g["params"]} & own]
    assert {id(p) for p in group["params"]} == own
    assert group["lr"] == 0.02
    assert started("dann").optimizer.param_groups[-1]["lr"] == 1e-3


# MLDG: a step of its own.


def test_mldg_is_the_loss_after_a_step_of_gradient_descent_written_out():
    """In the gradients, too: those of F(θ) + β · G(θ − α · ∇F(θ)) by finite differences along a random direction."""
    trial = started("mldg", inner_lr=0.05, beta=0.5, batch_norm="frozen")
    data = data_of(judged(), "mldg")
    batch = next(data.stream(0, 1, 0, CPU))
    student = trial.student.double().train()
    with (
        torch.no_grad()
    ):  # away from where a fresh network has corners: norms whose scale is zero feed exact zeros to ReLU
        for parameter in student.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4))
    batch = Batch(images=batch.images.double(), labels=batch.labels, domains=batch.domains)
    losses = trial.method.losses(student, batch)
    inside, tested = batch.domains == 1, batch.domains == 0  # the first update tests the first domain

    def loss_at(parameters: dict, part) -> torch.Tensor:
        logits = torch.func.functional_call(student.predictor, parameters, (batch.images[part],))
        return F.cross_entropy(logits, batch.labels[part])

    def objective(parameters: dict) -> float:
        held = {name: value.detach().clone().requires_grad_(True) for name, value in parameters.items()}
        first = loss_at(held, inside)
        gradients = torch.autograd.grad(first, list(held.values()))
        ahead = {name: held[name] - 0.05 * g for name, g in zip(held, gradients, strict=True)}
        return float(first + 0.5 * loss_at(ahead, tested))

    parameters = dict(student.predictor.named_parameters())
    assert sum(losses.values()).item() == pytest.approx(objective(parameters), rel=1e-9)
    sum(losses.values()).backward()
    random = torch.Generator().manual_seed(3)
    direction = {name: torch.randn(p.shape, generator=random, dtype=p.dtype) for name, p in parameters.items()}
    slope = sum(float((p.grad * direction[name]).sum()) for name, p in parameters.items())
    near = [objective({name: p + sign * 1e-7 * direction[name] for name, p in parameters.items()}) for sign in (1, -1)]
    assert slope == pytest.approx((near[0] - near[1]) / 2e-7, rel=1e-4)


def test_mldg_learns_a_network_with_attention():
    """Whose fused kernels have no second derivative."""
    trial = run("mldg", backbone="test_vit", batch_norm="frozen", steps=2)
    assert trial.chosen is not None
    assert set(trial.history[-1].terms) == {"meta_train", "meta_test"}


def test_mldg_tests_each_source_in_turn_and_learns_from_a_batch_of_one_domain():
    trial = started("mldg")
    batch = next(data_of(judged(), "mldg").stream(0, 1, 0, CPU))
    for _ in range(3):
        assert list(trial.method.losses(trial.student.train(), batch)) == ["meta_train", "meta_test"]
    assert int(trial.method.updates) == 3
    alone = batch.part(torch.nonzero(batch.domains == 1)[:, 0])
    terms = trial.method.losses(trial.student, alone)
    assert list(terms) == ["meta_train"]
    expected = F.cross_entropy(trial.student(alone.images).logits, alone.labels)
    assert terms["meta_train"].item() == pytest.approx(expected.item())


# Active Bias: state for every row.


@given(st.lists(st.lists(st.tuples(st.integers(0, 4), st.floats(0.01, 0.99)), min_size=1, max_size=6), max_size=6))
def test_active_bias_weighs_by_the_variance_of_what_each_sample_was_given(history):
    method = made("active_bias")
    given_to: dict[int, list[float]] = {row: [] for row in range(5)}
    for batch in history:
        method.remember(
            torch.tensor([row for row, _ in batch]), torch.tensor([p for _, p in batch], dtype=torch.float64)
        )
        for row, probability in batch:
            given_to[row].append(probability)
    deviations = {
        row: np.sqrt(np.var(seen) + np.var(seen) ** 2 / (len(seen) - 1))
        for row, seen in given_to.items()
        if len(seen) > 1
    }
    weights = method.weights(torch.arange(5)).numpy()
    typical = np.mean(list(deviations.values())) if deviations else 0
    raw = np.array([deviations.get(row, typical) + typical for row in range(5)])
    # Where nothing varies, nothing is weighed (1e-9: Chan's moments round differently from NumPy's).
    assert weights == pytest.approx(raw / raw.mean() if typical > 1e-9 else np.ones(5), rel=1e-5) or typical < 1e-7


def test_active_bias_is_the_weighted_mean_and_remembers_what_was_drawn():
    method, outputs = made("active_bias"), said()
    rows = torch.tensor([3, 3, 7, 1, 0, 2, 4, 5])
    loss = method.terms(outputs, Batch(labels=LABELS, rows=rows))["weighted"]
    expected = cross_entropies(outputs.logits, LABELS)
    assert loss.item() == pytest.approx(expected.mean(), rel=1e-5)
    assert method.seen.tolist() == [1, 1, 1, 2, 1, 1, 0, 1, 0, 0, 0, 0]
    assert method.mean[7].item() == pytest.approx(np.exp(-expected[2]), rel=1e-5)
    weights = method.weights(rows).numpy()
    again = method.terms(outputs, Batch(labels=LABELS, rows=rows))["weighted"]
    assert again.item() == pytest.approx((weights * expected).mean(), rel=1e-5)


def test_active_bias_remembers_every_sample_that_a_trial_drew():
    trial = run("active_bias")
    assert trial.method.seen.tolist() == trial.drawn.tolist()
    assert len(trial.method.seen) == SAMPLES


# VL2V-ADiP: two phases, and a prediction of its own.


def test_vl2v_draws_embeddings_to_the_teachers_image_and_to_the_labels_text():
    method, outputs = made("vl2v_adip", image_weight=0.3), said()
    features = torch.randn(8, EMBEDDING)
    terms = method.terms(outputs, Batch(labels=LABELS, teacher_features=features, text=method.text))
    embeddings = method.projector(outputs.features).detach().double().numpy()

    def cosine(one, other):
        return (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)

    expected = {
        "image": -0.3 * cosine(embeddings, features.double().numpy()).mean(),
        "text": -0.7 * cosine(embeddings, method.text[LABELS].double().numpy()).mean(),
    }
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, rel=1e-5)


def test_vl2v_trains_the_projector_first_and_then_the_backbone_from_the_average():
    trial, data, of = started("vl2v_adip", steps=6, every=3), data_of(judged(), "vl2v_adip"), judged()
    backbone = {name: p.clone() for name, p in trial.student.predictor.backbone.named_parameters()}
    projector = trial.method.projector.weight.clone()
    training.advance(trial, data, of, 3)
    assert all(torch.equal(p, backbone[name]) for name, p in trial.student.predictor.backbone.named_parameters())
    assert not torch.equal(trial.method.projector.weight, projector)
    averaged = trial.averaging.model.predictor.projector.weight.clone()
    training.advance(trial, data, of, 6)
    assert torch.equal(trial.method.projector.weight, averaged)
    changed = [not torch.equal(p, backbone[name]) for name, p in trial.student.predictor.backbone.named_parameters()]
    assert all(changed)


def test_vl2v_predicts_the_class_whose_text_is_nearest():
    trial = started("vl2v_adip")
    images = torch.randn(4, 3, 16, 16)
    predictor = trial.predictor.eval()
    embeddings = trial.method.projector(predictor.backbone(images))
    nearest = (F.normalize(embeddings, dim=1) @ trial.method.text.T).argmax(1)
    assert torch.equal(predictor(images).argmax(1), nearest)
    weights = run("vl2v_adip").chosen.weights
    assert {"projector.weight", "text"} <= weights.keys()
    assert not any(name.startswith("classifier") for name in weights)


# SWAD: averaging that evaluations drive.


def test_swad_ships_the_valleys_mean_and_not_the_best_checkpoint():
    trial = run("swad", steps=6, every=1, converged=1, tolerated=2, ratio=9.0)
    # Six evaluations on the way, and one of the mean, which is the result whatever the others were.
    assert [one.step for one in trial.history] == [0, 1, 2, 3, 4, 5, 5]
    assert trial.chosen.evaluation is trial.history[-1]
    # With Ns = 1 and so high a limit the valley is the whole run: the mean of the weights after every update.
    again, states = started("swad", steps=6, every=1, converged=1, tolerated=2, ratio=9.0), []
    for step in range(6):
        training.advance(again, data_of(judged(), "swad"), judged(), step + 1)
        states.append(again.student.predictor.classifier.weight.detach().clone())
    assert torch.allclose(trial.chosen.weights["classifier.weight"], torch.stack(states).mean(0), atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_reads_of_a_batch_only_what_it_says_it_needs(name):
    """The batch holds nothing else, so that a need that is not named would fail here."""
    trial = started(name)
    training.learn(trial, next(data_of(judged(), name).stream(0, 1, 0, CPU)))
    assert all(torch.isfinite(total).all() for total in trial.sums.values())


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_of_one_domain_with_a_class_that_is_absent_and_ties(name):
    trial = started(name, hard_fraction=0.5, batch_norm="frozen")
    batch = next(data_of(judged(), name).stream(0, 1, 0, CPU))
    chosen = torch.nonzero(batch.labels != 2)[:, 0][:2]
    terms = trial.method.losses(trial.student.train(), batch.part(chosen[[0, 0, 1]]))
    assert all(torch.isfinite(term) for term in terms.values())


@pytest.mark.parametrize(
    ("name", "values"),
    [*((name, {}) for name in METHODS), ("darkrank", {"ranking": "soft"}), ("scmd", {"lambda2": 0.0})],
)
def test_a_batch_of_one_image_has_finite_terms_and_gradients(name, values):
    trial = started(name, batch_norm="frozen", **values)
    batch = next(data_of(judged(), name).stream(0, 1, 0, CPU)).part(torch.tensor([1]))
    terms = trial.method.losses(trial.student.train(), batch)
    torch.stack(list(terms.values())).sum().backward()
    parameters = [*trial.student.parameters(), *trial.method.parameters()]
    gradients = [one.grad for one in parameters if one.grad is not None]
    assert gradients
    assert all(torch.isfinite(one).all() for one in (*terms.values(), *gradients))


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_needs_can_be_had(name):
    assert METHODS[name].needs <= {*CACHE_COLUMNS, *FROM_TEXT, "domains"}


def test_mldg_learns_from_the_whole_where_one_image_is_left_of_a_domain():
    trial = started("mldg")
    batch = next(data_of(judged(), "mldg").stream(0, 1, 0, CPU)).part(torch.arange(5))
    assert list(trial.method.losses(trial.student.train(), batch)) == ["meta_train"]
