"""The report: what the page and the pictures hold, that hostile names stay text, that it can be written again."""

import itertools
import json
import re
import shlex
import struct
from dataclasses import replace
from html import escape

import pytest

from downslope.errors import RunError
from downslope.race.board import board
from downslope.race.entrants import DEFAULT
from downslope.race.plan import Plan
from downslope.race.prepare import prepare
from downslope.race.result import Several
from downslope.race.verdict import name as label
from downslope.report.colours import COLOURS, ORDER, style
from downslope.report.command import command
from downslope.report.files import read_result, write_report
from downslope.report.html import html
from downslope.report.pictures import near, runners, segments
from downslope.report.png import pngs
from downslope.report.png_parts import spread
from downslope.report.several import several_html
from report_cases import GOOD, HOSTILE, make_plan, make_result, make_several

NAMES = ["adam", "momentum", "sgd", HOSTILE]  # by rank


@pytest.fixture
def result(tmp_path):
    return make_result(tmp_path)


def data(page, name="RACE"):
    return json.loads(re.search(rf"const {name} = (.*);", page)[1])


# ---- colours


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, two):
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_every_optimizer_has_its_own_style_and_the_default_ones_their_own_colour():
    from downslope.optim import OPTIMIZERS

    assert len({style(name) for name in ORDER}) == len(ORDER) <= 7 * 36
    assert [name for name in OPTIMIZERS if name not in ORDER] == [], "has another's colour perhaps"
    assert all(style(name).colour in COLOURS for name in OPTIMIZERS)
    assert len({style(name).colour for name in DEFAULT}) == len(DEFAULT)
    assert style("of my own") == style("of my own")


@pytest.mark.parametrize("name", DEFAULT)
def test_colours_can_be_seen_on_light_and_on_dark(name):
    assert contrast(style(name).colour, "#ffffff") > 2 and contrast(style(name).colour, "#14171b") > 3


# ---- what the pictures show


def test_the_pictures_show_what_the_records_hold(result):
    everyone = {runner.name: runner for runner in runners(result)}
    assert list(everyone) == NAMES
    adam, hostile = everyone["adam"], everyone[HOSTILE]
    assert [p.lr for p in adam.points] == [1e-4, 1e-3, 1e-2, 1e-1]
    assert adam.best.lr == 1e-2 and adam.best.score == pytest.approx(0.96)
    assert [tuple(c) for c in adam.crosses] == [(1.0, 1, 1)]
    line = adam.curves["validation_metric"]
    assert line.x == [60, 120, 180]
    assert line.mean[-1] == pytest.approx(0.958) and (line.low[-1], line.high[-1]) == pytest.approx((0.956, 0.96))
    assert adam.hill.x == [p.lr for p in adam.points]  # the rate alone was searched
    assert adam.budget.x == [1, 2, 3, 4, 5] and hostile.lost == 0
    low, high = near(list(everyone.values()), "metric")
    assert low < 0.9 and high > 0.96 and low > 0.3


def test_where_more_than_the_rate_is_searched_the_line_is_the_upper_hill(tmp_path):
    made = make_result(tmp_path, make_plan(["adam"]))
    for i, record in enumerate(made.records):
        record["trial"]["settings"] = {"lr": record["trial"]["settings"]["lr"], "weight_decay": 0.1 * (i + 1)}
    made.records[0]["validation_metric"] = 0.9  # at 1e-4: above the 0.77 at 1e-3
    (runner,) = runners(make_result_again(made))
    assert runner.hill.x == [1e-4, 1e-2, 1e-1] and [p.lr for p in runner.points] == [1e-4, 1e-3, 1e-2, 1e-1]


def test_whom_to_choose_with_how_many_trials(result):
    """Edge to edge, so that no k is without."""
    parts = segments(result.board)
    assert [part["name"] for part in parts] == [each["optimizer"] for each in result.board["choices"]]
    assert (parts[0]["from"], parts[-1]["to"]) == (1, 5)
    assert all(a["to"] == b["from"] for a, b in itertools.pairwise(parts))
    first = result.board["choices"][0]
    page = html(result)
    assert f"choose {label(first['optimizer'])}" in page and "not beyond doubt" in page
    sure = {**result.board, "choices": [{**first, "ahead_of": first["open"], "open": [], "to": 5}]}
    assert segments(sure)[0]["sure"] and "beyond doubt ahead of all" in segments(sure)[0]["text"]
    assert "With any number of trials choose" in html(replace(result, board=sure))


def make_result_again(made):
    return replace(made, board=board(made.plan, made.records))


