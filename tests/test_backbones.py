"""The smallest backbone of every family that timm lists: it trains a step, or is refused in one sentence."""

import pytest
import torch

from tests.backbones import a_step, outcome

# By parameters, one a module of timm. `python -m tests.backbones` goes through all that timm lists.
SMALLEST = (
    "halonet_h1 test_byobnet cait_xxs24_224 coat_tiny convit_tiny convmixer_768_32 test_convnext cpubone_nano "
    "crossvit_tiny_240 csatv2 cs3darknet_focus_s cspnext_tiny davit_tiny deit_tiny_patch16_224 densenet121 dla46x_c "
    "dpn48b edgenext_xx_small efficientformer_l1 efficientformerv2_s0 test_efficientnet efficientvim_m1 "
    "efficientvit_b0 efficientvit_m0 vit_tiny_patch16_dinov3_qkvb fasternet_t0 fastvit_t8 focalnet_tiny_srf "
    "gcvit_xxtiny ghostnet_050 hardcorenas_b hgnetv2_b0 hiera_tiny_224 sam2_hiera_tiny hrnet_w18_small iformer_t "
    "inception_next_atto inception_v3 inception_v4 lcnetv2_small levit_128s lowformer_b0 test_mambaout test_coatnet "
    "poolformerv2_s12 gmlp_ti16_224 lcnet_035 mobilevit_xxs mvitv2_tiny nest_tiny nextvit_small test_nfnet pit_ti_224 "
    "pvt_v2_b0 rdnet_tiny regnetx_002 repghostnet_050 repvit_m1 res2next50 resnest14d test_resnet resnetv2_18 "
    "rexnet_100 selecsls42 legacy_seresnet18 sequencer2d_s shvit_s1 skresnet18 starnet_s050 swiftformer_xs "
    "swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 swinv2_cr_tiny_224 tiny_vit_5m_224 tnt_s_legacy_patch16_224 "
    "tresnet_m twins_svt_small visformer_tiny test_vit vit_tiny_r_s16_p8_224 test_vit_relpos vitamin_small_224 "
    "volo_d1_224 ese_vovnet19b_slim_dw legacy_xception xception41p xcit_nano_12_p8_224 "
).split()


@pytest.fixture(autouse=True)
def deterministic():
    """As trials run on a CPU."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("name", SMALLEST)
def test_it_trains_or_is_refused_in_one_sentence(name):
    told = outcome(name)
    assert told.startswith(("trains at", f"refused: student backbone `{name}`"))


def test_compact_families_of_phones_train_at_the_smallest_size():
    """Of these people make students, and their output is wider than timm's `num_features`."""
    for name in (
        "mobilenetv3_small_050",
        "mobilenetv4_conv_small_035",
        "ghostnet_050",
        "lcnet_035",
        "hgnetv2_b0",
        "vgg11",
    ):
        a_step(name, 32)
