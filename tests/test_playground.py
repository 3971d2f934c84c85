"""The playground: its mathematics by node's twin in Python, its MathML, and the page in a real browser."""

from __future__ import annotations

import math
import re
import shutil
from urllib.parse import parse_qs
from xml.etree import ElementTree

import pytest
import torch

from downslope.backends import eager
from downslope.backends.latex import rows
from downslope.cli import app
from downslope.compiler.formula import read
from downslope.compiler.functions import maximum, sin, where
from downslope.compiler.trace import trace
from downslope.errors import FormulaError
from downslope.formulas import FORMULAS
from downslope.landscape.surfaces import SURFACES
from downslope.playground.mathml import mathml
from downslope.playground.page import gallery, graphs, page, write

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run"]  # fmt: skip
OWN = '''
def heavy_ball(p, g, v=0, *, lr=0.01, beta=0.9):
    """Mine, with </script><b>letters</b> & "quotes"."""
    v = beta * v + g
    return p - lr * v, v
'''


# ---- without a browser


@pytest.mark.parametrize("name", SURFACES)
def test_the_gradient_of_a_surface_is_autograds(name: str) -> None:
    surface = SURFACES[name]
    random = torch.Generator().manual_seed(1)
    low, high = (torch.tensor(end, dtype=torch.float64) for end in zip(*surface.domain))
    points = low + (high - low) * torch.rand(50, 2, generator=random, dtype=torch.float64)
    tensors = {"x": points[:, 0], "y": points[:, 1], "p": points[:, 0]}
    height, slopes = graphs(surface.function, name)
    found = {key: torch.as_tensor(value).expand(50) for key, value in eager.run(slopes, tensors, {}).items()}
    torch.testing.assert_close(torch.stack([found["dx"], found["dy"]], 1), surface.gradient(points))
    torch.testing.assert_close(found["p"], surface.values(points))
    torch.testing.assert_close(eager.run(height, tensors, {})["p"], found["p"])


def test_every_rule_of_calculus_that_no_surface_needs() -> None:
    def odd(x, y):
        return maximum(x, 0.3) ** 3 / (1 + y**2) + where(x > y, x * y, sin(y)) + (x**2 + 1) ** y + abs(x - y)

    points = torch.tensor([[0.5, 0.2], [0.1, 0.7], [-1.0, 2.0]], dtype=torch.float64, requires_grad=True)
    x, y = points[:, 0], points[:, 1]
    value = (torch.clamp(x, min=0.3) ** 3 / (1 + y**2) + torch.where(x > y, x * y, torch.sin(y)) + (x**2 + 1) ** y
             + (x - y).abs())  # fmt: skip
    (expected,) = torch.autograd.grad(value.sum(), points)
    found = eager.run(graphs(odd, "odd")[1], {"x": x.detach(), "y": y.detach(), "p": x.detach()}, {})
    torch.testing.assert_close(torch.stack([found["dx"], found["dy"]], 1), expected)


@pytest.mark.parametrize("name", gallery())
def test_every_formula_becomes_wellformed_mathml(name: str) -> None:
    for symbol, value, _ in rows(trace(FORMULAS[name])):
        for latex in (symbol, value):
            tree = ElementTree.fromstring(mathml(latex).replace("&#xa0;", " "))
            text = "".join(tree.itertext())
            assert "\\" not in text and "mathrm" not in text, latex
            numbers = re.findall(r"\d+(?:\.\d+)?", re.sub(r"\\[a-z]+|\[6pt\]", " ", latex))
            assert sorted(re.findall(r"\d+(?:\.\d+)?", " ".join(tree.itertext()))) == sorted(numbers)


