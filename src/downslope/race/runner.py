"""A race from start to finish."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from ..errors import SettingError
from ..training.extras import need
from . import budget as budgets
from .batches import Batches
from .bench import NOTE
from .board import board
from .engine import Engine, NotElsewhere
from .entrants import DEFAULT
from .folder import Folder, default_path
from .here import Here
from .plan import Plan
from .prepare import Ready, prepare
from .referee import Round, Undecided, added, expected, next_step
from .result import Result, Several
from .trial import Record
from .workers import Workers, default_count


class Watcher(Protocol):
    """What is told how a race goes on; the live table is one. `total` is how many trials the race has in all, None
    while a budget of time is not yet decided."""

    def start(self, plan: Plan, folder: Path, records: list[Record], notes: list[str]) -> None: ...
    def begin(self, stage: str, trials: int, total: int | None) -> None: ...
    def finished(self, record: Record) -> None: ...
    def note(self, text: str) -> None: ...
    def stop(self) -> None: ...


def race(
    task: Any = "digits",
    optimizers: Any = DEFAULT,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    more_seeds: int | None = None,
    workers: int | None = None,
    engine: str | Callable[[Ready, int], Engine] = "local",
    ray_address: str | None = None,
    watch: Watcher | None = None,
    **options: Any,
) -> Result | Several:
    """Race optimizers on a task: which one, at which settings, within a budget, and how sure that is.

    `task` is a name, a file `my_task.py`, a `Task`, or a list of them, which race one after the other. `optimizers` are
    names, classes of `downslope.optim`, or formulas. `options`, each with its default:

    - `budget` (None): "10m", "1h30m", "60 trials", "300 epochs" for the whole race, the same share for each optimizer;
      or `trials` (11) to search with and `seeds` (5) to confirm with, each.
    - `epochs`, `batch` (the task's), `schedule` ("cosine"; several join the search), `warmup` (0.05 of the steps).
    - `search` (None): {"lr": (1e-4, 1e-1), "adam.eps": [1e-8, 1e-6], "task.width": [16, 64]}: what is looked for where.
    - `rungs` (False): short trials first, of which the best third goes on to longer ones.
    - `search_seeds` (1), `race_seed` (0), `task_settings`, `monitor` ("metric" if there is one), `sampler` ("halton"),
      `batched` (True: trials that can, train together), `device` (a GPU if there is one), `threads` (1) of a worker.

    `out` is the run folder, by default runs/NAME-TIME; where it holds the same race already, that goes on.
    `more_seeds` confirms the choices of a finished race on so many seeds more, as to settle what is undecided; as that
    is another look at the same race, p-values are then multiplied by the number of looks. `workers`
    processes, one per core by default, change the time but no result, nor does a stop at any moment. Ctrl-C ends the
    race early: the result is then marked as interrupted, and all finished trials are in the folder.

    `engine` is "local"; "here", in this process; or "ray", on the Ray cluster at `ray_address`, else the one that Ray
    finds, else this machine.

    Raises SettingError for what cannot be raced, RunError when the folder is in the way or cannot be written, or when a
    trial fails otherwise than by diverging.
    """
    need("scipy", extra="race", job="a race")
    if workers is not None and workers < 1:
        raise SettingError(f"workers={workers}: must be at least 1")
    if resume and out is None:
        raise SettingError("resume: which race? name its folder with --out FOLDER")
    if not callable(engine) and engine not in (*ENGINES, "ray"):
        raise SettingError(f"engine={engine!r}: known are {', '.join([*ENGINES, 'ray'])}")
    if more_seeds is not None and (more_seeds < 1 or out is None):
        raise SettingError(f"more_seeds={more_seeds}: at least 1, for the finished race in --out FOLDER")
    if engine == "ray":
        need("ray", extra="ray", job="the engine ray")
    elif ray_address is not None:
        raise SettingError(f"ray_address={ray_address!r}: is for the engine ray; add engine='ray' (--engine ray)")
    known: dict[str, Any] = {
        "resume": resume,
        "more_seeds": more_seeds,
        "workers": workers,
        "engine": engine,
        "address": ray_address,
        "watch": watch,
    }
    if isinstance(task, list | tuple):
        return _several(task, optimizers, None if out is None else Path(out), known, options)
    ready = prepare(task, optimizers, **options)
    path = Path(out) if out is not None else default_path(ready.plan.task)
    return _race(ready, path, **known)


def _several(
    tasks: Iterable[Any], optimizers: Any, out: Path | None, known: dict[str, Any], options: dict[str, Any]
) -> Several:
    """One race after the other, each in a folder of its own below `out`."""
    ready = [prepare(task, optimizers, **options) for task in tasks]  # what is wrong is said before the first begins
    names = [Path(one.plan.task).stem for one in ready]
    if not names:
        raise SettingError("race: no task is given; give a name such as digits, or a file")
    if len(set(names)) < len(names):
        raise SettingError(f"tasks {', '.join(names)}: one is named twice; name each once")
    out = out or default_path("races")
    results = []
    for name, one in zip(names, ready):
        results.append(_race(one, out / name, **known))
        if results[-1].interrupted:
            break
    return Several.of(out, results, complete=len(results) == len(ready) and not results[-1].interrupted)


def _race(
    ready: Ready,
    path: Path,
    *,
    resume: bool,
    more_seeds: int | None,
    workers: int | None,
    engine: Any,
    address: str | None,
    watch: Watcher | None,
) -> Result:
    folder = Folder(path, ready.plan, resume=resume)
    plan = folder.plan
    interrupted = False
    runs: Engine | None = None
    try:
        if more_seeds is not None and (line := added(plan, folder.journal, more_seeds)) is not None:
            folder.append(line)
        if watch:
            watch.start(plan, path, list(folder.journal.records.values()), folder.notes)
        runs = _engine(ready, engine, workers, address, folder, watch)
        batches = Batches(ready, folder, watch.note if watch else lambda text: None)
        while (step := next_step(plan, folder.journal)) is not None:
            if isinstance(step, Undecided):
                read = budgets.read(plan.budget or "")
                points = len(plan.search_seeds)
                costs = {name: cost / max(batches.gain(name), 1.0) for name, cost in step.costs.items()}
                folder.append(budgets.timed(read, costs, step.spent, runs.count, plan.seeds, points))
                continue
            try:
                _round(step, batches, runs, folder, watch)
            except NotElsewhere as error:
                _note(f"no other process can train this ({error}); training in this one", folder, watch)
                runs.close()
                runs = Here(ready.bench, plan.threads)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if watch:
            watch.stop()
        if runs is not None:
            runs.close()
        folder.close()
    journal = folder.journal
    records = list(journal.records.values())
    total = expected(plan, journal) if interrupted else len(records)
    made = board(plan, records, journal.decisions, expected=total)
    made["notes"] += [line["text"] for line in journal.decisions if line["decision"] == "note"]
    folder.write_board(made)
    return Result(plan, path, records, journal.decisions, made, interrupted)


def _engine(
    ready: Ready, engine: Any, workers: int | None, address: str | None, folder: Folder, watch: Watcher | None
) -> Engine:
    plan = ready.plan
    if engine in ("local", "ray") and ready.kit.why:
        _note(f"training in this process alone: {ready.kit.why}", folder, watch)
        return Here(ready.bench, plan.threads)
    if engine == "ray":
        from .ray_engine import OnRay

        return OnRay(ready.kit, workers, address)
    count = workers or (default_count(plan.threads) if plan.device == "cpu" else 1)
    if callable(engine):
        return engine(ready, count)  # type: ignore[no-any-return]
    return ENGINES[engine](ready, count)


ENGINES: dict[str, Callable[[Ready, int], Engine]] = {
    "local": lambda ready, count: Workers(ready.kit, count),
    "here": lambda ready, count: Here(ready.bench, ready.plan.threads),
}


def _round(step: Round, batches: Batches, engine: Engine, folder: Folder, watch: Watcher | None) -> None:
    """Run what is missing of a round."""
    for line in step.told:
        if line not in folder.journal.decisions:
            folder.append(line)
    jobs = batches.jobs(step)
    if watch:
        missing = len(folder.journal.missing(step.trials))
        watch.begin(step.name, missing, expected(folder.plan, folder.journal))
    for done in engine.run(jobs):
        for text in done.notes:
            _note(text, folder, watch)
        for record in done.records:
            if text := record.pop(NOTE, ""):
                _note(text, folder, watch)
            if folder.append(record) and watch:
                watch.finished(record)


def _note(text: str, folder: Folder, watch: Watcher | None) -> None:
    """Tell something unusual, now and in the journal."""
    line = {"decision": "note", "text": text}
    if line not in folder.journal.decisions:
        folder.append(line)
    if watch:
        watch.note(text)
