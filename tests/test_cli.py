"""The command line from outside: the main job on a small race, its output, its files, its report in a browser."""

import functools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from downslope.race.board import board as make_board
from downslope.race.plan import Plan
from race_cases import by_trial, lines, timeless

DOWNSLOPE = [sys.executable, "-W", "error", "-c", "from downslope.cli import main; main()"]
SMALL = ["race", "digits", "--optimizers", "sgd,adam", "--trials", "6", "--seeds", "2", "--alone", "--epochs", "4"]


def start(args, **options):
    environment = {k: v for k, v in os.environ.items() if k not in ("FORCE_COLOR", "COLUMNS")}
    return subprocess.Popen(
        DOWNSLOPE + args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, **options
    )


def call(args, **options):
    process = start(args, **options)
    out, err = process.communicate(timeout=100)
    return process.returncode, out.decode(), err.decode()


def read(folder):
    return [line for line in lines(folder) if "trial" in line]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """The main job on a small race, piped."""
    folder = tmp_path_factory.mktemp("cli") / "race"
    status, out, err = call([*SMALL, "--out", str(folder)])
    assert (status, err) == (0, "")
    return folder, out


def test_the_folder_holds_the_race(job):
    folder, _ = job
    assert sorted(p.name for p in folder.iterdir()) == [
        ".lock", "board.json", "budget.png", "comparisons.png", "config.json", "curves.png", "race.png", "rates.png",
        "records.jsonl", "report.html",
    ]  # fmt: skip
    plan = Plan.from_json(json.loads((folder / "config.json").read_text()))
    records = read(folder)
    assert len(records) == 16 and any(r["diverged"] for r in records)
    decisions = [line for line in lines(folder) if "decision" in line]
    assert json.loads((folder / "board.json").read_text()) == make_board(plan, records, decisions, expected=16)


def test_the_leaderboard_on_screen_is_the_one_in_the_folder(job):
    folder, out = job
    board = json.loads((folder / "board.json").read_text())
    for row in board["rows"]:
        line = next(line for line in out.splitlines() if re.match(rf"{row['rank']}  ● {row['optimizer']} ", line))
        assert f"{row['score']['mean']:.3f}" in line and f"{row['settings']['lr']:.2g}" in line
    assert board["verdict"]["headline"] in out.replace(" \n", " ").replace("\n", " ").replace("  ", " ")


def test_piped_output_has_plain_lines_only(job):
    _, out = job
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", out)
    shown = out.splitlines()
    assert shown[0].startswith("digits: 2 optimizers -> ")
    assert [line.split()[0] for line in shown[1:5]] == ["search", "after-1", "after-2", "confirm"]
    assert "16 of 16 trials" in shown[4]
    assert max(map(len, shown[5:-1])) <= 80


def test_json_is_alone_on_stdout_and_a_second_race_gives_the_same(job, tmp_path):
    folder, _ = job
    status, out, err = call([*SMALL, "--out", str(tmp_path / "race"), "--json", "--workers", "1"])
    assert status == 0 and json.loads(out) == json.loads((tmp_path / "race" / "board.json").read_text())
    assert "digits: 2 optimizers" in err and "\x1b" not in err
    assert timeless(json.loads(out)) == timeless(json.loads((folder / "board.json").read_text()))
    assert by_trial(read(tmp_path / "race")) == by_trial(read(folder))


def wait_for_lines(folder, count, process):
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        journal = folder / "records.jsonl"
        if journal.exists() and journal.read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate())


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def gone(pids):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if not any(Path(f"/proc/{pid}/status").exists() and not zombie(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def zombie(pid):
    try:
        return "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


proc = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the workers through /proc: not here")


@proc
def test_a_killed_race_goes_on_and_gives_the_identical_leaderboard(job, tmp_path):
    whole, _ = job
    folder = tmp_path / "race"
    process = start([*SMALL, "--out", str(folder)])
    wait_for_lines(folder, 3, process)
    workers = children(process)
    process.kill()
    process.communicate()
    assert workers and gone(workers)
    with open(folder / "records.jsonl", "ab") as journal:
        journal.write(b'{"trial":{"optimizer":"ad')
    before = (folder / "records.jsonl").read_bytes().splitlines()[:-1]
    trials = sum(b'"trial":' in line for line in before)
    status, out, err = call([*SMALL, "--out", str(folder)])
    assert (status, err) == (0, "")
    assert f"2 optimizers, {trials} trials finished before" in out and "dropped a broken last line" in out
    assert (folder / "records.jsonl").read_bytes().splitlines()[: len(before)] == before
    assert by_trial(read(folder)) == by_trial(read(whole))  # and so none twice
    assert timeless(json.loads((folder / "board.json").read_text())) == timeless(
        json.loads((whole / "board.json").read_text())
    )


@proc
def test_ctrl_c_keeps_what_is_finished_and_prints_the_command_that_goes_on(tmp_path):
    longer = [*SMALL[:-1], "20"]  # epochs: seconds of work are left when the interrupt comes
    # A job in a shell's background inherits that interrupts are ignored; in a terminal they are not.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = start([*longer, "--out", "my race"], cwd=tmp_path, start_new_session=True, preexec_fn=heard)
    wait_for_lines(tmp_path / "my race", 1, process)
    for worker in children(process):
        os.kill(worker, signal.SIGINT)  # they leave it to the race
    wait_for_lines(tmp_path / "my race", 4, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it: the workers get it too
    out, err = (stream.decode() for stream in process.communicate(timeout=60))
    assert (process.returncode, err) == (130, "")
    assert re.search(r"So far, after \d+ of 16 trials:", out)
    command = shlex.split(out.splitlines()[-1])
    assert command == ["downslope", *longer, "--out", "my race"]
    assert json.loads((tmp_path / "my race" / "board.json").read_text())["complete"] is False
    finished = read(tmp_path / "my race")
    status, _, err = call(command[1:], cwd=tmp_path)
    assert (status, err) == (0, "")
    records = read(tmp_path / "my race")
    assert records[: len(finished)] == finished
    assert len({json.dumps(r["trial"]) for r in records}) == len(records) == 16
