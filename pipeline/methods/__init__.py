"""Methods by name: what a trial learns from. A new one is one file and one line here."""

from collections.abc import Sequence
from typing import Any

import torch

from pipeline import config
from pipeline.errors import ConfigError
from pipeline.methods import joined
from pipeline.methods.active_bias import ActiveBias
from pipeline.methods.aflac import AFLAC
from pipeline.methods.cdann import CDANN
from pipeline.methods.clip_kd import CLIPKD
from pipeline.methods.coral import CORAL
from pipeline.methods.crossgrad import CrossGrad
from pipeline.methods.dann import DANN
from pipeline.methods.darkrank import DarkRank
from pipeline.methods.ec_kd import ECKD
from pipeline.methods.erm import ERM
from pipeline.methods.fitnet import FitNet
from pipeline.methods.fnkd import FNKD
from pipeline.methods.focal import Focal
from pipeline.methods.group_dro import GroupDRO
from pipeline.methods.importance_sampling import ImportanceSampling
from pipeline.methods.importance_weighting import ImportanceWeighting
from pipeline.methods.irm import IRM
from pipeline.methods.joined import Joined
from pipeline.methods.kd import KD
from pipeline.methods.label_free import LabelFree
from pipeline.methods.locality import Locality
from pipeline.methods.method import Method, Problem, overrides
from pipeline.methods.miro import MIRO
from pipeline.methods.mixup import Mixup
from pipeline.methods.mldg import MLDG
from pipeline.methods.mmd import MMD
from pipeline.methods.moment_matching import MomentMatching
from pipeline.methods.mutual import Mutual
from pipeline.methods.pkt import PKT
from pipeline.methods.rise import RISE
from pipeline.methods.rkd import RKD
from pipeline.methods.rsc import RSC
from pipeline.methods.scmd import SCMD
from pipeline.methods.settings import MethodSettings
from pipeline.methods.swad import SWAD
from pipeline.methods.unicl import UniCL
from pipeline.methods.vl2v import VL2V
from pipeline.methods.vrex import VREx
from pipeline.methods.xded import XDED
from pipeline.selection.rules import RULES

METHODS: dict[str, type[Method]] = {
    "active_bias": ActiveBias,
    "aflac": AFLAC,
    "cdann": CDANN,
    "clip_kd": CLIPKD,
    "coral": CORAL,
    "crossgrad": CrossGrad,
    "dann": DANN,
    "darkrank": DarkRank,
    "ec_kd": ECKD,
    "erm": ERM,
    "fitnet": FitNet,
    "fnkd": FNKD,
    "focal": Focal,
    "group_dro": GroupDRO,
    "importance_sampling": ImportanceSampling,
    "importance_weighting": ImportanceWeighting,
    "irm": IRM,
    "kd": KD,
    "label_free": LabelFree,
    "locality": Locality,
    "miro": MIRO,
    "mixup": Mixup,
    "mldg": MLDG,
    "mmd": MMD,
    "moment_matching": MomentMatching,
    "mutual": Mutual,
    "pkt": PKT,
    "rise": RISE,
    "rkd": RKD,
    "rsc": RSC,
    "scmd": SCMD,
    "swad": SWAD,
    "unicl": UniCL,
    "vl2v_adip": VL2V,
    "vrex": VREx,
    "xded": XDED,
}

# Names for settings that are known under one: (method, its settings).
NAMED: dict[str, tuple[str, dict[str, Any]]] = {
    # The released code, SeanLeng1/SCMD at f07068b: selection ends by 5000 steps whatever the length, EoA's average begins with
    # update 299; its other values are the method's own defaults.
    "scmd_official": ("scmd", {"nominal_steps": 5000, "averaging": {"rule": "sma", "start": 300}}),
    # Its SCMD_no_CM and SCMD_focal, at the paper's schedule; α is 1, as it cancels there (docs/differences.md).
    "scmd_no_cm": ("scmd", {"lambda2": 0.0}),
    "scmd_focal": ("scmd", {"beside": {"focal": {}}}),
}


