"""Bad input, through the command line: one clear sentence, exit code 1, nothing half-written."""

import os
import shutil

import pytest

from pipeline.cache import reader
from pipeline.cache.layout import encode
from pipeline.methods import METHODS, NAMED
from pipeline.views.distribution import COLUMNS
from tests.cache.test_hostile import sign
from tests.conftest import CLASSES, DOMAINS, change, configurations, ok, refused, run_scmd, write_configurations

STUDENT = ("student", "--held-out", "ink", "--method", "scmd")


def nothing_written(project) -> bool:
    return not (project / "cache").exists() and not (project / "results").exists()


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("experiment.yaml", {"colour": 1}, "configs/experiment.yaml: `colour` is not a key here"),
        ("experiment.yaml", {"dataset": 3}, "configs/experiment.yaml: `dataset` is 3"),
        (
            "experiment.yaml",
            {"dataset": "other"},
            "`dataset: other` names configs/datasets/other.yaml, and there is no such file",
        ),
        (
            "experiment.yaml",
            {"images": "elsewhere"},
            "`images` is elsewhere, but the data set `toy` has its `root` at images",
        ),
        ("experiment.yaml", {"images": "~/images"}, "write the path out, as DVC does not know `~`"),
        ("experiment.yaml", {"methods": {"erm": {}}}, "matrix.method names `scmd`"),
        ("experiment.yaml", {"methods": {"erm": {}, "scmd": {"hard_fraction": 0}}}, "`hard_fraction` is 0"),
        (
            "experiment.yaml",
            {"methods": {"erm": {}, "scmd": {"lambda1": float("inf")}}},
            "`lambda1` is inf: input should",
        ),
        (
            "experiment.yaml",
            {"matrix": {"held_out": ["ink"], "method": ["erm"], "trial": [2**31]}},
            "`matrix.trial.0` is 2147483648: input should be less than",
        ),
        (
            "experiment.yaml",
            {"methods": {"erm": {}, "scmd": {}, "magic": {}}},
            f"method `magic` is unknown (known: {', '.join([*METHODS, *NAMED])})",
        ),
        (
            "experiment.yaml",
            {"methods": {"erm": {}, "scmd": {"method": "magic"}}},
            "method `magic` is unknown",
        ),
        (
            "experiment.yaml",
            {"methods": {"erm": {}, "scmd": {}, "a/b": {"method": "kd"}}},
            "method name `a/b`: up to 200 letters",
        ),
        (
            "experiment.yaml",
            {"dataset": "../../escaped"},
            "`dataset` is '../../escaped': is not the name of one folder",
        ),
        ("experiment.yaml", {"student": "$(touch x)"}, "`student` is '$(touch x)': holds '$', which a shell or DVC"),
        ("teachers/tiny.yaml", {"views": 1}, "configs/teachers/tiny.yaml: `views` is 1"),
        ("teachers/tiny.yaml", {"templates": ["a photo"]}, "must hold one {} where the class name goes"),
        ("students/small.yaml", {"steps": "many"}, "configs/students/small.yaml: `steps` is 'many'"),
        ("students/small.yaml", {"averaging": {}}, "set either `start` or `start_fraction`"),
        ("datasets/toy.yaml", {"format": "zip"}, "configs/datasets/toy.yaml: `format` is 'zip'"),
    ],
)
def test_a_wrong_configuration_names_file_and_key(project, name, values, sentence):
    change(project, name, **values)
    assert sentence in refused("samples", cwd=project)
    assert nothing_written(project)


def test_a_held_out_domain_that_the_data_set_lacks(ready):
    message = refused("student", "--held-out", "oil", "--method", "scmd", cwd=ready)
    assert "held-out domain `oil` is not in the data set (its domains: clay, ink, neon)" in message


def test_a_held_out_domain_is_checked_before_stage_one(project):
    change(project, "experiment.yaml", matrix={"held_out": ["oil"], "method": ["scmd"], "trial": [0]})
    assert "held-out domain `oil` is not in the data set" in refused("samples", cwd=project)
    assert nothing_written(project)


def test_a_selection_that_leaves_one_image(ready):
    change(ready, "experiment.yaml", methods={"erm": {}, "scmd": {"hard_fraction": 0.2}})
    assert "`hard_fraction: 0.2` keeps one image of 8; raise it" in refused(*STUDENT, cwd=ready)


def test_a_method_without_settings(ready):
    assert "method `rise` has no settings" in refused("student", "--held-out", "ink", "--method", "rise", cwd=ready)


