"""Claims are run, in several processes if asked, and written down as each is finished, not to be run again."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from .. import rng
from ..errors import DownslopeError, RunError
from ..training.files import guard, write_atomic
from . import panels as kinds
from .checks import interval
from .panels import Panel
from .registry import Entry, by_name
from .verdict import judge

FORMAT = 1
FIRST_SEED = 100
"""Sizes and rules were settled on seeds from 0 on; what is published is of seeds that had no part in that."""


@dataclass(frozen=True)
class Finished:
    """A claim that was run: what its file says, as JSON has it.

    `measures` hold by name the values over seeds, their mean and the ends of its interval (None where there is none);
    `core` and `reach` are [expected, outcome, found] for each check, `panels` what its picture shows, `code` the digest
    of the file it is from, and `seconds` of one core what it took.
    """

    slug: str
    title: str
    says: str
    source: str
    task: str
    how: str
    seeds: int
    verdict: str
    reason: str
    core: list[list[str]]
    reach: list[list[str]]
    measures: dict[str, dict[str, Any]]
    panels: list[dict[str, Any]] = field(repr=False)
    code: str = ""
    seconds: float = 0.0
    format: int = FORMAT

    def pictured(self) -> list[Panel]:
        """The panels as they were made."""
        return [_panel(each) for each in self.panels]


def run(name: str, *, seeds: int | None = None) -> Finished:
    """Run one claim, on one thread, and judge it; over its own number of seeds unless given.

    The caller's random state and number of threads stay as they were. The same seeds give the same figures."""
    entry = by_name(name)
    claim = entry.claim
    count = claim.seeds if seeds is None else seeds
    since = time.process_time()
    with rng.seeded(0), _one_thread():
        evidence = entry.experiment(range(FIRST_SEED, FIRST_SEED + count))
    found = judge(claim, evidence)
    measures = {}
    for measure, values in evidence.measures.items():
        held = [value if isinstance(value, bool) else float(value) for value in values]
        mean, low, high = interval(held)
        measures[measure] = {"values": held, "mean": mean, "low": low, "high": high}
    return Finished(
        entry.slug, claim.title, claim.says, claim.source, claim.task, claim.how, count, found.verdict, found.reason,
        [list(each) for each in found.core], [list(each) for each in found.reach], measures,
        [_plain(panel) for panel in evidence.panels], digest(entry), round(time.process_time() - since, 2),
    )  # fmt: skip


def run_all(
    names: Sequence[str],
    out: Path,
    *,
    workers: int = 1,
    again: bool = False,
    tell: Callable[[Finished, bool], None] = lambda finished, new: None,
) -> list[Finished]:
    """Run claims, or read those that `out` holds already, unless `again`; in the order of the names.

    Each is written to `out`/NAME.json when it is finished; one whose file of code has changed since is run again.
    `tell` hears of each, and whether it was run now. Raises RunError where a worker process died: what was finished is
    kept, and the same command goes on."""
    entries = [by_name(name) for name in names]
    if out.exists() and not out.is_dir():
        raise RunError(f"{out}: is a file, and the textbook needs a folder; name another one with --out FOLDER")
    guard(out, lambda path: path.mkdir(parents=True, exist_ok=True))
    done: dict[str, Finished] = {}
    for entry in entries:
        held = None if again else load(out / f"{entry.slug}.json")
        if held is not None and held.code == digest(entry):
            done[entry.slug] = held
            tell(held, False)
    left = [entry.slug for entry in entries if entry.slug not in done]
    for finished in _elsewhere(left, workers) if workers > 1 and len(left) > 1 else map(run, left):
        write_atomic(out / f"{finished.slug}.json", json.dumps(asdict(finished), allow_nan=False) + "\n")
        done[finished.slug] = finished
        tell(finished, True)
    return [done[entry.slug] for entry in entries]


def load(path: Path) -> Finished | None:
    """What was written down, or None where there is nothing that this version can read."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return Finished(**held) if held.get("format") == FORMAT else None
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def digest(entry: Entry) -> str:
    """Of the claim's file: what was run from another text is out of date."""
    return hashlib.sha256(entry.code.encode()).hexdigest()[:16]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums come out the same on any machine, and workers do not stand in each other's way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# ---- several processes


def _elsewhere(names: Sequence[str], workers: int) -> Iterator[Finished]:
    """Each in one of several fresh processes; a fork of torch's threads may hang."""
    pool = ProcessPoolExecutor(min(workers, len(names)), multiprocessing.get_context("spawn"), _deaf)
    try:
        waiting = [pool.submit(run, name) for name in names]
        for finished in as_completed(waiting):
            yield finished.result()
    except BrokenProcessPool as error:
        raise RunError(
            "textbook: a worker process died, as for want of memory; what was finished is kept: go on with the same "
            "command, with --workers 1 if memory was short"
        ) from error
    except (DownslopeError, KeyboardInterrupt, GeneratorExit):
        for process in list(pool._processes.values()):  # not to wait for what nobody wants any more
            process.kill()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _deaf() -> None:
    """A terminal's Ctrl-C is the parent's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


# ---- panels as JSON


def _plain(panel: Panel) -> dict[str, Any]:
    return {"kind": type(panel).__name__, **_numbers(asdict(panel))}


def _numbers(value: Any) -> Any:
    """Without tensors and arrays, and floats with the digits that a picture has use for."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [_numbers(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


PARTS: dict[str, Any] = {"lines": kinds.Line, "bars": kinds.Bar, "walks": kinds.Walk}


def _panel(held: dict[str, Any]) -> Panel:
    rest = {key: value for key, value in held.items() if key != "kind"}
    for name, made in PARTS.items():
        if name in rest:
            rest[name] = [made(**each) for each in rest[name]]
    return getattr(kinds, held["kind"])(**rest)  # type: ignore[no-any-return]
