"""Every configuration under `configs/` is valid, and every experiment's parts exist."""

import pytest

from pipeline import config
from pipeline.experiment import places
from pipeline.experiment.schema import Experiment
from pipeline.samples.dataset import DatasetSettings
from pipeline.teacher.settings import TeacherSettings
from pipeline.trials.settings import StudentSettings
from tests import settings_page
from tests.conftest import ROOT

KINDS = {"datasets": DatasetSettings, "teachers": TeacherSettings, "students": StudentSettings, "configs": Experiment}
FILES = sorted((ROOT / "configs").rglob("*.yaml"))


def test_the_walk_finds_every_kind():
    assert {path.parent.name for path in FILES} == set(KINDS)
    assert len(FILES) >= 15


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_configuration_validates(path):
    config.load(path, KINDS[path.parent.name])


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_an_experiment_finds_its_parts(path):
    plan = places.load(path)
    if plan.dataset.domains:
        assert set(plan.experiment.matrix.held_out) <= set(plan.dataset.domains)


def test_the_papers_student_is_the_papers():
    student = config.load(ROOT / "configs/students/resnet50.yaml", StudentSettings)
    assert student == StudentSettings(workers=4)
    assert (student.model.backbone, student.model.batch_norm) == ("resnet50.tv2_in1k", "frozen")
    assert (student.optimiser.name, student.optimiser.lr, student.optimiser.scale_lr) == ("adam", 5e-5, 1e-4)
    assert (student.steps, student.batch, student.averaging.start, student.evaluate_every) == (5001, 32, 300, 300)


def test_published_counts_are_domainbeds():
    totals = {"pacs": 9991, "vlcs": 10729, "office_home": 15588, "terra_incognita": 24330, "domain_net": 586575}
    for name, total in totals.items():
        settings = config.load(ROOT / f"configs/datasets/{name}.yaml", DatasetSettings)
        assert sum(settings.expected.values()) == total
        assert list(settings.expected) == sorted(settings.domains)


def test_the_page_of_settings_is_the_schemas():
    """`python -m tests.settings_page` writes it."""
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.page()


def test_every_setting_has_a_meaning():
    rows = [
        line.split(" | ")
        for line in settings_page.page().splitlines()
        if line.startswith("| ") and "meaning" not in line
    ]
    assert len(rows) > 70
    assert not [row[0] for row in rows if not row[-1].strip(" |")]
