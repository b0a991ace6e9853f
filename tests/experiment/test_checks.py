"""What an experiment's settings are refused for before the first step."""

import pytest

from pipeline import methods
from pipeline.errors import ConfigError
from pipeline.experiment.checks import require_derivatives
from pipeline.experiment.rehearsal import require_scoring
from pipeline.student.compute import ComputeSettings
from pipeline.student.settings import ModelSettings
from pipeline.trials.settings import StudentSettings

HALF = methods.parse("scmd", {"scoring": "half_size"}, "here")


def test_a_method_that_differentiates_twice_takes_no_compiled_student():
    compiled = StudentSettings(compute=ComputeSettings(compile=True))
    with pytest.raises(
        ConfigError, match="`mldg` needs second derivatives, which a compiled network has not; leave `comp"
    ):
        require_derivatives(compiled, ("kd", "mldg"))
    require_derivatives(compiled, ("kd", "irm"))
    require_derivatives(StudentSettings(), ("mldg",))


@pytest.mark.parametrize(
    ("backbone", "size", "said"),
    [
        ("test_vit", 32, "needs a backbone that takes pictures of any size, and `test_vit` takes those of one"),
        (
            "test_convnext",
            32,
            "halves the side of 32 pixels: student backbone `test_convnext` cannot take pictures of 16 × 16",
        ),
    ],
)
def test_a_network_that_cannot_be_scored_at_half_size_is_refused(backbone, size, said):
    model = ModelSettings(backbone=backbone, pretrained=False, batch_norm="trained")
    with pytest.raises(ConfigError, match="`scoring: half_size`") as refused:
        require_scoring(model, HALF, size)
    assert said in str(refused.value)
    require_scoring(model, methods.parse("scmd", {}, "here"), size)
    require_scoring(model.model_copy(update={"backbone": "test_resnet"}), HALF, 16)