def test_mathml_of_a_fraction_a_root_and_cases() -> None:
    assert mathml(r"\frac{g_t}{\sqrt{v}}") == (
        "<mrow><mfrac><mrow><msub><mi>g</mi><mi>t</mi></msub></mrow>"
        "<mrow><msqrt><mrow><mi>v</mi></mrow></msqrt></mrow></mfrac></mrow>"
    )
    cases = mathml(r"\begin{cases} 0 & \text{if } a_t < 0 \\ \hat{g}^2_t & \text{otherwise} \end{cases}")
    assert cases.count("<mtr>") == 2 and cases.count("<mtd ") == 4 and "&lt;" in cases and "<msubsup><mover" in cases
    with pytest.raises(FormulaError, match=r"cannot draw \\unheard"):
        mathml(r"\unheard{x}")


def test_play_writes_one_file_and_says_where(tmp_path, capsys) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    app(["play", str(tmp_path / "mine.py"), "--out", str(tmp_path / "site")], standalone_mode=False)
    path = tmp_path / "site" / "index.html"
    assert capsys.readouterr().out.strip() == str(path) and list(path.parent.iterdir()) == [path]
    text = path.read_text()
    assert "heavy_ball" in text and text.count("</script") == 1
    assert not re.search(r"(?:src|href)=\"(?!data:)", text) and path.stat().st_size < 1_000_000


