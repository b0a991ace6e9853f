"""The teacher is open_clip to the letter, and what would silently change it is an error."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.errors import TeacherError
from pipeline.teacher import clip
from pipeline.teacher.settings import Preprocess, TeacherSettings, digest, stated
from tests.conftest import ENVIRONMENT, ROOT, draw_image

CPU = torch.device("cpu")
ICONS = ROOT / "pipeline/data/icons_teacher"
PICTURES = [draw_image(domain, "disc", number) for domain in ("clay", "neon") for number in range(4)]


def bare_weights(folder: Path) -> Path:
    """An open_clip ViT-B-32 as it is built without weights, saved as a bare file."""
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32")
    path = folder / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return path


OPENAI = Preprocess(
    mean=open_clip.OPENAI_DATASET_MEAN, std=open_clip.OPENAI_DATASET_STD, interpolation="bicubic", quick_gelu=False
)


def assert_same_features(teacher: clip.Clip, model, preprocess) -> None:
    """Row by row, ‖a − b‖ ≤ 1e-3 · ‖b‖ and cosine ≥ 0.99999 after half precision."""
    pixels = np.stack([teacher.clean(image) for image in PICTURES])
    ours = teacher.encode_images(pixels, teacher.own_mean, teacher.own_std)
    assert ours.dtype == np.float16
    with torch.inference_mode():
        theirs = model.encode_image(torch.stack([preprocess(image) for image in PICTURES])).numpy()
    ours = ours.astype(np.float64)
    length = np.linalg.norm(theirs, axis=1)
    assert (np.linalg.norm(ours - theirs, axis=1) <= 1e-3 * length).all()
    assert ((ours * theirs).sum(1) / length / np.linalg.norm(ours, axis=1) >= 0.99999).all()


def test_clean_features_of_the_icons_teacher_are_open_clips_own():
    teacher = clip.load(TeacherSettings(model=f"local-dir:{ICONS}"), CPU)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{ICONS}")
    assert_same_features(teacher, model.eval(), preprocess)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_another_precision_is_of_the_image_tower_alone_and_part_of_what_the_teacher_is(precision):
    exact, rough = (
        clip.load(TeacherSettings(model=f"local-dir:{ICONS}", precision=one), CPU) for one in ("float32", precision)
    )
    assert {**exact.facts, "precision": precision} == rough.facts  # a cache that does not say is float32
    pixels = np.stack([exact.clean(image) for image in PICTURES])
    one, other = (
        teacher.encode_images(pixels, teacher.own_mean, teacher.own_std).astype(np.float64)
        for teacher in (exact, rough)
    )
    cosine = (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)
    assert (one != other).any()
    assert (cosine > 0.99).all()
    assert (exact.encode_texts([["a disc"]]) == rough.encode_texts([["a disc"]])).all()


def test_a_float32_teacher_is_real_float32_and_nothing_else_is_told_to_be(monkeypatch):
    teacher, seen = clip.load(TeacherSettings(model=f"local-dir:{ICONS}"), CPU), []
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    monkeypatch.setattr(cudnn, "allow_tf32", True)
    encode = teacher.model.encode_image

    def looked_at(images):
        seen.append((matmul.allow_tf32, cudnn.allow_tf32))
        return encode(images)

    monkeypatch.setattr(teacher.model, "encode_image", looked_at)
    teacher.encode_images(np.stack([teacher.clean(PICTURES[0])]), teacher.own_mean, teacher.own_std)
    assert seen == [(False, False)]
    assert cudnn.allow_tf32


def test_clean_features_of_a_vit_b_32_are_open_clips_own(tmp_path):
    weights = bare_weights(tmp_path)
    teacher = clip.load(TeacherSettings(model="ViT-B-32", weights=weights, preprocess=OPENAI), CPU)
    model, _, preprocess = open_clip.create_model_and_transforms("ViT-B-32", pretrained=str(weights))
    assert teacher.size == 224
    assert_same_features(teacher, model.eval(), preprocess)


def test_text_embeddings_are_open_clips_own(tiny_teacher):
    teacher = clip.load(TeacherSettings(model=f"local-dir:{tiny_teacher}"), CPU)
    ours = teacher.encode_texts([["a disc", "a square"], ["disc", "square"]])
    assert ours.shape == (2, 2, 16)
    tokens = open_clip.get_tokenizer(f"local-dir:{tiny_teacher}")(["a disc", "a square"])
    with torch.inference_mode():
        assert np.allclose(ours[0], teacher.model.encode_text(tokens).numpy(), atol=1e-6)


def test_facts_change_with_the_weights_and_not_with_the_folder(tiny_teacher, tmp_path):
    first = clip.load(TeacherSettings(model=f"local-dir:{tiny_teacher}"), CPU).facts
    shutil.copytree(tiny_teacher, tmp_path / "moved")
    assert clip.load(TeacherSettings(model=f"local-dir:{tmp_path / 'moved'}"), CPU).facts == first
    weights = tmp_path / "moved/open_clip_model.safetensors"
    from safetensors.torch import load_file

    tensors = load_file(weights)
    tensors["logit_scale"] += 0.1
    save_file(tensors, weights)
    changed = clip.load(TeacherSettings(model=f"local-dir:{tmp_path / 'moved'}"), CPU).facts
    assert changed["weights_sha256"] == digest(weights) != first["weights_sha256"]
    assert (
        stated(TeacherSettings(model=f"local-dir:{tmp_path / 'moved'}"))["weights_sha256"] == changed["weights_sha256"]
    )


def test_a_bare_weights_file_must_say_how_its_input_is_prepared(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"x")
    with pytest.raises(TeacherError, match="does not say how its input is prepared"):
        clip.load(TeacherSettings(model="ViT-B-32", weights=file), CPU)


def test_another_activation_than_the_weights_were_trained_with_is_an_error():
    with pytest.raises(TeacherError, match="set `model: ViT-B-32-quickgelu`"):
        clip.load(TeacherSettings(model="ViT-B-32", weights="openai"), CPU)


def test_hub_weights_without_a_network_say_how_to_give_a_local_file(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        TeacherError, match=r"cannot be downloaded.*set `weights` to a local file or `model` to a `local-dir:`"
    ):
        clip.load(TeacherSettings(model="ViT-B-32-quickgelu", weights="openai"), CPU)


def test_unknown_names_list_the_choices(tmp_path):
    with pytest.raises(TeacherError, match="no architecture of open_clip"):
        clip.load(TeacherSettings(model="ViT-Z-1", weights="openai"), CPU)
    with pytest.raises(TeacherError, match=r"neither a file nor one of its tags \(openai, "):
        clip.load(TeacherSettings(model="ViT-B-32", weights="nobody"), CPU)
    with pytest.raises(TeacherError, match="needs `weights`"):
        clip.load(TeacherSettings(model="ViT-B-32"), CPU)
    with pytest.raises(TeacherError, match="must hold open_clip_config"):
        clip.load(TeacherSettings(model=f"local-dir:{tmp_path}"), CPU)


def test_damaged_weights_are_one_sentence(tiny_teacher, tmp_path):
    shutil.copytree(tiny_teacher, tmp_path / "cut")
    weights = tmp_path / "cut/open_clip_model.safetensors"
    os.truncate(weights, 1000)
    with pytest.raises(
        TeacherError, match=r"open_clip_model.safetensors: neither safetensors nor a file by torch.save"
    ):
        clip.load(TeacherSettings(model=f"local-dir:{tmp_path / 'cut'}"), CPU)


STARVED = """
import resource, sys
import numpy as np, torch
from pipeline.errors import ResourceError
from pipeline.teacher import clip
from pipeline.teacher.settings import TeacherSettings
torch.set_num_threads(1)
teacher = clip.load(TeacherSettings(model=f"local-dir:{sys.argv[1]}"), torch.device("cpu"))
pixels = np.zeros((2048, 32, 32, 3), np.uint8)
teacher.encode_images(pixels[:4], teacher.own_mean, teacher.own_std)
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + (10 << 20), now + (10 << 20)))
try:
    teacher.encode_images(pixels, teacher.own_mean, teacher.own_std)