def test_a_missing_folder(project):
    shutil.rmtree(project / "images")
    assert "images: no such folder; the images belong there as images/<domain>/<class>/<image>" in refused(
        "samples", cwd=project
    )
    assert nothing_written(project)


def test_one_domain(project):
    for domain in DOMAINS[1:]:
        shutil.rmtree(project / "images" / domain)
    assert "at least two domains, found `clay`" in refused("samples", cwd=project)
    assert nothing_written(project)


def test_an_empty_class(project):
    shutil.rmtree(project / "images/ink/disc")
    (project / "images/ink/disc").mkdir()
    assert "images/ink/disc: no image in this class folder" in refused("samples", cwd=project)
    assert nothing_written(project)


def test_a_class_that_only_some_domains_have_is_a_warning(project):
    shutil.rmtree(project / "images/ink/disc")
    assert "warning: domain `ink` has no image of disc" in ok("samples", cwd=project)


def test_all_images_unreadable(project):
    for path in (project / "images").rglob("*.png"):
        path.write_bytes(b"broken")
    message = refused("samples", cwd=project)
    assert "none of the images of domain `clay` can be read (the first, clay/disc/0.png: not an image" in message
    assert nothing_written(project)


def test_some_images_unreadable_are_set_aside_and_the_run_goes_on(project):
    (project / "images/ink/disc/0.png").write_bytes(b"")
    assert "1 not taken, empty file:\n  ink/disc/0.png: empty file" in ok("samples", cwd=project)


@pytest.mark.parametrize(
    ("stage", "sentence"),
    [
        (("teacher",), "no samples table here; run `scmd samples` first"),
        (("pixels",), "no samples table here"),
        (STUDENT, "no samples table here"),
        (("students",), "no samples table here"),
        (("report",), "no samples table here"),
    ],
)
def test_a_stage_before_its_time_names_the_one_to_run(project, stage, sentence):
    assert sentence in refused(*stage, cwd=project)
    assert nothing_written(project)


def test_no_cache_and_no_pixels(ready):
    shutil.rmtree(ready / "cache/toy/pixels-24")
    assert "no rendered pixels here; run `scmd pixels` first" in refused(*STUDENT, cwd=ready)
    shutil.rmtree(ready / "cache/toy/tiny")
    assert "no teacher cache here; run `scmd teacher`" in refused(*STUDENT, cwd=ready)
    assert not (ready / "results").exists()


@pytest.mark.parametrize(
    ("values", "difference"),
    [
        ({"templates": ["{}"]}, "templates is"),
        ({"seed": 4}, "drawing: seed is 0 in the cache, 4 is expected"),
        ({"views": 7}, "3 views where the teacher's configuration asks for 7"),
    ],
)
def test_a_cache_made_with_other_prompts_or_views(ready, values, difference):
    change(ready, "teachers/tiny.yaml", **values)
    assert difference in refused(*STUDENT, cwd=ready)
    assert not (ready / "results").exists()


def test_a_cache_made_by_another_teacher(ready, tiny_teacher):
    shutil.copytree(tiny_teacher, ready / "other")
    weights = ready / "other/open_clip_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    change(ready, "teachers/tiny.yaml", model="local-dir:other")
    assert "another teacher cache than the configuration asks for: weights_sha256 is" in refused(*STUDENT, cwd=ready)


def test_weights_that_are_not_here_are_taken_on_trust_and_that_is_said(ready):
    change(ready, "teachers/tiny.yaml", model="local-dir:elsewhere")
    assert "the teacher's weights are not on this machine" in ok(*STUDENT, cwd=ready)


def test_a_cache_with_numbers_of_no_view(ready):
    cache = reader.open_any(ready / "cache/toy/tiny")
    chunk = cache.column("views")[:16, 2:3]
    chunk[5, 0, COLUMNS.index("order")] = 99
    (cache.folder / "views/c/0/2/0").write_bytes(encode(chunk, "raw"))
    sign(cache.folder, "views/c/0/2/0")
    for command in (STUDENT, ("cache", "verify", "--replay", "9")):
        assert "row 5, view 2: its eleven numbers are not those of a view" in refused(*command, cwd=ready)


def test_a_name_that_is_no_text(project):
    (project / "images/ink/disc").joinpath(os.fsdecode(b"\xff.png")).write_bytes(b"x")
    assert "a name that is no UTF-8; rename this file or its folder" in refused("samples", cwd=project)
    assert nothing_written(project)


