"""Killed at any moment, in the middle of a checkpoint too, a run goes on to bitwise the same end.

The kills are SIGKILLs of real processes: a fresh process with torch in it forks one for each run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

EVENTS, CLOCKED = 21, 4  # kills at a counted event, and at a time on the clock
KINDS = ("step", "journal", "half a line", "half a file", "fsync", "rename", "renamed")
LIMIT = 40  # processes that one run may take to its end


class Hook:
    """Counts what a run does to the disk and its steps, and kills the process at one of them."""

    def __init__(self, kill_at: int | None):
        self.kill_at, self.seen = kill_at, []

    def __call__(self, kind: str) -> bool:
        self.seen.append(kind)
        return len(self.seen) == self.kill_at

    def on_step(self, loop: object) -> None:
        if self("step"):
            kill()


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class HalfFile:
    """A file whose writes may end in the middle."""

    def __init__(self, file, hook: Hook):
        self.file, self.hook = file, hook

    def write(self, data):
        if self.hook("half a file"):
            self.file.write(bytes(data)[: len(data) // 2])
            self.file.flush()
            kill()
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def install(hook: Hook) -> None:
    from downslope.training import files

    write, fsync, replace = os.write, os.fsync, os.replace

    def killing_write(fd, data):
        if hook("journal"):
            kill()
        if hook("half a line"):
            write(fd, data[: len(data) // 2])
            kill()
        return write(fd, data)

    def killing_fsync(fd):
        if hook("fsync"):
            kill()
        return fsync(fd)

    def killing_replace(a, b):
        if hook("rename"):
            kill()
        replace(a, b)
        if hook("renamed"):
            kill()

    os.write, os.fsync, os.replace = killing_write, killing_fsync, killing_replace
    files.open = lambda *args: HalfFile(open(*args), hook)  # noqa: SIM115


def task(dropout):
    import torch
    from torch import nn

    from downslope import Task

    def model():
        return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 3))

    def data():
        draw = torch.Generator().manual_seed(0)
        inputs = torch.randn(60, 4, generator=draw)
        targets = inputs[:, :3].argmax(1)
        return [(inputs[:40], targets[:40]), (inputs[40:], targets[40:])]

    def metric(output, target):
        return (output.argmax(1) == target).double().mean()

    return Task("tiny", model, data, nn.functional.cross_entropy, metric, batch=10, epochs=2)


def fork(call) -> int:
    """Run in a child; its status as waitpid has it."""
    pid = os.fork()
    if pid == 0:
        try:
            call()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def run(folder: Path, hook: Hook, listing: Path | None = None) -> None:
    """One run, or an ensemble whose members train together, which has no dropout."""
    from downslope.training.run import train

    install(hook)
    there = (folder / "config.json").exists()
    options = dict(out=str(folder), save_seconds=0, lr=0.02, schedule="cosine", patience=9, ema=0.8, seed=4)
    several = folder.name.startswith("several")
    more = {"members": 2, "together": "yes", "epochs": 1} if several else {}
    begun = {} if there else options | more
    train(task(0.0 if several else 0.3), resume=folder if there else None, callbacks=[hook], **begun)
    if listing:
        listing.write_text(json.dumps(hook.seen))


def to_its_end(folder: Path, kill_at: int | None, seconds: float | None) -> int:
    """Start, kill, and go on, killed once more in the same way, until it is done; how often it was killed."""
    killed = 0
    for attempt in range(LIMIT):
        pid = fork(lambda at=kill_at if attempt < 2 else None: run(folder, Hook(at)))
        if seconds is not None and attempt < 2:
            time.sleep(seconds)
            os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            killed += 1
        else:
            assert os.WEXITSTATUS(status) == 0, "the run failed"
            if seconds is None or attempt >= 2 or killed:
                return killed
    raise AssertionError("never got to its end")


def result(folder: Path) -> tuple:
    import torch

    def plain(value):
        if isinstance(value, torch.Tensor):
            return value.dtype, value.tolist()
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in ("seconds",)}
        return [plain(v) for v in value] if isinstance(value, list | tuple) else value

    journals = sorted(folder.rglob("records.jsonl"))
    records = [json.loads(line) for journal in journals for line in journal.read_text().splitlines()]
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.pt"))
    assert len(names) in (3, 7), names
    return plain(records), {name: plain(torch.load(folder / name, weights_only=True)) for name in names}


def moments(seen: list[str], count: int) -> list[int]:
    """Random ones, of each kind of event as many."""
    draw = random.Random(0)
    wanted = [KINDS[n % len(KINDS)] for n in range(count)]
    return [draw.choice([i for i, kind in enumerate(seen, 1) if kind == each]) for each in wanted]


def main(folder: Path) -> None:
    import torch

    import downslope.optim
    import downslope.training.run  # so that the children have it  # noqa: F401

    torch.set_num_threads(1)
    found = {}
    for kind, count, clocked in (("one", EVENTS, CLOCKED), ("several", len(KINDS), 1)):
        begin = time.perf_counter()
        os.waitpid(fork(lambda kind=kind: run(folder / f"{kind}-whole", Hook(None), folder / f"{kind}.json")), 0)
        took = time.perf_counter() - begin
        seen = json.loads((folder / f"{kind}.json").read_text())
        whole = result(folder / f"{kind}-whole")
        draw = random.Random(1)
        plan = [(at, None) for at in moments(seen, count)] + [(None, draw.uniform(0, took)) for _ in range(clocked)]
        killed = 0
        for number, (at, seconds) in enumerate(plan):
            again = folder / f"{kind}-killed{number}"
            killed += to_its_end(again, at, seconds)
            after = f"a kill at event {at} ({at and seen[at - 1]}), {seconds} s"
            assert result(again) == whole, f"{kind}: another end after {after}"
        found[kind] = {"kinds": Counter(seen[at - 1] for at, _ in plan if at), "killed": killed}
    print(json.dumps(found))


def test_a_killed_run_ends_with_the_same_weights_and_records(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, str(tmp_path)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(set(each["kinds"]) == set(KINDS) for each in found.values())
    assert found["one"]["killed"] >= 30 and found["several"]["killed"] >= len(KINDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
