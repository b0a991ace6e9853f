"""One step and one trial on a real, small student."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pipeline import optimiser, training
from pipeline.errors import InputError
from pipeline.evaluation import EvaluationSet, accuracies, predict
from pipeline.methods import METHODS
from pipeline.optimiser import OptimiserSettings
from tests.small_trials import CPU, SAMPLES, Noise, assert_same_end, data_of, judged, run, started


def test_a_step_changes_weights_by_the_sum_of_its_terms():
    trial, reference = started("scmd", hard_fraction=1.0), started("scmd", hard_fraction=1.0)
    batch = next(data_of(judged(), "scmd").stream(0, 1, 0, CPU))
    trial.optimizer = torch.optim.SGD(trial.student.parameters(), 0.1)
    for group in trial.optimizer.param_groups:
        group["base_lr"] = 0.1
    trial.student.train()
    losses = training.update(trial, batch)
    assert list(losses) == ["cross_entropy", "distillation", "cross_modality"]
    model = reference.student.train()
    sum(reference.method.terms(model(batch.images), batch).values()).backward()
    for (name, after), before in zip(trial.student.named_parameters(), model.parameters(), strict=True):
        if name != "log_scale":
            assert torch.allclose(after, before - 0.1 * before.grad, atol=1e-6), name


def test_evaluations_fall_on_domainbeds_steps():
    assert [entry.step for entry in run("scmd").history] == [0, 2, 4]
    assert [entry.step for entry in run("scmd", steps=4).history] == [0, 2, 3]


def test_two_trials_of_one_seed_are_equal_to_the_bit():
    one, two = run("scmd"), run("scmd")
    assert one.history == two.history
    assert all(torch.equal(one.chosen.weights[name], two.chosen.weights[name]) for name in one.chosen.weights)


def test_trials_that_take_turns_in_one_process_do_not_see_each_other():
    """With dropout, whose masks come from the process's own generator."""
    alone = [run(name, dropout=0.5) for name in ("erm", "kd")]
    together = [started(name, dropout=0.5) for name in ("erm", "kd")]
    sets = [data_of(judged(), name) for name in ("erm", "kd")]
    for step in range(5):
        for trial, data in zip(together, sets, strict=True):
            training.learn(trial, next(data.stream(step, step + 1, 0, CPU)))
            trial.step += 1
    for trial, other in zip(together, alone, strict=True):
        for name, tensor in trial.student.state_dict().items():
            assert torch.equal(tensor, other.student.state_dict()[name]), name


def test_labels_and_pictures_of_the_held_out_domain_change_neither_weights_nor_choice():
    labels = judged().labels.copy()
    labels[16:] = 0
    one, two = run("scmd"), run("scmd", of=judged(labels, seed=1))
    assert one.chosen.evaluation.step == two.chosen.evaluation.step
    assert all(torch.equal(tensor, two.chosen.weights[name]) for name, tensor in one.chosen.weights.items())
    assert [each.accuracies["h_in"] for each in one.history] != [each.accuracies["h_in"] for each in two.history]


def test_how_often_a_sample_was_drawn_and_selected_is_counted():
    trial = run("scmd", hard_fraction=0.5)
    data = data_of(judged(), "scmd")
    drawn = np.bincount(np.concatenate([data.drawn(step)[0] for step in range(5)]), minlength=SAMPLES)
    assert trial.drawn.tolist() == drawn.tolist()
    assert (trial.selected.numpy() <= trial.drawn).all()
    # Steps 0 to ⌊5 · 0.75⌋ keep half of 8, the last all.
    assert trial.selected.sum() == 4 * 4 + 8


def kl(teacher, logits):
    """T² · KL(teacher ‖ student) at T = 3, written out."""
    p, q = (teacher / 3).softmax(1), (logits / 3).softmax(1)
    return 9 * (p * (p / q).log()).sum(1).mean()


