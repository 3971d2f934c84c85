"""The data that the charts of a race's page draw, as JSON has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..race import Result
from ..race.statistics import scores
from .pictures import Runner, is_log, is_share, near, near_budget, segments

WORDS = {"train_loss": "training loss", "validation_loss": "validation loss", "validation_metric": "validation metric"}


def data(result: Result, everyone: Sequence[Runner]) -> dict[str, Any]:
    """What race.js calls RACE."""
    board, plan = result.board, result.plan
    log = is_log(board, everyone)
    untrained = scores.sign(plan) * scores.untrained(plan, "validation")
    return {
        "curves": WORDS,
        "shown": "train_loss",
        "runners": [_runner(runner, plan.monitor) for runner in everyone],
        "scored": f"validation {plan.monitor}",
        "expected": f"expected {board['part']} {plan.monitor}",
        "log": log,
        "long": max((len(r.budget.x) and r.budget.x[-1] for r in everyone), default=0) > 30,
        "marks": [{"y": untrained, "text": "untrained"}],
        "near": _domain(near(everyone, plan.monitor), log),
        "near_budget": _domain(near_budget(everyone, plan.monitor), log),
        "choices": segments(board),
        "bounds": {"floor": 0, "ceiling": 1.01} if is_share(board, everyone) else {},
    }


def _domain(zoom: tuple[float, float] | None, log: bool) -> dict[str, Any]:
    return {"domain": list(zoom)} if zoom and not (log and zoom[0] <= 0) else {}


def _runner(runner: Runner, monitor: str) -> dict[str, Any]:
    row = runner.row
    limit, stretch = row["stability_limit"], row["lr_tolerance"]
    last = max((line.x[-1] for line in runner.curves.values() if line.x), default=None)
    return {
        "name": runner.name,
        "label": runner.label,
        **runner.style._asdict(),
        "curves": {what: line._asdict() for what, line in runner.curves.items()},
        "seconds_per_step": row["seconds"] / last if last and row["seconds"] else None,
        "points": [
            {"lr": p.lr, "score": p.score, "text": f"{monitor} {p.score:.4g} at {p.settings}"}
            for p in runner.points
        ],
        "best": runner.best and {
            "lr": runner.best.lr, "score": runner.best.score,
            "text": f"chosen: {monitor} {runner.best.score:.4g} at {runner.best.settings}",
        },
        "hill": runner.hill._asdict(),
        "crosses": [
            {"x": c.lr, "share": c.diverged / c.runs, "text": f"{c.diverged} of {c.runs} diverged at {c.lr:.3g}"}
            for c in runner.crosses
        ],
        "stretch": stretch and {"from": stretch["from"], "to": stretch["to"]},
        "limit": limit and {key: limit[key] for key in ("low", "high", "estimate")},
        "budget": runner.budget._asdict(),
    }  # fmt: skip
