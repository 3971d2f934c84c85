"""Several processes on this machine make of a run what one makes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp

import distributed_cases as cases
from downslope.errors import RunError
from downslope.training import distributed, shards
from downslope.training.run import train


def together(size: int, folder: Path, names: list[str]) -> list[dict[str, Any]]:
    """What each of `size` processes found."""
    mp.spawn(cases.work, (size, folder, names), nprocs=size)
    found = [torch.load(folder / f"found-{size}-{rank}.pt") for rank in range(size)]
    for each in found:
        for name, value in each.items():
            assert not isinstance(value, str), f"{name} in one of {size}:\n{value}"
        assert list(each) == names
    return found


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What one process makes of each run."""
    return {name: cases.outcome(train(make(), **options)) for name, (make, options) in ALONE.items()}


ALONE = cases.RUNS | cases.COPIED_ALONE
EVERY = [*(f"{name}{kind}" for name in cases.RUNS for kind in ("", ", parts")), *cases.COPIED_ALONE]


def compare(found: list[dict[str, Any]], expected: dict[str, Any], names: list[str]) -> None:
    wrong = {}
    for name in names:
        for rank, each in enumerate(found):
            differ = cases.differences(each[name], expected[name.removesuffix(", parts")])
            if differ:
                wrong[f"{name}, process {rank}"] = differ
    assert not wrong, json.dumps(wrong, indent=1)


def test_two_processes(expected: dict[str, Any], tmp_path: Path) -> None:
    found = together(2, tmp_path, EVERY)
    compare(found, expected, EVERY)


def test_the_runs_try_what_they_are_for(expected: dict[str, Any]) -> None:
    assert expected["diverges"]["at"] is not None
    assert expected["best"]["steps"] < 30 * 4, "stops early"
    rates = [record["lr"] for record in expected["plateau"]["records"] if "lr" in record]
    assert len(set(rates)) > 1, "the plateau is met"
    assert expected["drop last"]["steps"] == 9 and expected["accumulate"]["steps"] == 6


def test_four_processes_and_another_number(expected: dict[str, Any], tmp_path: Path) -> None:
    """Two begin, four go on, one ends."""
    begun = together(2, tmp_path, ["begin_runs", "full_disk"])[0]
    ends = begun["begin_runs"]
    assert cases.differences(begun["full_disk"], ends["parts"], 0.0) == []
    some = ["adam", "adam, parts", "penalties, parts", "clipped", "clipped, parts", "muon, parts", "best, parts"]
    found = together(4, tmp_path, ["go_on", "check_norms", *some])  # of two dimensions of processes
    compare(found, expected, some)
    assert found[0]["go_on"] == {"copied": 13, "parts": 13, "changed": 17}
    assert len(list((tmp_path / "copied-2").glob("state-*"))) == 1, "the state in parts took the place of the whole one"
    assert not (tmp_path / "copied-2" / "last.pt").exists()
    for kind in ("copied", "parts"):
        folder = tmp_path / f"{kind}-2"
        broken_is_refused(folder)
        result = train(cases.task(), resume=folder, shard=False)
        assert cases.differences(cases.outcome(result), ends[kind]) == []
        kept = torch.load(folder / "model.pt", weights_only=True)
        assert all(type(t) is torch.Tensor and torch.equal(t, result.model.state_dict()[n]) for n, t in kept.items())
        assert (folder / "last.pt").exists() and not list(folder.glob("state-*"))
    for kind in ("copied-whole", "parts-whole"):
        kept = torch.load(tmp_path / kind / "model.pt", weights_only=True)
        cases.mlp().load_state_dict(kept)
        assert all(torch.allclose(t, ends["copied"]["weights"][n], atol=1e-5) for n, t in kept.items())


def test_optimizers_on_parts(tmp_path: Path) -> None:
    together(2, tmp_path, [check.__name__ for check in cases.CHECKS])


def broken_is_refused(folder: Path) -> None:
    """What a kill left is passed over; a broken file is an error that names it, and nothing is changed."""
    state = shards.newest(folder)
    assert state is not None
    (folder / "state-99.tmp").mkdir()
    (folder / "state-98").mkdir()
    assert shards.newest(folder) == state
    part = next(state.glob("*.distcp"))
    content = part.read_bytes()
    part.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunError, match=f"{state.name}: is not a whole checkpoint"):
        train(cases.task(), resume=folder, shard=False)
    part.write_bytes(content)


def test_a_process_lost_in_a_checkpoint_is_no_full_disk(tmp_path: Path) -> None:
    team = distributed.Team(0, 2, 0)
    failing = shards._failing(lambda error: RunError(f"cannot be written: {error}"), tmp_path)
    with (
        pytest.raises(RunError, match=r"process 0 of 2 lost another one .*--resume FOLDER"),
        distributed.lost(team),
        failing,
    ):
        raise RuntimeError("Read error [127.0.0.1]:16803: Connection reset by peer.\nThis is typically")


# ---- by torchrun

FILE = """
import time
import torch

def model():
    return torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))

def data(bad=False):
    x = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    if bad:
        x[-1] = float("nan")
    return (x, y), (x[:30], y[:30])

def loss(output, target):
    time.sleep(SLEEP)
    return torch.nn.functional.cross_entropy(output, target)
"""
OPTIONS = ["--epochs", "20", "--batch", "16", "--lr", "0.01", "--save-seconds", "0", "--shard", "--device", "cpu"]


def start(folder: Path, *words: str) -> subprocess.Popen[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*launcher, "-m", "downslope", "train", *words],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="finds the processes in /proc")
@pytest.mark.parametrize("how", ["one killed", "Ctrl-C"])
def test_a_run_that_is_ended_goes_on(how: str, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(FILE.replace("SLEEP", "0.05"))
    (tmp_path / "quick.py").write_text(FILE.replace("SLEEP", "0"))
    running = start(tmp_path, "slow.py", *OPTIONS, "--out", "run")
    records = tmp_path / "run" / "records.jsonl"
    until = time.monotonic() + 60
    while not (records.exists() and records.read_text().count("\n") >= 2) and time.monotonic() < until:
        time.sleep(0.05)
    workers = children(running.pid)
    assert len(workers) == 2
    os.kill(*((workers[1], signal.SIGKILL) if how == "one killed" else (running.pid, signal.SIGINT)))
    output, errors = running.communicate(timeout=60)
    assert running.returncode != 0
    said = [line for line in errors.splitlines() if line.startswith("downslope: ")]
    assert len(said) <= 1 and all("--resume" in line for line in said), errors
    if how == "Ctrl-C":
        assert said == [] and "torchrun --nproc-per-node 2 -m downslope train --resume run" in output, output
    (tmp_path / "slow.py").write_text(FILE.replace("SLEEP", "0"))
    options = {"epochs": 20, "batch": 16, "lr": 0.01, "device": "cpu"}
    result = train(resume=tmp_path / "run", shard=False)
    whole = train(str(tmp_path / "quick.py"), **options)
    assert cases.differences(cases.outcome(result), cases.outcome(whole)) == []


def test_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(FILE.replace("SLEEP", "0"))
    running = start(tmp_path, "bad.py", *OPTIONS, "--out", "run", "--set", "bad=true", "--order", "sequential")
    _, errors = running.communicate(timeout=100)
    assert running.returncode != 0
    said = [line for line in errors.splitlines() if line.startswith("downslope: ")]
    assert len(said) == 1 and "bad.py: data(), train: the inputs hold nan" in said[0], errors
    assert errors.count("Traceback") <= 1, errors  # torchrun's own
