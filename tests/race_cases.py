"""A task that trains in milliseconds, and what tests of races share."""

import json
import os
import signal
import sys
from pathlib import Path

TINY = """
import torch

EPOCHS, BATCH = 3, 16


def data(size: int = 64):
    draw = torch.Generator().manual_seed(0)

    def part(n):
        x = torch.randn(n, 4, generator=draw)
        return x, (x @ torch.tensor([1.0, -2.0, 0.5, 3.0]) + torch.randn(n, generator=draw) > 0).long()

    return part(size), part(64), part(64)


def model(width: int = 8):
    return torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.Tanh(), torch.nn.Linear(width, 2))


def loss(output, target):
    return torch.nn.functional.cross_entropy(output, target)


def metric(output, target):
    return (output.argmax(1) == target).double().mean()
"""

SMALL = {"trials": 4, "seeds": 2, "batched": False}


def tiny(folder: Path, **changes: str) -> str:
    """The path of the task's file; `changes` replace some of its text."""
    text = TINY
    for before, after in changes.values():
        assert before in text
        text = text.replace(before, after)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "tiny.py"
    path.write_text(text)
    return str(path)


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]


def records(folder: Path) -> list[dict]:
    return [line for line in lines(folder) if "trial" in line]


CLOCK = ("seconds", "wall", "how", "budget", "headline", "sentences")


def timeless(value):
    """A record or board without what the clock decides: seconds, and the words and curves that are made of them."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if not k.startswith(CLOCK)}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def by_trial(found: list[dict]) -> list[dict]:
    return sorted(map(timeless, found), key=lambda r: json.dumps(r["trial"]))


class Notes:
    """A watcher that remembers."""

    def __init__(self):
        self.before, self.after, self.rounds, self.notes = 0, [], [], []

    def start(self, plan, folder, records, notes):
        self.before, self.notes = len(records), list(notes)

    def begin(self, stage, trials, total):
        self.rounds.append((stage, trials, total))

    def finished(self, record):
        self.after.append(record)

    def note(self, text):
        self.notes.append(text)

    def stop(self):
        pass


class Kit:
    """A kit whose bench does as `act` says, for the worker processes of a test."""

    def __init__(self, act, log):
        self.act, self.log, self.path = act, log, [str(Path(__file__).parent), *sys.path]

    def bench(self):
        return Bench(self.act, self.log)


class Bench:
    """Trains nothing; writes what it is given to a log."""

    def __init__(self, act, log):
        self.act, self.log = act, log

    def run(self, job):
        many, again = len(job.trials) > 4, os.path.exists(self.log)
        with open(self.log, "a") as log:
            log.write(f"{len(job.trials)}{'+' * job.batched}\n")
        if self.act == "killed when many" and many:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.act == "short when many" and many:
            raise MemoryError("DefaultCPUAllocator: can't allocate memory")
        if self.act == "killed once" and not again:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.act == "always killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return [{"trial": trial.as_json()} for trial in job.trials]