def test_what_is_no_formula_is_one_clear_error(tmp_path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(FormulaError, match=r"empty\.py: holds no formula"):
        app(["play", str(tmp_path / "empty.py"), "--out", str(tmp_path)], standalone_mode=False)
    (tmp_path / "twice.py").write_text(OWN)
    with pytest.raises(FormulaError, match="heavy_ball: is in your files more than once"):
        app(["play", *[str(tmp_path / "twice.py")] * 2, "--out", str(tmp_path)], standalone_mode=False)


# ---- in a browser


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
def site(tmp_path_factory):
    return write(tmp_path_factory.mktemp("site"))


def until(page, what: str) -> None:
    """Waits for a condition; the page itself forbids the evaluation of text that Playwright's own waiting needs."""
    for _ in range(200):
        if page.evaluate(what):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never came true: {what}")


class Opened:
    """The page, offline; what it complains of or asks for fails the test."""

    def __init__(
        self, browser, path, address="", width=1280, height=900, scheme="light", language="en-US", touch=False
    ):
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme,
                                           offline=True, locale=language, has_touch=touch)  # fmt: skip
        self.page = self.context.new_page()
        self.trouble, self.asked = [], []
        self.page.on("console", lambda message: self.trouble.append(message.text))
        self.page.on("pageerror", lambda error: self.trouble.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(f"{path.as_uri()}{address}")
        until(self.page, "document.querySelector('#step').textContent !== ''")

    def __enter__(self):
        return self.page

    def __exit__(self, *failed):
        self.context.close()
        if not any(failed):
            assert self.trouble == []
            assert [url for url in self.asked if not url.startswith(("file:", "data:"))] == []


def step_of(page) -> int:
    return int(page.locator("#step").inner_text().split(" / ")[0])


def said(page, key: str, why: str) -> str:
    note = page.locator(f".card[data-key={key}] .explain[data-why^={why}]")
    note.wait_for(timeout=5000)
    return note.inner_text()


def address_of(page) -> dict[str, str]:
    page.wait_for_timeout(300)  # it is written when the hand rests
    return {key: value[0] for key, value in parse_qs(page.evaluate("location.hash.slice(1)")).items()}


@pytest.mark.browser
@pytest.mark.parametrize("width, height, scheme", [(1280, 900, "light"), (390, 844, "dark")])
def test_it_opens_and_fits(site, browser, width, height, scheme) -> None:
    with Opened(browser, site, "#k=50", width, height, scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".card").count() == 7
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
        box = page.locator("#map").bounding_box()
        assert box["y"] + box["height"] < height and box["width"] > 0.55 * width
        colours = page.evaluate("""() => { const c = document.querySelector("#map"), seen = new Set();
          const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
          for (let i = 0; i < d.length; i += 4) seen.add((d[i] << 16) + (d[i + 1] << 8) + d[i + 2]); return [...seen];
          }""")
        for colour in ("#56B4E9", "#0072B2", "#E69F00", "#D55E00"):  # momentum, NAG, Adadelta, Adam
            assert int(colour[1:], 16) in colours
        nameless = page.evaluate("""() => [...document.querySelectorAll("button, input, select, canvas[role]")].filter(
          e => !(e.getAttribute("aria-label") || e.textContent.trim() || e.closest("label"))).map(e => e.outerHTML)""")
        assert nameless == []


@pytest.mark.browser
def test_play_pause_step_and_scrub(site, browser) -> None:
    with Opened(browser, site) as page:
        page.click("#play")
        until(page, "Number(document.querySelector('#scrub').value) > 5")
        assert page.locator("#play").get_attribute("aria-label") == "Pause"
        page.click("#play")
        page.wait_for_timeout(200)
        rest = step_of(page)
        page.wait_for_timeout(200)
        assert step_of(page) == rest > 0
        page.click("#forward")
        until(page, f"document.querySelector('#step').textContent.startsWith('{rest + 1} /')")
        assert "SGD" in page.locator("#live").inner_text()
        page.locator("#map").focus()
        page.keyboard.press("End")
        until(page, "document.querySelector('#step').textContent === '200 / 200'")
        page.locator("#scrub").fill("42")
        until(page, "document.querySelector('#step').textContent === '42 / 200'")
        box = page.locator("#loss").bounding_box()
        page.mouse.click(box["x"] + 46 + (box["width"] - 54) / 2, box["y"] + 40)
        page.wait_for_timeout(200)
        assert abs(step_of(page) - 100) <= 1
        page.keyboard.press("Space")
        until(page, "Number(document.querySelector('#scrub').value) > 105")


@pytest.mark.browser
def test_the_start_is_dragged_and_moved_by_keys(site, browser) -> None:
    with Opened(browser, site, "#s=booth&k=20") as page:
        box = page.locator("#map").bounding_box()

        def at(x, y):
            return box["x"] + (x + 10) / 20 * box["width"], box["y"] + (10 - y) / 20 * box["height"]

        before = page.locator(".card[data-key=sgd] .lossnow").inner_text()
        page.mouse.move(*at(-7, -6))
        page.mouse.down()
        page.mouse.move(*at(0, 0), steps=4)
        page.mouse.move(*at(5, -5), steps=4)
        page.mouse.up()
        page.wait_for_timeout(250)
        assert float(page.locator("#startx").input_value()) == pytest.approx(5, abs=0.1)
        assert float(page.locator("#starty").input_value()) == pytest.approx(-5, abs=0.1)
        assert page.locator(".card[data-key=sgd] .lossnow").inner_text() != before
        page.locator("#map").focus()
        page.keyboard.press("ArrowUp")
        page.wait_for_timeout(150)
        assert float(page.locator("#starty").input_value()) == pytest.approx(-4.8, abs=0.1)


@pytest.mark.browser
def test_the_page_walks_as_eager_does(site, browser) -> None:
    """Adam on Beale with the settings shown, to the digits shown, and the live value of a line of its formula."""
    with Opened(browser, site, "#s=beale&n=100&k=100&f=adam") as page:
        surface, graph = SURFACES["beale"], trace(FORMULAS["adam"])
        tensors = {"p": torch.tensor(surface.start, dtype=torch.float64)}
        tensors |= {name: torch.zeros(2, dtype=torch.float64) for name in graph.states}
        numbers = {"lr": 0.1, "betas[0]": 0.9, "betas[1]": 0.999, "eps": 1e-8}
        for t in range(1, 101):
            given = tensors | {"g": surface.gradient(tensors["p"])}
            tensors = eager.run(graph, given, numbers | {"t": float(t)})
        page.click(".card[data-key=adam] summary")
        values = page.locator(".card[data-key=adam] .line .value")
        page.wait_for_timeout(300)
        last = [float(v.replace("−", "-")) for v in values.last.inner_text().split(",")]
        assert last == pytest.approx(tensors["p"].tolist(), rel=1e-3)
        shown = page.locator(".card[data-key=adam] .lossnow").inner_text().removeprefix("f = ").replace("−", "-")
        assert float(shown) == pytest.approx(float(surface.values(tensors["p"])), rel=1e-3)
        assert page.locator(".card[data-key=adam] math").count() == 5


@pytest.mark.browser
def test_a_link_brings_everything_back(site, browser) -> None:
    with Opened(browser, site) as page:
        page.select_option("#surface", "rosenbrock")
        page.select_option("#schedule", "cosine")
        page.locator("#noise").fill("0.2")
        page.locator("#steps").fill("150")
        page.click("[data-key=sgd] .remove")
        page.click("#chips .more")
        page.click("#chips [data-key=lion]")
        page.locator("[data-key=adam] [data-setting='betas[0]']").fill("0.5")
        page.locator("[data-key=adam] [data-slider=lr]").fill("-1")
        page.locator("#scrub").fill("77")
        page.click("#share")
        assert "Link copied" in page.locator("#toast").inner_text() or "#s=" in page.locator("#toast").inner_text()
        wanted = address_of(page)
        picture = page.locator("#map").evaluate("e => e.toDataURL()")
        link = page.evaluate("location.hash")
    assert wanted["s"] == "rosenbrock" and wanted["c"] == "cosine" and wanted["z"] == "0.2" and wanted["k"] == "77"
    assert "adam*lr:0.1*betas[0]:0.5" in wanted["o"] and "sgd" not in wanted["o"].split("!") and "lion" in wanted["o"]
    with Opened(browser, site, link) as page:
        assert address_of(page) == wanted
        assert page.locator("#map").evaluate("e => e.toDataURL()") == picture
        assert page.locator("[data-key=adam] [data-setting='betas[0]']").input_value() == "0.5"


@pytest.mark.browser
def test_an_address_of_nonsense_is_taken_as_far_as_it_makes_sense(site, browser) -> None:
    with Opened(
        browser, site, "#s=constructor&k=NaN&n=1e99&at=a,b&z=7&o=adam*lr:x*eps!toString!__proto__&l=xx"
    ) as page:
        assert page.locator("#surface").input_value() == "beale" and page.locator(".card").count() == 1
        assert page.locator("#step").inner_text() == "0 / 200"


@pytest.mark.browser
def test_what_is_known_is_said(site, browser) -> None:
    with Opened(browser, site, "#s=quadratic&n=200&k=200&o=sgd*lr:2.1!adagrad*lr:0.02!adam") as page:
        text = said(page, "sgd", "diverged")
        assert "2.1 × 1 = 2.1, above 2" in text
        page.locator("[data-key=sgd] [data-setting=lr]").fill("1.95")
        page.locator("#scrub").fill("25")
        assert "lr × curvature = 1.95" in said(page, "sgd", "oscillates")
        page.locator("#scrub").fill("200")
    with Opened(browser, site, "#s=saddle&at=-0.9,0&k=100&o=sgd") as page:
        assert "curves down (−4)" in said(page, "sgd", "saddle")
    with Opened(browser, site, "#s=booth&k=200&o=sgd") as page:
        assert "At the minimum" in said(page, "sgd", "arrived")
    with Opened(browser, site, "#s=bump&k=250&o=sgd!momentum") as page:
        assert "local minimum" in said(page, "sgd", "local")
        assert "At the minimum" in said(page, "momentum", "arrived")
    with Opened(browser, site, "#s=long-valley&k=55&o=momentum!adam") as page:
        period = re.search(r"about ([\d.]+) steps", said(page, "momentum", "swings"))
        angle = math.acos((1 + 0.93 - 0.03 * 16) / (2 * math.sqrt(0.93)))  # of the eigenvalues of lr 0.03, curvature 16
        assert float(period[1]) == pytest.approx(2 * math.pi / angle, abs=0.4)
    with Opened(browser, site, "#s=rosenbrock&n=500&k=500&c=exponential&o=sgd") as page:
        said(page, "sgd", "shrank")


@pytest.mark.browser
def test_chinese_by_the_browser_and_by_the_switch(site, browser) -> None:
    with Opened(browser, site, language="zh-CN") as page:
        assert page.evaluate("document.documentElement.lang") == "zh-Hans"
        assert page.locator("#play").get_attribute("aria-label") == "播放"
        page.click("#language")
        assert page.locator("#play").get_attribute("aria-label") == "Play"
        assert page.evaluate("document.documentElement.lang") == "en"
        assert address_of(page)["l"] == "en"


def test_both_languages_have_the_same_words() -> None:
    text = page()
    start = text.index("const WORDS")
    english, chinese = text[start : text.index('let language = "en"')].split("  zh: {")
    keys = [
        set(re.findall(r"[\s{,]\s*([a-z]+|\"[a-z0-9-]+\"): (?=[\"`a-z(])", re.sub(r'"[^"]*"(?!:)|`[^`]*`', '"', part)))
        for part in (english, chinese)
    ]
    assert keys[0] - {"en"} == keys[1] and len(keys[1]) >= 60


@pytest.mark.browser
def test_the_users_formulas_stand_first(tmp_path, browser) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    app(["play", str(tmp_path / "mine.py"), "--out", str(tmp_path)], standalone_mode=False)
    with Opened(browser, tmp_path / "index.html", "#k=50&s=booth") as page:
        assert page.locator("#chips button").first.inner_text() == "heavy_ball"
        assert page.locator(".card").first.get_attribute("data-key") == "heavy_ball"
        assert (
            page.locator(".card[data-key=heavy_ball] .about").text_content()
            == 'Mine, with </script><b>letters</b> & "quotes".'
        )
        assert "f = " in page.locator(".card[data-key=heavy_ball] .lossnow").inner_text()


@pytest.mark.browser
def test_a_finger_drags_the_start_on_a_phone(site, browser) -> None:
    with Opened(browser, site, "#s=booth&k=20&o=sgd", 390, 844, touch=True) as page:
        box = page.locator("#map").bounding_box()
        start = box["x"] + 0.15 * box["width"], box["y"] + 0.8 * box["height"]
        session = page.context.new_cdp_session(page)

        def touch(kind, *points):
            session.send(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y} for x, y in points]}
            )

        touch("touchStart", start)
        for i in range(1, 6):
            touch("touchMove", (start[0] + 0.1 * i * box["width"], start[1] - 0.05 * i * box["height"]))
        touch("touchEnd")
        page.wait_for_timeout(200)
        assert float(page.locator("#startx").input_value()) == pytest.approx(3, abs=0.3)
        assert page.evaluate("scrollY") == 0


@pytest.mark.browser
def test_eight_optimizers_play_smoothly(site, browser, record_property) -> None:
    eight = "sgd!momentum!nag!adagrad!adadelta!rmsprop!adam!lion"
    with Opened(browser, site, f"#s=beale&n=2000&o={eight}") as page:
        page.select_option("#speed", "120")
        page.click("#play")
        frames = page.evaluate("""() => new Promise(done => { let n = 0; const from = performance.now();
          const tick = now => { n++; 
            if (now - from > 1500) done(1000 * n / (now - from)); else requestAnimationFrame(tick); };
          requestAnimationFrame(tick); })""")
        record_property("frames_per_second", round(frames, 1))
        print(f"{frames:.1f} frames a second")
        assert frames > 2 and step_of(page) > 10


def test_reading_a_formula_keeps_its_settings() -> None:
    from downslope.playground.page import _optimizer

    known, source = _optimizer(read(FORMULAS["adam"]), "Adam")
    assert known["settings"] == {"lr": 1e-3, "betas[0]": 0.9, "betas[1]": 0.999, "eps": 1e-8}
    assert len(known["lines"]) == 5 and all(line["value"] in source for line in known["lines"])
