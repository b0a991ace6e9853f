"""The student's parts and the weights that it starts from."""

import math

import pytest
import torch

from pipeline.errors import InputError
from pipeline.student import model as student

SMALL = {"backbone": "resnet10t", "pretrained": False, "batch_norm": "trained"}


def build(seed=0, size=32, **changes):
    settings = student.ModelSettings(**{**SMALL, **changes})
    return student.build(settings, classes=5, embedding=7, size=size, seed=seed)


def test_outputs_have_the_shapes_of_classes_and_teacher_space():
    outputs = build()(torch.randn(3, 3, 32, 32))
    assert outputs.logits.shape == (3, 5)
    assert outputs.embeddings.shape == (3, 7)
    assert outputs.log_scale.item() == pytest.approx(math.log(1 / 0.07))


def test_initial_weights_depend_on_the_seed_alone_and_leave_the_global_generator_be():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = build(seed=1).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    again = build(seed=1).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    other = build(seed=2).state_dict()
    assert not torch.equal(first["predictor.classifier.weight"], other["predictor.classifier.weight"])


def test_a_linear_projector_has_no_bias_and_an_mlp_is_an_option():
    assert [name for name, _ in build().projector.named_parameters()] == ["weight"]
    assert build(projector="mlp")(torch.randn(2, 3, 32, 32)).embeddings.shape == (2, 7)


def test_frozen_statistics_do_not_move_while_their_scale_and_shift_train():
    model = build(batch_norm="frozen").train()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(torch.randn(8, 3, 32, 32) * 9).logits.sum().backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert all(norm.weight.grad is not None for norm in student.batch_norms(model))


def test_the_scale_is_clamped_to_clips_range():
    model = build()
    for value, expected in ((-1.0, 0.0), (9.0, math.log(100)), (3.0, 3.0)):
        with torch.no_grad():
            model.log_scale.fill_(value)
        model.clamp_scale()
        assert model.log_scale.item() == pytest.approx(expected)


def test_an_unknown_backbone_is_refused():
    with pytest.raises(InputError, match="is no model of timm"):
        build(backbone="resnet9000")


def test_weights_that_timm_does_not_know_are_refused_with_those_it_has():
    with pytest.raises(InputError, match=r"timm has no weights `best` of resnet10t \(c3_in1k\)"):
        build(backbone="resnet10t.best")


def test_a_transformer_takes_pictures_of_the_students_size():
    model = build(backbone="vit_tiny_patch16_224", size=48)
    assert model(torch.randn(2, 3, 48, 48)).logits.shape == (2, 5)


def test_weights_that_cannot_be_had_say_how_to_give_a_file(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="set `pretrained` to a local weights file"):
        build(backbone="resnet10t.c3_in1k", pretrained=True)