def named(name: str, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The method that a name stands for, and its settings with those that come with the name; what is written goes before, and
    joins what stands beside it."""
    method, given = NAMED.get(name, (name, {}))
    both = {**given, **values}
    if "beside" in given and isinstance(values.get("beside"), dict):
        both["beside"] = {**given["beside"], **values["beside"]}
    return method, both


# What a method with a hook of its own does not read of the settings that every method has.
_DECIDED = {"averaging": ("averaging",), "selection": ("select", "random_fraction")}


def decided(method: type[Method]) -> frozenset[str]:
    """Of the settings that every method has those that this one does not read, as it has a rule of its own."""
    return frozenset(key for hook, keys in _DECIDED.items() if overrides(method, hook) for key in keys)


def parse(name: str, values: dict[str, Any], where: str) -> MethodSettings:
    """The settings of a method, those of methods beside it written out. Raises ConfigError, which begins with `where`."""
    settings = config.parse(values, METHODS[name].Settings, where)
    lacking = RULES[settings.select].reads - type(settings).model_fields.keys()
    if lacking:
        raise ConfigError(
            f"{where}: `select: {settings.select}` needs a method with `{min(lacking)}`, and `{name}` has none"
        )
    if ignored := decided(METHODS[name]) & values.keys():
        raise ConfigError(f"{where}: `{min(ignored)}` is no setting of `{name}`, which has a rule of its own")
    if unknown := [other for other in settings.beside if other not in METHODS]:
        raise ConfigError(f"{where}: `beside` names `{unknown[0]}`, which is no method (known: {', '.join(METHODS)})")
    if fault := joined.fault(METHODS[name], {other: METHODS[other] for other in settings.beside}):
        raise ConfigError(f"{where}: `beside`: {fault}")
    beside = {
        other: _of_terms(other, own, f"{where}: `beside.{other}`") for other, own in sorted(settings.beside.items())
    }
    return settings.model_copy(update={"beside": beside})


def _of_terms(name: str, values: dict[str, Any], where: str) -> dict[str, Any]:
    """What is a method's own, written out; what every method may set is the first's to say."""
    if general := [key for key in values if key in MethodSettings.model_fields]:
        raise ConfigError(f"{where}: `{general[0]}` is set for the method that `{name}` stands beside")
    own = METHODS[name].Settings.model_fields.keys() - MethodSettings.model_fields.keys()
    if unknown := sorted(values.keys() - own):
        raise ConfigError(f"{where}: `{unknown[0]}` is not a key here (known: {', '.join(sorted(own)) or 'none'})")
    settings = config.parse(values, METHODS[name].Settings, where)
    return settings.model_dump(exclude=set(MethodSettings.model_fields))


def needs(name: str, settings: MethodSettings) -> frozenset[str]:
    """The fields of `Batch` that a method with these settings reads besides pictures, labels and rows."""
    methods = [METHODS[one].needs for one in (name, *settings.beside)]
    return frozenset().union(RULES[settings.select].needs if settings.hard_fraction < 1 else (), *methods)


def templates(name: str, settings: MethodSettings, sources: Sequence[str]) -> list[str]:
    """The prompts that a method with these settings reads of the cache besides the class embeddings."""
    beside = ((other, METHODS[other].Settings(**own)) for other, own in settings.beside.items())
    asked = (METHODS[one].templates(own, sources) for one, own in ((name, settings), *beside))
    return list(dict.fromkeys(template for some in asked for template in some))


def build(name: str, settings: MethodSettings, problem: Problem, seed: int) -> Method:
    """A method, with those beside it, whose own networks start by `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        first = METHODS[name](settings, problem)
        if not settings.beside:
            return first
        return Joined(
            first,
            {other: METHODS[other](METHODS[other].Settings(**own), problem) for other, own in settings.beside.items()},
        )