def test_a_run_that_diverged_on_a_fresh_seed_is_left_out_of_the_curves_and_said(result):
    bad = next(r for r in result.records if r["trial"]["stage"] == "confirm" and r["trial"]["optimizer"] == "adam")
    bad |= {"diverged": True, "validation_metric": None, "test_metric": None}
    adam = next(r for r in runners(make_result_again(result)) if r.name == "adam")
    assert adam.lost == 1 and adam.curves["validation_metric"].mean[-1] == pytest.approx(0.957)
    assert "Left out, having diverged: Adam 1 of its runs." in html(make_result_again(result))


# ---- the page


def test_the_page_is_one_file_with_the_verdict_first(result):
    page = html(result)
    head = page[: page.index("const RACE")]
    found = [head.index(part) for part in (
        'class="verdict"', "<h2>Leaderboard", "<h2>Paired comparisons", "<h2>Learning curves",
        "<h2>Score over the learning rate", "<h2>Best after k trials", "code: Adam", "<h2>The command", "<h2>Method",
    )]  # fmt: skip
    assert found == sorted(found)
    assert not re.search(r'(src|href)="|https?://(?!www\.w3\.org/2000/svg")', page)
    assert len(page.encode()) < 300_000
    shown = data(page)
    assert [runner["name"] for runner in shown["runners"]] == NAMES
    assert shown["runners"][0]["colour"] == style("adam").colour
    assert shown["runners"][0]["limit"] == {"low": 0.1, "high": 1.0, "estimate": pytest.approx(0.316228)}
    assert shown["runners"][0]["seconds_per_step"] == pytest.approx(2 / 180, rel=1e-4)


def test_hostile_names_stay_text(result):
    page = html(result)
    assert "<script>alert" not in page and "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert page.count("</script>") == page.count("<script>") == 4


@pytest.mark.parametrize("only", [0, 3, 20])
@pytest.mark.parametrize("monitor", ["metric", "loss"])
def test_an_unfinished_race_can_be_drawn_too(tmp_path, only, monitor):
    start = 2.0 if monitor == "loss" else 0.1
    plan = make_plan(("adam", "sgd", "momentum"), monitor=monitor, untrained={"validation": start, "test": start})
    made = make_result(tmp_path, plan, only=only)
    page = html(made)
    assert "not finished</h1>" in page
    assert made.board["verdict"]["headline"] in page.replace("\u00a0", " ")
    assert all(content[:4] == b"\x89PNG" for content in pngs(made).values())
    assert ("RACE" in page) is (only > 0)


def test_a_race_in_which_all_diverged_can_be_drawn(result):
    for record in result.records:
        record |= {"diverged": True, "validation_metric": None, "test_metric": None, "curve": {}}
    searched = [r for r in result.records if r["trial"]["stage"] == "search"]
    made = make_result_again(replace(result, records=searched))
    assert "nothing to compare" in html(made) and pngs(made)["rates.png"][:4] == b"\x89PNG"


# ---- pictures as PNG


def size(content):
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", content[16:24])


def test_the_pictures_are_pngs_of_their_size(result):
    made = pngs(result)
    assert sorted(made) == ["budget.png", "comparisons.png", "curves.png", "race.png", "rates.png"]
    assert size(made["race.png"]) == (1760, 854) and size(made["curves.png"]) == (2064, 720)
    lone = pngs(make_result(result.folder, make_plan(["adam"])))
    assert sorted(lone) == ["budget.png", "curves.png", "race.png", "rates.png"]  # nobody to compare with
    assert size(lone["rates.png"])[1] < size(made["rates.png"])[1]


@pytest.mark.parametrize("places", [[], [0.5], [0.1, 0.1, 0.1], [0.98, 0.99, 1.0], [0.0] * 12, [0.2, 0.9]])
def test_names_at_the_ends_of_lines_are_a_step_apart(places):
    step = 0.05
    made = spread(places, step)
    assert all(b - a >= step - 1e-9 for a, b in itertools.pairwise(made))
    assert all(-1e-9 <= y <= 1 + 1e-9 for y in made)
    assert len(places) != 1 or made == places


# ---- the files


def test_the_report_is_written_beside_the_records_and_can_be_written_again(result):
    paths = write_report(result)
    assert sorted(p.name for p in result.folder.iterdir()) == sorted(p.name for p in paths)
    (result.folder / "config.json").write_text(json.dumps(result.plan.as_json()))
    journal = "".join(json.dumps(record) + "\n" for record in result.records)
    (result.folder / "records.jsonl").write_text(journal)
    (result.folder / "board.json").write_text(json.dumps(result.board))
    before = (result.folder / "report.html").read_text()
    (result.folder / "report.html").unlink()
    again = read_result(result.folder)
    write_report(again)
    assert (result.folder / "report.html").read_text() == before
    assert json.loads(json.dumps(again.board)) == json.loads(json.dumps(result.board)) and not again.interrupted