def by_hand(of: EvaluationSet, count: int, averaged_from: int) -> dict[str, torch.Tensor]:
    """SCMD's loop as the paper tells it, with none of `training`'s functions: weights after the last update."""
    model, kept = started("scmd").student, []
    data = data_of(of, "scmd")
    batches = list(data.stream(0, count + training.STATISTICS_BATCHES, 0, CPU))
    others = [p for name, p in model.named_parameters() if name != "log_scale"]
    groups = [{"params": others, "lr": 1e-4}, {"params": [model.log_scale], "lr": 500.0}]
    optimizer = torch.optim.SGD(groups)
    for number in range(count):
        for group, base in zip(optimizer.param_groups, (1e-4, 500.0), strict=True):
            group["lr"] = base * min(1.0, (number + 1) / 2) * 0.5 * (1 + math.cos(math.pi * number / count))
        batch = batches[number]
        model.train()
        if number <= math.floor(count * 0.75):
            scorer = copy.deepcopy(model.predictor)
            with torch.no_grad():
                losses = F.cross_entropy(scorer(batch.images), batch.labels, reduction="none")
            batch = batch.part(losses.argsort(descending=True)[: len(losses) // 2])
        out = model(batch.images)
        cross = out.log_scale.exp() * F.normalize(out.embeddings, dim=1) @ batch.text.T
        loss = F.cross_entropy(out.logits, batch.labels)
        loss = loss + 0.5 * kl(batch.teacher_logits, out.logits) + 0.5 * kl(batch.teacher_logits, cross)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            model.log_scale.clamp_(0, math.log(100))
        if number + 1 >= averaged_from:
            kept.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
    mean = {
        name: torch.stack([state[name] for state in kept]).mean(0) if first.is_floating_point() else first
        for name, first in kept[0].items()
    }
    model.load_state_dict(mean)
    torch.optim.swa_utils.update_bn((batch.images for batch in batches[count:]), model.predictor)
    return model.state_dict()


@pytest.mark.parametrize("count", [4, 7])
def test_a_trial_is_the_papers_loop_written_out(monkeypatch, count):
    """Selection and its end, the terms, the schedule, the clamp, the average and its statistics, all at once."""
    monkeypatch.setattr(training, "is_better", lambda *_: True)  # the last evaluation's weights
    # Adam would blow rounding up wherever a gradient is nearly nothing.
    monkeypatch.setitem(optimiser.OPTIMISERS, "adamw", torch.optim.SGD)
    settings = OptimiserSettings(name="adamw", lr=1e-4, scale_lr=500.0, schedule="cosine", warmup=2)
    trial = run("scmd", steps=count, optimiser=settings)
    expected = by_hand(judged(), count, averaged_from=2)
    shipped = {f"predictor.{name}": tensor for name, tensor in trial.chosen.weights.items()} | trial.chosen.projection
    assert shipped.keys() == expected.keys()
    for name, tensor in shipped.items():
        if tensor.is_floating_point():
            assert torch.allclose(tensor, expected[name], rtol=1e-4, atol=1e-6), name


def test_the_history_tells_the_scale_and_what_was_learnt_from():
    of = judged()
    trial = run("scmd", of=of)
    last = trial.history[-1]
    assert last.logit_scale == pytest.approx(trial.student.log_scale.exp().item())
    counts = [
        (domain, label, int(trial.selected[at]))
        for at, (domain, label) in enumerate(zip(of.domains, of.labels, strict=True))
    ]
    assert last.learnt_domains == {
        name: sum(count for domain, _, count in counts if domain == at) for at, name in enumerate(of.names)
    }
    assert last.learnt_classes == [sum(count for _, label, count in counts if label == at) for at in range(3)]
    assert sum(last.learnt_classes) == trial.selected.sum() > sum(trial.history[0].learnt_classes) > 0
    assert last.learnt_domains["h"] == 0


def test_a_projection_ships_where_the_method_taught_one():
    assert not run("kd").chosen.projection
    assert not run("scmd", lambda2=0.0).chosen.projection
    assert run("scmd").chosen.projection.keys() == {"projector.weight", "log_scale"}


def test_every_method_begins_with_the_same_weights_and_sees_the_same_images():
    first = data_of(judged(), "erm").stream(0, 1, 0, CPU)
    images, weights = next(first).images, started("erm").student.state_dict()
    for name in METHODS:
        others = started(name).student.state_dict()
        assert all(torch.equal(one, others[key]) for key, one in weights.items())
        assert torch.equal(next(data_of(judged(), name).stream(0, 1, 0, CPU)).images, images)


def test_the_logit_scale_has_its_own_rate_and_no_other_group():
    trial = started("scmd")
    groups = trial.optimizer.param_groups
    assert [group["lr"] for group in groups] == [1e-3, 1e-4]
    assert groups[1]["params"] == [trial.student.log_scale]
    assert sum(len(group["params"]) for group in groups) == len(list(trial.student.parameters()))


def test_warmup_rises_and_cosine_falls_to_zero():
    settings = OptimiserSettings(lr=1.0, schedule="cosine", warmup=4)
    optimizer = optimiser.build([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1.0}], settings)
    seen = []
    for step in range(100):
        optimiser.set_rate(optimizer, settings, step, 100)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen[0] == pytest.approx(0.25)
    assert seen[50] == pytest.approx(0.5)
    assert seen[99] < 1e-3


def test_accuracies_are_by_domain_and_split():
    right = np.zeros(SAMPLES, bool)
    right[[0, 1, 2]] = True  # domain a: out are 0 and 4; in are 1, 2, 3, 5, 6, 7
    shares = accuracies(right, judged())
    assert shares["a_out"] == 0.5
    assert shares["a_in"] == pytest.approx(2 / 6)
    assert shares["b_in"] == shares["h_out"] == 0


class Asked(Noise):
    """Notes the rows of every batch of pictures."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def order(self, rows, views):
        self.rows.append(sorted({int(row) for row in rows}))
        return super().order(rows, views)


def test_only_what_decides_is_looked_at_until_the_end_and_the_result_is_the_same():
    of = replace(judged(), pictures=Asked())
    everything, deciding = run("scmd"), run("scmd", of=of, evaluate="deciding")
    assert_same_weights(everything, deciding)
    assert everything.chosen.evaluation.step == deciding.chosen.evaluation.step
    assert everything.chosen.evaluation.accuracies == pytest.approx(deciding.chosen.evaluation.accuracies)
    outs = [0, 4, 8, 12]  # every fourth sample of the sources
    assert of.pictures.rows.count(outs) == 3
    assert [rows for rows in of.pictures.rows if max(rows) >= 16] == [list(range(SAMPLES))]  # once, at the end
    for one, other in zip(everything.history, deciding.history, strict=True):
        assert one.validation_loss == pytest.approx(other.validation_loss)
        told = {"a_out", "b_out"} if one.step != deciding.chosen.evaluation.step else one.accuracies.keys()
        assert other.accuracies == pytest.approx({name: one.accuracies[name] for name in told})


def assert_same_weights(one, other):
    assert one.chosen.weights.keys() == other.chosen.weights.keys()
    assert all(torch.equal(tensor, other.chosen.weights[name]) for name, tensor in one.chosen.weights.items())


@pytest.mark.parametrize("name", ["scmd", "swad"])
def test_workers_make_the_pictures_of_evaluations_too_and_change_nothing(name):
    alone, helped = started(name), started(name)
    helped.settings = helped.settings.model_copy(update={"workers": 2})
    answers = [training.train(trial, data_of(judged(), name), judged()) for trial in (alone, helped)]
    assert_same_end(alone, helped)
    assert (answers[0].log_probabilities == answers[1].log_probabilities).all()


class Sure(torch.nn.Module):
    """Of class 1, beyond what half precision holds."""

    def forward(self, images):
        return torch.tensor([0.0, 1e6, -1e6]).expand(len(images), -1)


def test_an_answer_beyond_half_precision_is_written_as_its_last_number():
    of = judged()
    found = predict(Sure(), of, (of.pictures[order] for order in of.orders()), CPU)
    assert np.isfinite(found.log_probabilities).all()
    assert (found.answers == 1).all()


def test_the_chosen_weights_answer_to_everything():
    trial = started("erm", evaluate="deciding")
    answers = training.train(trial, data_of(judged(), "erm"), judged())
    right = answers.answers == judged().labels
    assert trial.chosen.evaluation.accuracies["h_in"] == right[judged().split("h", out=False)].mean()


def test_each_of_two_runs_in_a_trial_has_the_whole_schedule_of_the_learning_rate():
    """VL2V-ADiP's, with the average between them; V-REx's leap is within one run."""
    settings = OptimiserSettings(name="adamw", lr=1.0, schedule="cosine")

    def rates(name, **values):
        trial, data, found = started(name, steps=6, optimiser=settings, **values), data_of(judged(), name), []
        for step in range(6):
            training.advance(trial, data, judged(), step + 1)
            found.append(trial.optimizer.param_groups[0]["lr"])
        return found

    half, whole = ([0.5 * (1 + math.cos(math.pi * step / steps)) for step in range(steps)] for steps in (3, 6))
    assert rates("vl2v_adip") == pytest.approx([*half, *half])
    assert rates("vrex", anneal_steps=3) == pytest.approx(whole)
    settings = OptimiserSettings(name="adamw", lr=1.0, warmup=2)
    assert rates("vl2v_adip") == pytest.approx([0.5, 1.0, 1.0] * 2)


def test_a_student_whose_answers_are_no_numbers_is_no_result():
    """The losses of the steps may be finite still: it is the averaged weights that are evaluated."""
    trial = started("erm", steps=4)
    training.advance(trial, data_of(judged(), "erm"), judged(), 2)
    with torch.no_grad():
        for parameter in trial.averaging.model.parameters():
            parameter.fill_(math.nan)
    trial.averaging.update = lambda: None
    with pytest.raises(
        InputError, match="the loss `validation` is no finite number by step 2: training has diverged; set"
    ):
        training.advance(trial, data_of(judged(), "erm"), judged(), 4)


def test_an_overflow_at_the_first_update_does_not_blame_the_rate_alone():
    with pytest.raises(InputError, match=r"by step 0: training has diverged; .* or a weight or temperature"):
        run("kd", lambda1=1e30, temperature=1e30)
