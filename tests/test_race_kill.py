"""SIGKILL at twenty random moments, and nobody can tell afterwards."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from race_cases import by_trial, lines, records, timeless, tiny

# One process imports everything, and forks a race for each moment; a race says what it trains in a log.
MOMENTS = """
import json, os, random, signal, sys, time
import torch
torch.set_num_threads(1)
from downslope.race import race
from downslope.race.bench import Bench
from downslope.race.trial import Trial

task, root, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
plain = Bench.run

def logged(bench, job):
    with open(LOG, "a") as log:
        for trial in job.trials:
            log.write(trial.key() + "\\n")
    return plain(bench, job)

Bench.run = logged
if options["batched"]:  # how many train together is else timed anew by every race that is killed before it has told
    import downslope.race.batched
    downslope.race.batched.can_batch = lambda *_: {"size": 5, "why": ""}

def start(folder, log):
    global LOG
    LOG = log
    child = os.fork()
    if child == 0:
        try:
            race(task, ["sgd", "adam"], out=folder, engine="here", **options)
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
    return child

def journal(folder):
    try:
        with open(f"{folder}/records.jsonl", "rb") as file:
            return file.read()
    except OSError:
        return b""

LOG = f"{root}/whole.log"
race(task, ["sgd", "adam"], out=f"{root}/whole", engine="here", **options)  # here, so that all is warm for the others
total = journal(f"{root}/whole").count(b"trial")
draw = random.Random(int(sys.argv[4]))
for kill in range(int(sys.argv[5])):
    folder, log = f"{root}/race-{kill // 5}", f"{root}/log-{kill}"
    enough = journal(folder).count(b"trial") + draw.randrange(total // 5)
    child = start(folder, log)
    until = time.perf_counter() + 20
    while journal(folder).count(b"trial") < enough and time.perf_counter() < until:
        time.sleep(0.001)
    time.sleep(draw.uniform(0, 0.02))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with open(f"{root}/journal-{kill}", "wb") as file:
        file.write(journal(folder))
for number in range((int(sys.argv[5]) + 4) // 5):
    assert os.waitpid(start(f"{root}/race-{number}", f"{root}/last-{number}"), 0)[1] == 0
"""
KILLS = 10  # in each way of training


@pytest.mark.parametrize("batched", [False, True], ids=["alone", "together"])
def test_a_race_that_is_killed_at_random_moments_ends_as_if_it_was_not(batched, tmp_path):
    options = json.dumps({"trials": 12, "seeds": 3, "epochs": 6, "rungs": True, "batched": batched})
    words = [sys.executable, "-c", MOMENTS, tiny(tmp_path / "task"), str(tmp_path), options, "7", str(KILLS)]
    subprocess.run(words, check=True, timeout=300, cwd=tmp_path)
    whole = tmp_path / "whole"
    board = timeless(json.loads((whole / "board.json").read_text()))
    sizes = [line.get("size") for line in lines(whole) if line.get("decision") == "batching"]
    assert sizes == ([5, 5] if batched else [])
    cut = 0
    for kill in range(KILLS):
        folder = tmp_path / f"race-{kill // 5}"
        journal = (tmp_path / f"journal-{kill}").read_bytes()
        kept = journal[: journal.rfind(b"\n") + 1]
        assert (folder / "records.jsonl").read_bytes().startswith(kept)  # nothing that was finished is lost
        finished = {key(json.loads(line)) for line in kept.splitlines() if b'"trial":' in line}
        cut += 0 < len(finished) < len(records(whole))
        following = tmp_path / (f"log-{kill + 1}" if (kill + 1) % 5 and kill + 1 < KILLS else f"last-{kill // 5}")
        trained = following.read_text().splitlines() if following.exists() else []
        if not batched:  # a group of which one is missing trains again as a whole, and keeps what was missing
            assert not finished.intersection(trained)
    assert cut >= KILLS // 2, "the moments of the kills tell nothing"
    for number in range(KILLS // 5):
        folder = tmp_path / f"race-{number}"
        found = records(folder)
        assert len({key(record) for record in found}) == len(found)
        assert by_trial(found) == by_trial(records(whole))
        assert timeless(json.loads((folder / "board.json").read_text())) == board


def key(record):
    return json.dumps([record["trial"][part] for part in ("optimizer", "settings", "seed", "epochs")],
                      separators=(",", ":"))  # fmt: skip


def test_workers_end_with_a_race_that_is_killed(tmp_path):
    if not Path("/proc").is_dir():
        pytest.skip("no /proc to look for processes in")
    asleep = "def loss(output, target):\n    import time\n\n    time.sleep(0.01)"
    slow = tiny(tmp_path / "task", slow=("def loss(output, target):", asleep))
    script = "import sys; from downslope.race import race; race(sys.argv[1], 'sgd,adam', out='race', workers=2)"
    process = subprocess.Popen([sys.executable, "-c", script, slow], cwd=tmp_path)
    journal = tmp_path / "race" / "records.jsonl"
    _wait(lambda: journal.exists() and b'"trial"' in journal.read_bytes(), "no trial has finished")
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    assert len(workers) == 2
    _wait(lambda: not any(map(_lives, workers)), "workers outlive the race")


def _lives(pid):
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _wait(holds, what):
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until, what
        time.sleep(0.02)