def test_a_race_that_was_stopped_is_read_as_far_as_it_got(tmp_path):
    stopped = make_result(tmp_path, only=20)
    (tmp_path / "config.json").write_text(json.dumps(stopped.plan.as_json()))
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in stopped.records))
    for board_is_there in (False, True):
        again = read_result(tmp_path)
        assert again.interrupted and not again.board["complete"] and again.board["finished"] == 20
        assert not board_is_there or again.board["trials_expected"] == 32
        (tmp_path / "board.json").write_text(json.dumps(stopped.board))


def test_a_folder_without_a_race_is_said_to_have_none(tmp_path):
    with pytest.raises(RunError, match=r"no race in it"):
        read_result(tmp_path)
    (tmp_path / "config.json").write_text('{"downslope": "9.9", "format": 77}')
    with pytest.raises(RunError, match=r"not of this version; downslope 9\.9 wrote it"):
        read_result(tmp_path)


def test_several_tasks_have_a_report_of_their_own(tmp_path):
    several = make_several(tmp_path)
    paths = write_report(several)
    own = [p for p in paths if p.parent == tmp_path]
    assert sorted(p.name for p in own) == ["profiles.png", "report.html"] and len(paths) == 3 * 6 + 2
    page = (tmp_path / "report.html").read_text()
    assert data(page, "RACES")["taus"][0] == 1 and page.index("verdict") < page.index("Performance profiles")
    assert re.findall(r'href="([^"]+)"', page) == [f"{r.plan.task}/report.html" for r in several.results]
    assert all((tmp_path / link).is_file() for link in re.findall(r'href="([^"]+)"', page))
    for sentence in several.together["sentences"]:
        assert escape(sentence) in page.replace("\u00a0", " ")


def test_several_tasks_of_which_one_is_missing_have_none(tmp_path):
    several = make_several(tmp_path)
    part = Several(tmp_path, several.results[:2], None)
    assert {p.parent for p in write_report(part)} == {tmp_path / "digits", tmp_path / "spirals"}


def test_hostile_names_stay_text_over_several_tasks(tmp_path):
    page = several_html(make_several(tmp_path, ("adam", HOSTILE)))
    assert "<script>alert" not in page and page.count("</script>") == 4


# ---- the command


ASKED = {
    "defaults": {},
    "trials": {"trials": 8, "seeds": 4, "epochs": 2, "batch": 32},
    "a budget": {"budget": "60 trials", "seeds": 2},
    "time": {"budget": "10m"},
    "search": {"search": {"lr": (1e-4, 1e-1), "adam.eps": [1e-8, 1e-6], "weight_decay": (0.0, 0.1, "linear")}},
    "schedules": {"schedule": ["cosine", "wsd"], "warmup": 0.1},
    "rungs": {"rungs": True, "epochs": 9, "search_seeds": 2, "race_seed": 3},
    "task": {"task_settings": {"width": 16}, "search": {"task.width": [16, 32]}, "monitor": "loss"},
    "alone": {"batched": False, "threads": 2, "device": "cpu"},
}


def split(line):
    """As a shell does: a backslash at the end of a line goes on in the next."""
    return shlex.split(line.replace("\\\n", ""))


@pytest.mark.parametrize("case", ASKED)
def test_the_command_makes_the_same_race(case, monkeypatch):
    from typer.testing import CliRunner

    from downslope.cli import app

    plan = prepare("diabetes", ["adam", "sgd"], **ASKED[case]).plan
    words = split(command(plan, "runs/x y"))
    assert words[:3] == ["downslope", "race", "diabetes"] and words[-2:] == ["--out", "runs/x y"]
    found = []

    def race(task, optimizers, **options):
        for name in ("workers", "engine", "ray_address", "out", "resume", "watch", "more_seeds"):
            options.pop(name, None)
        found.append(prepare(task, optimizers, **options).plan)
        raise KeyboardInterrupt

    monkeypatch.setattr("downslope.race.runner.race", race)
    monkeypatch.setattr("downslope.race.race", race)
    ran = CliRunner().invoke(app, words[1:])
    assert found, ran.exception
    assert [k for k in vars(plan) if getattr(plan, k) != getattr(found[0], k) and k != "schedule"] == []


def test_the_command_of_rules_of_a_file_names_the_file_and_of_a_notebook_is_a_call():
    names = ("adam", "mine")
    plan = make_plan(names, origins={"mine": "my rules.py:mine"})
    assert split(command(plan))[4] == "adam,my rules.py:mine"
    call = command(make_plan(names, origins={"mine": "__main__:mine"}))
    assert call.startswith("downslope.race('digits', ['adam', mine], trials=5, seeds=3")
    assert command(make_plan(names, task="my notebook task", origins={})).startswith("downslope.race(task, ['adam'")


def test_a_plan_comes_back_from_json(tmp_path):
    plan = make_plan()
    assert command(Plan.from_json(json.loads(json.dumps(plan.as_json())))) == command(plan)
    assert set(GOOD) == set(plan.optimizers)
