"""The pictures, the tables and the page, from a race made up for the purpose."""

import io
import itertools
import json
import re
import struct

import pytest
from rich.console import Console

from downslope.race import DEFAULT, Result, leaderboard
from downslope.race.plan import Plan
from downslope.report.colours import ORDER, style
from downslope.report.files import write_report
from downslope.report.html import html
from downslope.report.pictures import runners
from downslope.report.png import png
from downslope.report.table import LiveTable, print_leaderboard

GRIDS = {"adam": [0.001, 0.01, 0.1], "sgd": [0.1, 1.0, 10.0], "lion</script>": [0.001, 0.1]}


def make_record(name, lr, seed):
    lost = (name == "sgd" and lr == 10) or (name, lr, seed) == ("adam", 0.1, 1) or name.startswith("lion")
    best = 0.98 - 0.1 * abs(lr - 0.01) - 0.002 * seed
    curve = [] if lost else [best - 0.3, best - 0.1, best]
    return {
        "optimizer": name, "lr": lr, "seed": seed, "diverged": lost, "validation_accuracy": None if lost else best,
        "validation_loss": None if lost else 1 - best, "test_accuracy": None if lost else best - 0.01, "seconds": 0.5,
        "curve": {"train_loss": [1 - c for c in curve], "validation_loss": [1 - c for c in curve],
                  "validation_accuracy": curve},
    }  # fmt: skip


@pytest.fixture
def result(tmp_path):
    plan = Plan("digits", GRIDS, [0, 1], 3, 64, 0.1)
    records = [make_record(*trial) for trial in plan.trials()]
    return Result(plan, tmp_path, records, leaderboard(plan, records), False)


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, two):
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_every_optimizer_has_its_own_style_and_the_default_ones_their_own_colour():
    from downslope.optim import OPTIMIZERS

    assert OPTIMIZERS.keys() <= set(ORDER)
    assert len({style(name) for name in ORDER}) == len(ORDER) == 28
    assert len({style(name).colour for name in DEFAULT}) == len(DEFAULT)
    assert style("of my own") == style("of my own")


@pytest.mark.parametrize("name", DEFAULT)
def test_colours_can_be_seen_on_light_and_on_dark(name):
    assert contrast(style(name).colour, "#ffffff") > 2 and contrast(style(name).colour, "#14171b") > 3


def test_the_pictures_show_what_the_records_hold(result):
    everyone = {runner.name: runner for runner in runners(result)}
    adam, sgd, lion = (everyone[name] for name in GRIDS)
    assert adam.best_lr == 0.01 and adam.diverged == [(0.1, 1, 2)] and sgd.diverged == [(10.0, 2, 2)]
    line = adam.curves["validation_accuracy"]
    assert line.x == [1, 2, 3]
    assert line.mean[-1] == pytest.approx(0.979) and (line.low[-1], line.high[-1]) == pytest.approx((0.978, 0.98))
    assert adam.rates.x == [0.001, 0.01, 0.1]
    assert adam.rates.mean[2] == adam.rates.low[2] == pytest.approx(0.971)  # of the seed that did not diverge
    assert sgd.rates.x == [0.1, 1.0]
    assert lion.best_lr is None and lion.rates.x == [] and lion.curves["train_loss"].x == []


def test_the_page_is_one_file_with_the_verdict_before_the_pictures(result):
    page = html(result)
    plotly = page.index("plotly.js v")
    head = page[:plotly]
    order = [
        head.index(part) for part in ("adam at learning rate 0.01 is first", "<table>", 'id="curves"', 'id="rates"')
    ]
    assert order == sorted(order)
    assert "[[" not in head and not re.search(r'(src|href)="', head)
    assert "lion&lt;/script&gt;" in head and page.count("lion</script>") == 0
    data = json.loads(re.search(r"const RACE = (.*);\n", page)[1])
    assert [runner["name"] for runner in data["runners"]] == [row["optimizer"] for row in result.board["rows"]]
    assert data["runners"][0]["colour"] == style("adam").colour
    assert len(page.encode()) < 5_000_000


def test_the_picture_is_a_png_of_its_size(result):
    content = png(result)
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", content[16:24]) == (1600, 720)


def test_a_race_without_a_result_can_be_drawn_too(result):
    lost = [r for r in result.records if r["diverged"]]
    for records in ([], lost):
        empty = result._replace(records=records, board=leaderboard(result.plan, records))
        assert "nothing to compare" in html(empty) and png(empty)[:4] == b"\x89PNG"
        print_leaderboard(Console(file=io.StringIO()), empty.board, empty.folder)


def test_the_report_is_written_beside_the_records(result):
    write_report(result)
    assert sorted(p.name for p in result.folder.iterdir()) == ["race.png", "report.html"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def printed(result, width, terminal=False):
    console = Console(file=Terminal() if terminal else io.StringIO(), width=width)
    watch = LiveTable(console)
    watch.start(result.plan, result.folder, [], ["a note"])
    for record in result.records:
        watch.finished(record)
    watch.stop()
    print_leaderboard(console, result.board, "runs/x")
    return console.file.getvalue()


def bare(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_the_tables_fit_and_keep_every_figure(result, width, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    path = str(result.folder)
    text = bare(printed(result, width, terminal=True)).replace("\r", "")
    lines = [line for line in text.splitlines() if path not in line]
    assert max(map(len, lines)) <= width
    board = re.search(r"\n1 +● .*", text, re.S)[0]
    for figure in ("adam", "96.9 ± 1.3 %", "0.01", "17 %", "0.50", "lion</script>", "100 %"):
        assert figure in board, figure
    assert "…" not in text


def test_on_a_terminal_one_table_is_redrawn_and_elsewhere_lines_are_added(result, monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    live, piped = printed(result, 80, terminal=True), printed(result, 80)
    assert ("\x1b[1A" in live and "\x1b[38;2;213;94;0m" in live) or "\x1b[38;5;" in live
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", piped)
    for name, best in (("adam", "best run 98.0 % at 0.01  diverged 1"), ("lion</script>", "no run finished")):
        assert len(re.findall(rf"^{re.escape(name)} +\d/\d  {best}", piped, re.M)) == 1
    assert piped.startswith("a note\ndigits: 16 runs -> ")


def test_no_color_is_respected(result, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    assert not re.search(r"\x1b\[[0-9;]*(3[0-8]|4[0-8])[;m]", printed(result, 80, terminal=True))


def test_names_with_brackets_are_printed_as_they_are(result):
    plan = Plan("digits", {"[red]x": [1.0]}, [0], 1, 64, 0.1)
    records = [make_record("adam", 0.01, 0) | {"optimizer": "[red]x", "lr": 1.0}]
    text = printed(Result(plan, result.folder, records, leaderboard(plan, records), False), 80)
    assert text.count("[red]x") == 3


def test_the_seconds_of_an_optimizer_start_when_the_one_before_is_through(result, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr("downslope.report.table.time.monotonic", lambda: float(next(clock)))
    watch = LiveTable(Console(file=io.StringIO()))
    watch.start(result.plan, result.folder, result.records[:2], [])
    assert watch.rows["adam"].done == 2 and watch.rows["sgd"].since is None
    for record in result.records[2:6]:
        watch.finished(record)
    assert watch.rows["adam"].until is not None and watch.rows["sgd"].since >= watch.rows["adam"].until
