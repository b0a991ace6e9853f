"""How a student is computed: what `auto` becomes, what bfloat16 and layouts leave as it was, and that nothing of it is kept."""

import pytest
import timm
import torch

from pipeline import training
from pipeline.student.compute import Compute, ComputeSettings, resolve
from pipeline.trials.trial import shipped
from tests.small_trials import CPU, data_of, judged, run, started

HALF = Compute(torch.bfloat16, channels_last=True, compiled=False)


@pytest.mark.parametrize(
    ("backbone", "here", "on_a_gpu"),
    [
        ("resnet10t", False, True),
        ("mobilenetv3_small_100", True, True),
        ("vit_tiny_patch16_224", False, False),
    ],
)
def test_auto_is_float32_on_a_processor_and_the_layout_that_gains(backbone, here, on_a_gpu, monkeypatch):
    network = timm.create_model(backbone, num_classes=0)
    assert resolve(ComputeSettings(), network, CPU) == Compute(torch.float32, here, compiled=False)
    assert resolve(ComputeSettings(channels_last=not here), network, CPU).channels_last is not here
    for has, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, has=has: has)
        assert resolve(ComputeSettings(), network, torch.device("cuda")) == Compute(expected, on_a_gpu, compiled=False)


@pytest.mark.parametrize("name", ["scmd", "vl2v_adip"])
def test_bfloat16_is_of_the_backbone_alone(name):
    trial, plain = started(name), started(name)
    trial.student.computed_as(HALF)
    batch = next(data_of(judged(), name).stream(0, 1, 0, CPU))
    outputs, others = trial.student(batch.images), plain.student(batch.images)
    for field, tensor in vars(outputs).items():
        assert tensor.dtype == torch.float32, field
        # Eight bits of a mantissa, through a dozen layers.
        assert (tensor - getattr(others, field)).norm() <= 0.05 * tensor.norm(), field
    assert not torch.equal(outputs.features, others.features)
    losses = training.update(trial, batch)
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    assert all(parameter.dtype == torch.float32 for parameter in trial.student.parameters())
    assert all(p.grad is None or p.grad.dtype == torch.float32 for p in trial.student.parameters())
    # What answers to pictures, scores them and is averaged computes so, too.
    logits = trial.predictor(batch.images)
    assert logits.dtype == torch.float32
    assert shipped(trial.student, trial.method).predictor.precision == torch.bfloat16


def test_a_layout_changes_no_tensor_that_is_kept():
    one, other = started("scmd"), started("scmd")
    other.student.computed_as(Compute(torch.float32, channels_last=True, compiled=False))
    for name, tensor in one.student.state_dict().items():
        assert torch.equal(tensor, other.student.state_dict()[name])
    batch = next(data_of(judged(), "scmd").stream(0, 1, 0, CPU))
    assert torch.allclose(one.predictor(batch.images), other.predictor(batch.images), atol=1e-5)


def test_a_whole_trial_in_bfloat16_is_the_same_twice(monkeypatch):
    monkeypatch.setattr("pipeline.trials.trial.resolve", lambda *_: HALF)
    # At 16 px test_resnet ends in planes of 1 × 1, of whose unused weights oneDNN leaves the gradient unwritten in bfloat16.
    one, two = (run("scmd", backbone="resnet10t") for _ in range(2))
    assert one.compute.told() == {"precision": "bfloat16", "channels_last": True, "compiled": False}
    assert one.history == two.history
    assert all(torch.equal(tensor, two.chosen.weights[name]) for name, tensor in one.chosen.weights.items())
    assert {tensor.dtype for tensor in one.chosen.weights.values() if tensor.is_floating_point()} == {torch.float32}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="pinned memory is a GPU's")
def test_a_batch_goes_to_a_gpu_from_pinned_memory():
    place = torch.device("cuda")
    ours, theirs = (next(data_of(judged(), "scmd").stream(0, 1, 0, device)) for device in (place, CPU))
    for name, tensor in vars(theirs).items():
        assert torch.allclose(getattr(ours, name).cpu(), tensor, atol=1e-5)
