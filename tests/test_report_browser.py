"""The report in a real browser: wide and on a phone, light and dark, pointed at, switched, copied, printed."""

import re
import shutil

import pytest

from downslope.report.files import write_report
from report_cases import GOOD, HOSTILE, make_plan, make_result, make_several

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
VIEWS = [(1280, 900, "light"), (1280, 900, "dark"), (390, 844, "light"), (390, 844, "dark")]
MANY = ("adam", "sgd", "momentum", "nag", "adagrad", "rmsprop", "adamw", "lion", "radam", "nadam", "adan", "adopt")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on the path")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """A race with a hostile name, one of twelve optimizers with losses, and one of several tasks."""
    folder = tmp_path_factory.mktemp("reports")
    made = {"one": make_result(folder / "one"), "several": make_several(folder_of(folder, "several"))}
    start = {"validation": 2.0, "test": 2.0}
    made["twelve"] = make_result(folder / "twelve", make_plan(MANY, monitor="loss", untrained=start))
    for name in ("one", "twelve"):
        (folder / name).mkdir()
    for each in made.values():
        write_report(each)
    return folder


def folder_of(folder, name):
    (folder / name).mkdir()
    return folder / name


class Opened:
    """A page and what it complained of and asked for."""

    def __init__(self, browser, path, width=1280, height=900, scheme="light"):
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, reduced_motion="reduce"
        )
        self.page = self.context.new_page()
        self.trouble, self.asked, self.url = [], [], f"file://{path}"
        self.page.on("console", lambda message: self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("dialog", lambda dialog: self.trouble.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(self.url)

    def __enter__(self):
        return self.page

    def __exit__(self, *failed):
        self.context.close()
        if not any(failed):
            assert self.trouble == [] and self.asked == [self.url]


@pytest.mark.parametrize("width, height, scheme", VIEWS)
@pytest.mark.parametrize("name", ["one", "twelve", "several"])
def test_it_opens_without_a_complaint_and_fits(reports, browser, name, width, height, scheme):
    path = reports / name / "report.html"
    assert path.stat().st_size < 5_000_000
    with Opened(browser, path, width, height, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
        charts = page.locator(".chart > svg")
        assert charts.count() == (1 if name == "several" else 3)
        for i in range(charts.count()):
            box = charts.nth(i).bounding_box()
            assert box["width"] > 0.85 * min(width, 1000) and box["height"] > 280 and box["x"] + box["width"] <= width
        assert page.evaluate(OUTSIDE) == []
        assert page.locator(".verdict").bounding_box()["y"] < height / 2


# Text that sticks out of its chart, of its cell or of the page; what scrolls by itself may.
OUTSIDE = """() => {
  const wide = document.documentElement.clientWidth + 1, found = [];
  for (const text of document.querySelectorAll(".chart text")) {
    const box = text.getBoundingClientRect(), own = text.ownerSVGElement.getBoundingClientRect();
    const sides = [own.left - box.left, box.right - own.right, own.top - box.top, box.bottom - own.bottom];
    if (Math.max(...sides) > 2) found.push("chart: " + text.textContent);
  }
  for (const each of document.querySelectorAll("td, th, p, li, h1, h2, h3, dd, summary")) {
    if (each.closest("nav, pre, thead") || !each.offsetWidth) continue;
    if (each.getBoundingClientRect().right > wide || each.scrollWidth > each.clientWidth + 2)
      found.push(each.outerHTML.slice(0, 200));
  }
  return found;
}"""


def test_the_page_shows_the_race(reports, browser):
    result = make_result(reports / "one")
    with Opened(browser, reports / "one" / "report.html") as page:
        assert page.locator(".verdict").inner_text().replace("\u00a0", " ") == result.board["verdict"]["headline"]
        names = page.locator("table.stack:not(.pairs) td.who").all_inner_texts()
        assert names == ["Adam", "Momentum", "SGD", HOSTILE]
        assert page.locator(".pairs tbody tr").count() == 6
        assert page.locator("#rates .lost").count() == len(GOOD)  # each diverged at one rate
        assert page.locator("#rates .limit").count() == page.locator("#rates .stretch").count() == len(GOOD)
        assert page.locator("#rates .ring").count() == len(GOOD)
        assert page.locator("#curves .line").count() == page.locator("#curves .band").count() == len(GOOD)
        assert page.locator("pre").last.inner_text().startswith("downslope race digits ")


def test_an_optimizer_is_switched_off_and_on(reports, browser):
    with Opened(browser, reports / "one" / "report.html") as page:
        button = page.get_by_role("button", name="SGD", exact=True)
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        for chart in ("curves", "rates", "budget"):
            shown = page.eval_on_selector_all(f"#{chart} .series", "all => all.map(each => each.dataset.name)")
            assert "sgd" not in shown and "adam" in shown
        page.get_by_role("button", name="show all").click()
        assert page.locator("#curves .line").count() == 4 and not page.locator("[data-all]").is_visible()
        button.click(modifiers=["Shift"])  # it alone
        assert page.locator("#curves .line").count() == 1
        button.click()
        assert "switched off" in page.locator("#curves").text_content()


def test_pointing_at_a_chart_tells_values(reports, browser):
    with Opened(browser, reports / "one" / "report.html") as page:
        page.locator("#curves").scroll_into_view_if_needed()
        box = page.locator("#curves svg").bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        tip = page.locator("#curves .tip")
        assert re.match(r"step \d+", tip.inner_text()) and "Adam" in tip.inner_text() and HOSTILE in tip.inner_text()
        around = tip.bounding_box()
        assert around["x"] >= 0 and around["x"] + around["width"] <= 1280
        page.mouse.move(5, 5)
        assert not tip.is_visible()
        page.locator("#rates").scroll_into_view_if_needed()
        page.locator("#rates .lost").first.hover(force=True)
        assert "1 of 1 diverged at 1" in page.locator("#rates .tip").inner_text()
        page.get_by_role("button", name="Momentum", exact=True).hover()
        dim = page.eval_on_selector_all("#curves .series.dim", "all => all.map(each => each.dataset.name)")
        assert "adam" in dim and "momentum" not in dim


def test_the_arrow_keys_walk_through_the_values(reports, browser):
    with Opened(browser, reports / "one" / "report.html") as page:
        page.locator("#curves svg").focus()
        told = []
        for _ in range(3):
            page.keyboard.press("ArrowRight")
            told.append(page.locator("#curves .tip .head").inner_text())
        assert told == ["step 60", "step 120", "step 180"]
        page.keyboard.press("Escape")
        assert not page.locator("#curves .tip").is_visible()
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"


def test_another_curve_another_clock_a_closer_look(reports, browser):
    with Opened(browser, reports / "one" / "report.html") as page:
        before = page.locator("#curves .line").first.get_attribute("d")
        page.click("#curve-choice >> text=validation metric")
        assert page.locator("#curves .name").first.text_content() == "validation metric"
        assert page.locator("#curves .line").first.get_attribute("d") != before
        page.click("#clock-choice >> text=by seconds")
        assert "seconds of training" in page.locator("#curves").text_content()
        page.locator("#curves svg").focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("#curves .tip .head").inner_text() == "second 0.667"  # 60 of 180 steps, of 2 seconds
        assert page.get_by_role("button", name="by seconds").get_attribute("aria-pressed") == "true"
        for chart, near in (("rates", "near the best"), ("budget", "near the end")):
            before = page.locator(f"#{chart} .tick").all_text_contents()
            page.click(f"#{chart}-choice >> text={near}")
            assert page.locator(f"#{chart} .tick").all_text_contents() != before


def test_the_lane_below_the_budget_curves_is_full(reports, browser):
    with Opened(browser, reports / "one" / "report.html") as page:
        wide = page.evaluate("""() => {
            const grid = document.querySelector("#budget .axis").getBoundingClientRect().width;
            const parts = [...document.querySelectorAll("#budget .part")].map(p => p.getBoundingClientRect().width);
            return parts.reduce((a, b) => a + b, 0) / grid;
        }""")
        assert 0.95 < wide <= 1.0
        page.hover("#legend >> text=Adam")  # its band comes forward
        opacity = "getComputedStyle(document.querySelector('#budget .series[data-name=adam] .band')).fillOpacity"
        assert page.evaluate(opacity) == "1"


def test_dragging_zooms_and_escape_goes_back(reports, browser):
    with Opened(browser, reports / "one" / "report.html") as page:
        page.locator("#rates").scroll_into_view_if_needed()
        before = page.locator("#rates .tick").all_text_contents()
        box = page.locator("#rates svg").bounding_box()
        page.mouse.move(box["x"] + 300, box["y"] + 60)
        page.mouse.down()
        page.mouse.move(box["x"] + 500, box["y"] + 160, steps=4)
        page.mouse.up()
        assert page.locator("#rates .tick").all_text_contents() != before
        assert page.locator("#rates .reset").is_visible()
        page.keyboard.press("Escape")
        assert page.locator("#rates .tick").all_text_contents() == before


def test_code_is_copied(reports, browser):
    opened = Opened(browser, reports / "one" / "report.html")
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    with opened as page:
        block = page.locator(".code").first
        block.locator("button").click()
        page.wait_for_function("document.querySelector('.copy').textContent === 'copied'")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied == block.locator("code").inner_text() and "optim.Adam(model.parameters()" in copied


def test_twelve_optimizers_show_the_pairs_with_the_first_and_all_on_demand(reports, browser):
    with Opened(browser, reports / "twelve" / "report.html") as page:
        rows = page.locator(".pairs tbody tr:visible")
        assert rows.count() == 11
        page.get_by_role("button", name="all 66 pairs").click()
        assert rows.count() == 66
        assert page.get_by_role("button", name="validation metric").count() == 0  # the task has losses alone
        ends = page.eval_on_selector_all("#curves text.end", "all => all.map(each => each.getBoundingClientRect().y)")
        assert len(ends) == 12 and min(b - a for a, b in zip(sorted(ends), sorted(ends)[1:], strict=False)) > 10


def test_several_tasks_switch_their_clock_and_lead_to_each_report(reports, browser):
    opened = Opened(browser, reports / "several" / "report.html")
    with opened as page:
        assert page.locator("[data-clock=steps]").is_visible() and not page.locator("[data-clock=seconds]").is_visible()
        page.click("#clock-choice >> text=by seconds")
        assert page.locator("[data-clock=seconds]").is_visible() and not page.locator("[data-clock=steps]").is_visible()
        assert page.locator("#profiles .line").count() == 3
    with Opened(browser, reports / "several" / "report.html") as page:
        link = page.get_by_role("link", name="spirals")
        assert (reports / "several" / link.get_attribute("href")).is_file()


def test_it_prints_on_white_without_its_switches(reports, browser):
    with Opened(browser, reports / "one" / "report.html", scheme="dark") as page:
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert not page.locator("#legend").is_visible() and page.locator("#curves svg").is_visible()
        assert page.pdf(format="A4")[:5] == b"%PDF-"
        assert page.locator("details[open]").count() == page.locator("details").count() > 0