def test_a_cache_made_from_other_images(ready):
    shutil.copy(ready / "images/ink/disc/0.png", ready / "images/ink/disc/copy.png")
    with (ready / "images/ink/disc/copy.png").open("ab") as stream:
        stream.write(b"one more byte, another image")
    ok("samples", cwd=ready)
    assert "1 of 37 images are not in this cache, first ink/disc/copy.png" in refused(*STUDENT, cwd=ready)


def test_images_missing_where_only_the_cache_was_pulled(ready):
    shutil.rmtree(ready / "images")
    message = refused(*STUDENT, cwd=ready)
    assert "is missing; the data set's images belong under images (a teacher cache holds none)" in message


def test_a_hub_teacher_without_a_network(project):
    ok("samples", cwd=project)
    change(project, "teachers/tiny.yaml", model="ViT-B-32-quickgelu", weights="openai")
    message = refused("teacher", cwd=project, env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(project / "hub")})
    assert "cannot be downloaded" in message
    assert "set `weights` to a local file or `model` to a `local-dir:` folder" in message
    assert not (project / "cache/toy/tiny").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(ready):
    change(ready, "teachers/tiny.yaml", views=4)
    (ready / "cache/toy/tiny").chmod(0o500)
    assert "cannot be written" in refused("teacher", cwd=ready)


def test_parquet_runs_the_same_pipeline(tmp_path, tiny_teacher, made):
    import pyarrow as pa
    import pyarrow.parquet as pq

    places = [(d, c, n) for d in DOMAINS for c in range(len(CLASSES)) for n in range(6)]
    table = pa.table(
        {
            "image": [{"bytes": (made / "images" / d / CLASSES[c] / f"{n}.png").read_bytes()} for d, c, n in places],
            "domain": [d for d, *_ in places],
            "label": [c for _, c, _ in places],
        }
    )
    pq.write_table(table, tmp_path / "all.parquet")
    write_configurations(tmp_path, configurations(tiny_teacher, "all.parquet"))
    change(tmp_path, "datasets/toy.yaml", format="parquet", classes=list(CLASSES))
    for stage in (("samples",), ("teacher",), ("pixels",), STUDENT, ("report",)):
        ok(*stage, cwd=tmp_path)
    # The same pictures have the same ids, so the cache is the one that the folder gave.
    for name in ("rows.parquet", "image_features/c/0/1/0", "logits/c/2/2/0"):
        assert (tmp_path / "cache/toy/tiny" / name).read_bytes() == (made / "cache/toy/tiny" / name).read_bytes()


def test_a_source_domain_with_nothing_to_validate_on_is_refused(ready):
    change(ready, "students/small.yaml", split={"holdout_fraction": 0.01})
    assert "has no image in its out split of trial 0, by which the checkpoint is chosen" in refused(*STUDENT, cwd=ready)
    assert not (ready / "results").exists()


def test_a_diverged_training_is_no_result(ready):
    change(ready, "students/small.yaml", optimiser={"name": "adamw", "lr": 1e30})
    assert "training has diverged; set a smaller `optimiser.lr`" in refused(*STUDENT, cwd=ready)
    assert not (ready / "results").exists()


def test_a_report_leaves_out_trials_of_other_settings(ready):
    ok("student", "--held-out", "ink", "--method", "erm", cwd=ready)
    assert "1 of 2 trials are done. `scmd students` runs the rest." in ok("report", cwd=ready)
    change(ready, "experiment.yaml", methods={"erm": {"hard_fraction": 0.5}, "scmd": {}})
    assert "no finished trial of this experiment here; run `scmd students` first" in refused("report", cwd=ready)


def test_a_damaged_card_is_named(ready):
    ok("student", "--held-out", "ink", "--method", "erm", cwd=ready)
    card = "results/trials/small/ink/erm/hparams-0/trial-0/card.json"
    (ready / card).write_text("{")
    done = run_scmd("report", cwd=ready)
    assert f"warning: {card}: not the card of a finished trial; the trial is to be run again" in done.stderr
    assert "no finished trial of this experiment here" in done.stderr


@pytest.mark.parametrize(
    ("matrix", "sentence"),
    [({"trial": [-1]}, "greater than or equal to 0"), ({"held_out": ["ink", "ink"]}, "names `ink` twice")],
)
def test_an_impossible_matrix_is_refused_before_anything_runs(project, matrix, sentence):
    change(project, "experiment.yaml", matrix={"held_out": ["ink"], "method": ["erm"], "trial": [0], **matrix})
    assert sentence in refused("samples", cwd=project)
    assert nothing_written(project)