except ResourceError as error:
    print(error)
"""


def test_a_batch_that_does_not_fit_into_memory_names_the_setting(tiny_teacher):
    command = [sys.executable, "-c", STARVED, str(tiny_teacher)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("out of memory with 2048 pictures at once; set a smaller `batch`"), done.stderr


@pytest.mark.parametrize("weights", ["gone.pt", "folder/gone", Path("gone.safetensors")])
def test_a_file_that_is_not_here_states_nothing_and_a_tag_states_itself(weights):
    assert stated(TeacherSettings(model="ViT-B-32", weights="laion2b_s34b_b79k"))["pretrained"] == "laion2b_s34b_b79k"
    assert stated(TeacherSettings(model="ViT-B-32", weights=weights)).keys() == {"model", "stated_preprocess"}


@pytest.mark.parametrize(
    ("key", "value"),
    [("unknown_cfg", {}), ("embed_dim", None), ("text_cfg", {"hf_tokenizer_name": "none/such"})],
)
def test_a_local_teacher_with_a_configuration_that_is_none(tmp_path, tiny_teacher, key, value):
    """open_clip raises whatever it meets, assertions among them."""
    shutil.copytree(tiny_teacher, tmp_path / "other")
    path = tmp_path / "other/open_clip_config.json"
    document = json.loads(path.read_text())
    document["model_cfg"][key] = value
    path.write_text(json.dumps(document))
    with pytest.raises(TeacherError, match="open_clip cannot load it"):
        clip.load(TeacherSettings(model=f"local-dir:{tmp_path / 'other'}"), CPU)


def test_weights_that_git_lfs_has_not_fetched(tmp_path):
    weights = tmp_path / "weights.pt"
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(TeacherError, match=r"weights.pt: a Git LFS pointer and not the file itself"):
        clip.load(TeacherSettings(model="ViT-B-32", weights=weights, preprocess=OPENAI), CPU)


def test_a_torchscript_archive_as_openais_own_is_told_with_its_conversion(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), tmp_path / "clip.pt")
    with pytest.raises(TeacherError, match="a TorchScript archive, which holds a program; convert it: python -c"):
        clip.load(TeacherSettings(model="ViT-B-32", weights=tmp_path / "clip.pt", preprocess=OPENAI), CPU)


def test_a_folder_in_the_users_home_is_found(tiny_teacher, monkeypatch):
    monkeypatch.setenv("HOME", str(tiny_teacher.parent))
    settings = TeacherSettings(model=f"local-dir:~/{tiny_teacher.name}")
    assert clip.load(settings, CPU).facts == clip.load(TeacherSettings(model=f"local-dir:{tiny_teacher}"), CPU).facts


def test_a_model_of_the_hub_is_refused_with_what_to_do():
    with pytest.raises(TeacherError, match=r"hf download timm/ViT-B-16-SigLIP --local-dir FOLDER"):
        clip.load(TeacherSettings(model="hf-hub:timm/ViT-B-16-SigLIP"), CPU)


def changed_teacher(tiny: Path, folder: Path, scale: float | None = None, **towers) -> TeacherSettings:
    """The tiny teacher with another logit scale or image size."""
    shutil.copytree(tiny, folder)
    path = folder / "open_clip_config.json"
    document = json.loads(path.read_text())
    document["model_cfg"]["vision_cfg"] |= towers
    path.write_text(json.dumps(document))
    weights = load_file(folder / "open_clip_model.safetensors")
    if scale is not None:
        weights["logit_scale"] = torch.tensor(scale)
    if towers:
        weights["visual.positional_embedding"] = torch.zeros(25, 32)
    save_file(weights, folder / "open_clip_model.safetensors")
    return TeacherSettings(model=f"local-dir:{folder}")


def test_a_teacher_of_oblong_pictures_is_refused(tiny_teacher, tmp_path):
    with pytest.raises(TeacherError, match="takes pictures of 32 × 48 pixels; only square ones"):
        clip.load(changed_teacher(tiny_teacher, tmp_path / "oblong", image_size=[32, 48]), CPU)


@pytest.mark.parametrize("scale", [12.0, -10.0])
def test_a_logit_scale_beyond_half_precision_is_refused(tiny_teacher, tmp_path, scale):
    with pytest.raises(TeacherError, match="makes logits that half precision does not hold"):
        clip.load(changed_teacher(tiny_teacher, tmp_path / "other", scale), CPU)


def test_prompts_that_would_be_cut_are_refused_with_template_and_class(tiny_teacher):
    teacher = clip.load(TeacherSettings(model=f"local-dir:{tiny_teacher}"), CPU)
    teacher.require_distinct(["a " + "very " * 11 + "small {}"], ["disc", "cat"])  # sixteen tokens, with start and end
    for template, classes, told in (
        ("a " + "very " * 12 + "small {}", ["disc", "cat"], "class `disc` by template 'a very"),
        ("a " + "very " * 11 + "small {}", ["disc", "alarm_clock"], "class `alarm_clock`"),
    ):
        with pytest.raises(
            TeacherError, match=rf"{told}.* is longer than the text context of the teacher \(16 tokens\)"
        ):
            teacher.require_distinct([template], classes)


@pytest.mark.parametrize(
    ("one", "other"), [("cat", "Cat"), ("cat", "cat  "), ("a cat", "a  cat"), ("caf\u00e9", "cafe\u0301")]
)
def test_classes_that_are_the_same_tokens_are_refused(tiny_teacher, one, other):
    teacher = clip.load(TeacherSettings(model=f"local-dir:{tiny_teacher}"), CPU)
    with pytest.raises(TeacherError, match="are the same tokens to the teacher"):
        teacher.require_distinct(["a {}", "{}"], ["dog", one, other])
