"""Methods by name: what a trial learns from. A new one is one file and one line here."""

import torch

from pipeline.methods.active_bias import ActiveBias
from pipeline.methods.clip_kd import CLIPKD
from pipeline.methods.dann import DANN
from pipeline.methods.erm import ERM
from pipeline.methods.fitnet import FitNet
from pipeline.methods.kd import KD
from pipeline.methods.method import Method, Problem
from pipeline.methods.mldg import MLDG
from pipeline.methods.pkt import PKT
from pipeline.methods.rkd import RKD
from pipeline.methods.scmd import SCMD
from pipeline.methods.settings import MethodSettings
from pipeline.methods.swad import SWAD
from pipeline.methods.vl2v import VL2V

METHODS: dict[str, type[Method]] = {
    "active_bias": ActiveBias,
    "clip_kd": CLIPKD,
    "dann": DANN,
    "erm": ERM,
    "fitnet": FitNet,
    "kd": KD,
    "mldg": MLDG,
    "pkt": PKT,
    "rkd": RKD,
    "scmd": SCMD,
    "swad": SWAD,
    "vl2v_adip": VL2V,
}


def build(name: str, settings: MethodSettings, problem: Problem, seed: int) -> Method:
    """A method whose own networks start by `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return METHODS[name](settings, problem)
