"""The command, or the call, that makes a race, every option spelt out: defaults may change, this race does not."""

from __future__ import annotations

import shlex
from pathlib import Path

from ..race import Plan
from ..race.dimension import Dimension
from ..training.task import bundled


def command(plan: Plan, out: Path | str | None = None) -> str:
    """The `downslope race` line of a plan; for a task or rule of a notebook the call in Python."""
    loose = [origin for origin in plan.origins.values() if ".py:" not in origin]
    return _call(plan) if loose or not _on_the_line(plan.task) else _line(plan, out)


def _on_the_line(task: str) -> bool:
    return task in bundled() or task.endswith(".py")


def _line(plan: Plan, out: Path | str | None) -> str:
    words = ["downslope", "race", plan.task, "--optimizers", ",".join(plan.origins.get(n, n) for n in plan.optimizers)]
    if plan.budget is not None:
        words += ["--budget", plan.budget]
    for option, value in (("--trials", plan.trials), ("--seeds", plan.seeds)):
        if value is not None and not (option == "--trials" and plan.budget is not None):
            words += [option, str(value)]
    words += ["--epochs", str(plan.epochs)]
    if plan.batch is not None:
        words += ["--batch", str(plan.batch)]
    words += ["--schedule", ",".join(map(str, _schedules(plan))), "--warmup", str(plan.warmup)]
    for wish in _wishes(plan):
        words += ["--search", wish]
    if plan.rungs:
        words += ["--rungs"]
    words += ["--search-seeds", str(len(plan.search_seeds)), "--race-seed", str(plan.race_seed)]
    for name, value in plan.task_settings.items():
        words += ["--set", f"{name}={value}"]
    words += ["--monitor", plan.monitor, "--sampler", plan.sampler]
    words += ["--alone"] if plan.batched == "no" else []
    words += ["--device", plan.device, "--threads", str(plan.threads)]
    words += ["--out", str(out)] if out is not None else []
    return _wrapped(words)


def _call(plan: Plan) -> str:
    task = repr(plan.task) if _on_the_line(plan.task) else "task"
    racing = ", ".join(plan.origins[n].rpartition(":")[2] if n in plan.origins else repr(n) for n in plan.optimizers)
    bought = {"budget": plan.budget} if plan.budget is not None else {"trials": plan.trials}
    given = {
        **bought, "seeds": plan.seeds, "epochs": plan.epochs, "batch": plan.batch, "schedule": _schedules(plan),
        "warmup": plan.warmup, "search": _wishes(plan) or None, "rungs": bool(plan.rungs),
        "search_seeds": len(plan.search_seeds), "race_seed": plan.race_seed,
        "task_settings": dict(plan.task_settings) or None, "monitor": plan.monitor, "sampler": plan.sampler,
        "batched": plan.batched != "no", "device": plan.device, "threads": plan.threads,
    }  # fmt: skip
    options = ", ".join(f"{k}={v!r}" for k, v in given.items() if v is not None)
    return f"downslope.race({task}, [{racing}], {options})"


def _schedules(plan: Plan) -> list[str]:
    for space in plan.dimensions.values():
        for dimension in space:
            if dimension.name == "schedule":
                return [str(choice) for choice in dimension.choices]
    return [plan.schedule]


def _wishes(plan: Plan) -> list[str]:
    """What the user asked to be searched. What only some optimizers have been asked for stands with their name."""
    asked: dict[str, dict[str, str]] = {}
    for name, space in plan.dimensions.items():
        for d in space:
            if d.rank == 0 and d.name != "schedule":
                asked.setdefault(d.name, {})[name] = _wish(d)
    found = []
    for setting, by_name in asked.items():
        same = len(set(by_name.values())) == 1
        if setting.startswith("task.") or (same and len(by_name) == len(plan.optimizers)):
            found.append(f"{setting}={next(iter(by_name.values()))}")
        else:
            found += [f"{name}.{setting}={text}" for name, text in by_name.items()]
    return found


def _wish(d: Dimension) -> str:
    if d.choices:
        return ",".join(map(str, d.choices))
    scale = f":{d.scale}" if d.scale in ("log", "linear") else ""
    return f"{d.low}:{d.high}{scale}"


def _wrapped(words: list[str], most: int = 96) -> str:
    """The words as a shell takes them, on several lines, broken before options only."""
    parts: list[list[str]] = []
    for word in words:
        if word.startswith("--") or not parts:
            parts.append([])
        parts[-1].append(word)
    lines = [""]
    for part in map(shlex.join, parts):
        if lines[-1] and len(lines[-1]) + len(part) > most:
            lines.append("    ")
        lines[-1] += part + " "
    return " \\\n".join(line.rstrip() for line in lines)
