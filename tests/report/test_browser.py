"""The page in a real browser: a job of the embedded data set, shortened, and the default job's own page where it has run."""

import os
import shutil

import pyarrow.parquet as pq
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, sync_playwright

from tests.conftest import ROOT, ok, once

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium here (`apt-get install chromium`)"
)
WIDTHS = (360, 768, 1440)


@pytest.fixture(scope="session")
def short_job(tmp_path_factory):
    """The report of the default job with three of its styles, every third icon, two views and four steps; never changed."""

    def make(folder):
        shutil.copytree(ROOT / "configs", folder / "configs")
        icons = pq.read_table(ROOT / "pipeline/data/icons.parquet")
        pq.write_table(icons.take(list(range(0, len(icons), 3))), folder / "icons.parquet")
        for name, values in {
            "experiment.yaml": {
                "images": "icons.parquet",
                "matrix": {"held_out": ["solid", "freehand"], "method": ["erm", "kd", "scmd"], "trial": [0]},
            },
            "datasets/icons.yaml": {
                "root": "icons.parquet",
                "domains": ["solid", "freehand", "pixel"],
                "expected": None,
            },
            "teachers/icons.yaml": {"views": 2},
            "students/resnet10t-400.yaml": {"steps": 4, "evaluate_every": 4, "batch": 4},
        }.items():
            path = folder / "configs" / name
            path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **values}))
        for stage in ("samples", "teacher", "pixels"):
            ok(stage, cwd=folder)
        for domain in ("solid", "freehand"):
            for method in ("erm", "kd", "scmd"):
                ok("student", "--held-out", domain, "--method", method, cwd=folder)
        ok("report", cwd=folder)

    return once(tmp_path_factory, "short-job", make) / "results/report.html"


@pytest.fixture(params=["short job", "default job"])
def file(request, short_job):
    default = ROOT / "results/report.html"
    if request.param == "default job" and not default.is_file():
        pytest.skip("the default job has not run here (`make run`)")
    return default if request.param == "default job" else short_job


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        assert CHROMIUM, "no Chromium: `apt-get install chromium`"
        one = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield one
        one.close()


def opened(browser, file, width=1440, **options) -> tuple[Page, list[str]]:
    """A page and what went wrong in it; whatever it asks of a network is wrong."""
    page, wrong = browser.new_page(viewport={"width": width, "height": 900}, **options), []
    page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: request.url.startswith(("file:", "data:")) or wrong.append(request.url))
    page.goto(f"file://{file}")
    return page, wrong


@pytest.mark.parametrize("width", WIDTHS)
def test_it_is_whole_and_no_wider_than_the_window(browser, file, width):
    page, wrong = opened(browser, file, width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    images = page.evaluate("[...document.images].map(one => [one.complete && one.naturalWidth > 0, one.alt])")
    assert len(images) >= 40
    assert all(loaded and alt for loaded, alt in images)
    assert page.locator("svg[role=img][aria-label]").count() == page.locator("svg").count() >= 15
    assert not wrong
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(browser, file, scheme):
    page, _ = opened(browser, file, color_scheme=scheme)
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")]
    assert not serious
    page.close()


def column(page: Page, at: int) -> list[str]:
    rows = page.locator("#results tbody tr:not(.total)").all()
    return [row.locator("th, td").nth(at).inner_text() for row in rows]


def test_tables_sort_by_mouse_and_by_keyboard(browser, file):
    page, _ = opened(browser, file)
    heads = page.locator("#results thead th")
    heads.nth(1).locator("button").click()
    numbers = [float(text.split()[0]) for text in column(page, 1)]
    assert heads.nth(1).get_attribute("aria-sort") == "descending"
    assert numbers == sorted(numbers, reverse=True)
    heads.nth(0).locator("button").focus()
    for order, reverse in (("descending", True), ("ascending", False)):
        page.keyboard.press("Enter")
        assert heads.nth(0).get_attribute("aria-sort") == order
        assert column(page, 0) == sorted(column(page, 0), reverse=reverse)
    # Of several domains the average stays last.
    names = page.locator("#results tbody tr th").all_inner_texts()
    assert len(names) == 1 or names[-1] == "average"
    page.close()


def test_it_reads_without_scripts_and_prints(browser, file):
    page, wrong = opened(browser, file, java_script_enabled=False)
    assert page.locator("#results .verdict").inner_text().endswith(".")
    assert page.locator("#results thead th").all_inner_texts() == ["held out", "teacher zero-shot", "erm", "kd", "scmd"]
    assert not wrong
    page.emulate_media(media="print")
    assert page.locator("nav").is_hidden()
    assert page.pdf().startswith(b"%PDF")
    page.close()
