"""The docs as a site: it builds without a warning, every link and anchor leads somewhere, every page is in the
navigation, every optimizer has its page, and nothing is fetched from elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from filelock import FileLock

import downslope
from downslope.formulas import FORMULAS
from downslope.landscape.surfaces import SURFACES
from downslope.optim.classes import CLASSES

pytest.importorskip("mkdocs", reason="no mkdocs: pip install 'downslope[docs]'")
ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from website import optimizers  # noqa: E402

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--allow-file-access-from-files"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once however many processes test it."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    folder, done = shared / "site", shared / "site-is-built"
    with FileLock(shared / "site.lock"):
        if not done.exists():
            command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
            source = str(Path(downslope.__file__).parent.parent)
            environment = {**os.environ, "PYTHONPATH": source, "NO_MKDOCS_2_WARNING": "1", "OMP_NUM_THREADS": "1"}
            ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            assert "WARNING" not in ran.stderr, ran.stderr
            done.touch()
    return folder


class Page(HTMLParser):
    """What a page leads to and what it has to lead to."""

    def __init__(self, file: Path):
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.ids: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: value or "" for name, value in attrs}
        self.ids |= {has[name] for name in ("id", "name") if name in has}
        for name in ("href", "src"):
            if name in has:
                self.links.add(has[name])
                if tag != "a":
                    self.loads.add(has[name])


def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in sorted(site.rglob("*.html")) if file.parent.name != "play"}


def test_every_link_and_anchor_leads_somewhere(site: Path) -> None:
    found = pages(site)
    assert len(found) > len(CLASSES) + 15
    lost = []
    for file, page in found.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link) or file.name == "404.html":
                continue
            path, _, anchor = link.partition("#")
            target = (file.parent / unquote(path)).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (anchor and target in found and unquote(anchor) not in found[target].ids):
                lost.append(f"{file.relative_to(site)}: {link}")
    assert lost == []


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    far = {load for page in pages(site).values() for load in page.loads if re.match(r"(https?:)?//", load)}
    assert far == set()
    for sheet in (site / "assets").rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", sheet.read_text()), sheet.name


def test_every_page_is_in_the_navigation(site: Path) -> None:
    """As the home page has it; the first page of a section stands in the section's own title."""
    home = site / "index.html"
    named = {(site / link.partition("#")[0]).resolve() for link in Page(home).links if not re.match(r"[a-z]+:", link)}
    missing = {str(file.relative_to(site)) for file in pages(site) if file.resolve() not in named}
    assert missing <= {"404.html", "index.html"}


@pytest.mark.parametrize("name", CLASSES)
def test_an_optimizer_has_its_page(name: str, site: Path) -> None:
    text = (site / "optimizers" / f"{name.lower()}.html").read_text(encoding="utf-8")
    formula = CLASSES[name].formula
    assert "<math" in text and "<mtable" in text and "beale.png" in text and "<polyline" in text
    for part in ("formula", "settings", "states-and-cost", "on-beales-function"):
        assert f'id="{part}"' in text, part
    prose = re.sub(r"<[^>]+>", "", text)
    assert formula.doc.split(",")[0].split(" ")[0] in prose  # the first author
    for setting in formula.settings:
        assert setting in prose, setting
    source = formula.function.__name__
    assert f"def {source}(" in prose.replace("\xa0", " ")


@pytest.mark.parametrize("name", CLASSES)
def test_the_code_of_an_optimizers_page_runs(name: str) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", optimizers._use(name), re.DOTALL | re.MULTILINE)
    space: dict[str, object] = {}
    exec(compile(code, name, "exec"), space)
    assert type(space["optimizer"]) is CLASSES[name]


def test_every_formula_stands_on_a_page() -> None:
    pages = "".join(optimizers.pages().values())
    assert [name for name in FORMULAS if f"def {name}(" not in pages] == []


def test_the_surfaces_stand_on_their_page(site: Path) -> None:
    text = (site / "surfaces.html").read_text(encoding="utf-8")
    for surface in SURFACES.values():
        assert f'id="{surface.name}"' in text and surface.formula in text


@pytest.mark.browser
def test_the_site_works_from_a_disk_in_a_browser(site: Path) -> None:
    """Without a console error, no wider than a phone; the search finds; the formula is drawn; the playground runs."""
    found = shutil.which("chromium")
    if not found:
        pytest.skip("no chromium on the path")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        context = browser.new_context(viewport={"width": 390, "height": 844}, offline=True)
        tab = context.new_page()
        wrong: list[str] = []
        tab.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        # what is cut off by going on to the next page has not failed
        tab.on("requestfailed", lambda request: wrong.append(request.url) if "ABORTED" not in request.failure else None)
        for name in ("index", "optimizers/index", "optimizers/radam", "performance", "surfaces", "choose", "zh"):
            tab.goto((site / f"{name}.html").as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        tab.goto((site / "optimizers" / "adam.html").as_uri())
        math = tab.locator(".formula math").first
        height = math.evaluate("e => e.getBoundingClientRect().height")
        assert height > 120  # five lines with fractions, drawn by the browser itself
        tab.set_viewport_size({"width": 1280, "height": 900})
        tab.fill(".md-search__input", "schedule-free")
        tab.wait_for_selector(".md-search-result__item", timeout=15000)
        tab.goto((site / "playground.html").as_uri())
        frame = tab.frame_locator("iframe.live")
        frame.locator("#play").click()
        for _ in range(100):  # a busy machine is slow to draw its first frame
            step = int(frame.locator("#step").inner_text().split("/")[0])
            assert step >= 0
            if step:
                break
            tab.wait_for_timeout(100)
        assert step
        browser.close()
    assert wrong == []
