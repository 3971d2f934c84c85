"""What the terminal shows of a race: while it runs and at its end, wide, narrow and piped."""

import io
import itertools
import re

import pytest
from rich.console import Console

from downslope.report.folded import folded
from downslope.report.leaderboard import print_leaderboard, print_together
from downslope.report.table import LiveTable, clock
from report_cases import HOSTILE, make_plan, make_result, make_several


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def result(tmp_path):
    return make_result(tmp_path)


@pytest.fixture
def terminal(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


def watched(result, console, before=0):
    """All trials go by, in one round."""
    watch = LiveTable(console)
    watch.start(result.plan, result.folder, result.records[:before], ["a note"])
    watch.begin("search", len(result.records) - before, len(result.records))
    for record in result.records[before:]:
        watch.finished(record)
    return watch


def printed(result, width, on_terminal=False):
    console = Console(file=Terminal() if on_terminal else io.StringIO(), width=width)
    watched(result, console).stop()
    print_leaderboard(console, result.board, "runs/x")
    return console.file.getvalue()


def bare(text):
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "")


@pytest.mark.parametrize("width", [40, 60, 80, 140])
@pytest.mark.parametrize("on_terminal", [True, False])
def test_the_leaderboard_fits_and_keeps_every_figure(tmp_path, width, on_terminal, terminal):
    result = make_result(tmp_path, make_plan(["adam", "sgd", "schedulefreeadamw", "[red]x"]))
    text = bare(printed(result, width, on_terminal))
    shown = [line for line in text.splitlines() if str(result.folder) not in line and "best run" not in line]
    assert max(map(len, shown)) <= width
    board = text[re.search(r"\n1 +● ", text).start() :]
    for figure in ("adam", "0.948 ± 0.005", "0.01", "12 %", "schedulefreeadamw", "[red]x"):
        assert figure in board, figure
    assert ("48.7 kB" in board) is (width == 140) and "…" not in text
    assert text.endswith("\nruns/x\n")


def test_piped_lines_have_no_control_characters_and_no_spaces_at_their_ends(result, terminal):
    text = printed(result, 80)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert not re.search(r" $", text, re.M)
    assert text.startswith("a note\ndigits: 4 optimizers -> ")
    assert re.search(r"^search    32 of 32 trials  \d+\.\d s  best run 0\.960: adam at 0\.01$", text, re.M)


def test_on_a_terminal_one_table_is_redrawn(result, terminal):
    console = Console(file=Terminal(), width=80)
    watch = watched(result, console)
    watch.live.refresh()
    watch.stop()
    text = console.file.getvalue()
    assert "\x1b[1A" in text and re.search(r"\x1b\[38;(2;213;94;0|5;\d+)m", text)
    assert re.search(r"adam +8/8 +0\.960 at 0\.01 +1 +16\.0", bare(text))
    assert re.search(r"search: 32 of 32   32 of 32 trials   \d+:\d\d, about 0:00 left", bare(text))


@pytest.mark.parametrize("width", [40, 80])
def test_the_live_table_fits(tmp_path, width, terminal):
    result = make_result(tmp_path, make_plan(["adam", "sgd", "schedulefreeadamw"]))
    console = Console(file=Terminal(), width=width)
    watch = watched(result, console)
    with console.capture() as captured:
        console.print(watch._table())
    watch.stop()
    lines = bare(captured.get()).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width and "…" not in captured.get()
    assert any("8/8" in line for line in lines)


def test_how_long_it_takes_is_told_by_the_trials_of_this_session(result, monkeypatch):
    seconds = itertools.count(0, 10)
    monkeypatch.setattr("downslope.report.table.time.monotonic", lambda: float(next(seconds)))
    watch = LiveTable(Console(file=io.StringIO()))
    watch.start(result.plan, result.folder, result.records[:8], [])
    watch.begin("search", 24, 32)
    assert watch._left() is None  # nothing has finished
    for record in result.records[8:14]:
        watch.now += 1
        watch.rows[record["trial"]["optimizer"]].add(record, "metric")
    began, now = watch.begun, next(seconds) + 10
    assert watch._left() == pytest.approx((now - began) / 6 * 18)
    watch.total = None  # while a budget of time is not decided
    assert watch._left() is None


def test_what_is_piped_says_now_and_then_how_far_it_is(result, monkeypatch):
    seconds = itertools.count(0, 25)
    monkeypatch.setattr("downslope.report.table.time.monotonic", lambda: float(next(seconds)))
    console = Console(file=io.StringIO(), width=200)
    watched(result, console)
    lines = [line for line in console.file.getvalue().splitlines() if line.startswith("search")]
    assert 5 < len(lines) < 32 and re.search(r"\d of 32 trials .* about \d+:\d\d left$", lines[0])
    assert "left" not in lines[-1] and "32 of 32 trials" in lines[-1]


@pytest.mark.parametrize("seconds, words", [(0, "0:00"), (42.4, "0:42"), (725, "12:05"), (11525, "3:12:05")])
def test_the_clock(seconds, words):
    assert clock(seconds) == words


def test_no_color_is_respected(result, terminal):
    terminal.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*(3[0-8]|4[0-8])[;m]", printed(result, 80, on_terminal=True))


def test_names_are_printed_as_they_are(result):
    assert HOSTILE in printed(result, 200)
    lone = make_result(result.folder, make_plan(["[red]x"]))
    assert "● [red]x" in printed(lone, 80)


@pytest.mark.parametrize("only", [0, 3, 31])
def test_an_unfinished_race_says_so(tmp_path, only):
    text = printed(make_result(tmp_path, only=only), 80)
    assert f"So far, after {only} of 32 trials:" in text


CALL = "optimizer = optim.Adam(model.parameters(), lr=schedules.cosine(0.01, steps=180, warmup=9), betas=(0.9, 0.99))"


@pytest.mark.parametrize("width", [60, 90, 200])
def test_code_is_laid_out_over_lines_that_fit_and_means_the_same(width):
    import ast

    text = f"from downslope import optim\n\n{CALL}\n"
    shown = folded(text, width)
    assert ast.dump(ast.parse(shown)) == ast.dump(ast.parse(text)) and shown.endswith(")\n")
    assert max(map(len, shown.splitlines())) <= max(width, len(CALL) * (width == 200))


def test_what_is_said_after_a_call_stands_above_it_where_both_are_too_long():
    assert folded("made = f(a, b)  # not c\n", 30) == "made = f(a, b)  # not c\n"
    assert folded("made = f(a, b)  # not c\n", 20) == "# not c\nmade = f(a, b)\n"
    assert folded("made = f(a, b)  # not c\n", 10) == "# not c\nmade = f(\n    a, b\n)\n"
    assert folded("made = make(rule)(a, b=(1, 2))\n", 20) == "made = make(rule)(\n    a, b=(1, 2)\n)\n"


def test_the_winners_code_is_at_the_end_of_a_finished_race(result):
    assert "optimizer = optim.Adam(" in printed(result, 80) and "optim.Adam(" not in printed(result, 40)
    assert "optim." not in printed(make_result(result.folder, only=3), 80)  # nothing has been confirmed


def test_what_several_tasks_say_together(tmp_path):
    console = Console(file=io.StringIO(), width=80)
    several = make_several(tmp_path)
    print_together(console, several)
    text = " ".join(console.file.getvalue().split())
    assert all(sentence in text for sentence in several.together["sentences"])
