"""Runs one case: is it what it claims to be, and what was said of it?"""

from __future__ import annotations

import functools
import math
import time
from typing import Any

import torch

from .kinds import worse
from .plan import Outcome, Plan, quietly, train
from .rules.record import Record
from .settings import SETTINGS
from .split import Case, cases


@functools.lru_cache(maxsize=64)
def twin(setting: str, seed: int) -> dict[str, Any]:
    """The healthy run of the same network, data and seed, unwatched."""
    with quietly():
        found = train(Plan.of(SETTINGS[setting]), seed, budget=None)
    return {"score": found.score, "loss": found.loss, "start": max(found.losses[0], found.validation[0])}


def holds(case: Case, outcome: Outcome) -> bool:
    """Is a sick run sick, a healthy one healthy? Told by scores and structure, never by what was found."""
    setting = SETTINGS[case.setting]
    if case.kind.healthy:
        reached = setting.chance + case.kind.reach * (setting.reach - setting.chance)
        return math.isfinite(outcome.loss) and (case.kind.reach == 0 or outcome.score >= reached)
    if case.kind.proof is not None:
        return case.kind.proof(outcome)
    return worse(outcome, twin(case.setting, case.seed), setting.chance)


def judge(case: Case, budget: float | None = 1.0, rules: bool = True) -> dict[str, Any]:
    """What stands in the journal of a case. Without a budget the premise alone is looked at: nothing is watched."""
    torch.set_num_threads(1)
    plan = case.kind.change(Plan.of(SETTINGS[case.setting]))
    look = Record() if rules and budget is not None else None
    began = time.process_time()
    with quietly():
        outcome = train(plan, case.seed, budget, look)
    report = outcome.report
    found = list(report.findings) if report is not None else []
    return {
        "case": case.name,
        "kind": case.kind.name,
        "setting": case.setting,
        "seed": case.seed,
        "split": case.split,
        "healthy": case.kind.healthy,
        "right": sorted(case.kind.right),
        "holds": holds(case, outcome),
        "found": [f.symptom for f in found],
        "verdicts": [f.verdict for f in found],
        "notes": list(report.notes) if report is not None else [],
        "score": outcome.score,
        "loss": outcome.loss,
        "steps": len(outcome.losses),
        "rules": look.alarms() if look is not None else {},
        "seconds": round(time.process_time() - began, 2),
    }


def by_name(name: str, budget: float | None) -> dict[str, Any]:
    """A case by its name: what another process is asked for."""
    return judge(next(case for case in cases() if case.name == name), budget)
