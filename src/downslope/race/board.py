"""The board: everything that a race has found, from its plan and its journal, whatever the order of the records."""

from __future__ import annotations

import itertools
import math
import statistics as plain
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .choices import choices, crossing
from .row import make_row
from .statistics import multiple, paired, power, scores
from .statistics.pruning import Rungs, pruning
from .statistics.scores import Plan, Record, Tried
from .statistics.target import first_reached, make_target, median_reached
from .statistics.undertuned import undertuned
from .verdict import verdict

FORMAT = 2
ALPHA = 0.05
METHOD = (
    "Settings are chosen on the validation part in the search; scores are of the chosen settings on {part}, over fresh "
    "seeds that chose nothing, with 95 % intervals (Student's t). Seeds fix initial weights and data order, the same "
    "for every optimizer, so that differences are paired by seed, each with its own 95 % interval. p-values are "
    "adjusted for all {pairs} pairs by Holm's method: between equals 'beats' is said in at most 5 % of races. A run "
    "that diverged, or ended worse than it began, counts as the untrained model. Budget curves: the expected best of k "
    "trials of the search; bands from the bootstrap over trials, for k up to half of their number. Tolerance: the "
    "learning rates that lose at most 1 %. Time to target: until the median final validation score of the second best."
)


def board(
    plan: Plan,
    records: Iterable[Record],
    decisions: Iterable[Mapping[str, Any]] = (),
    *,
    expected: int | None = None,
) -> dict[str, Any]:
    """The content of board.json. Pure: the same records in any order, however they came about, give the same board.

    `decisions` are the other lines of the journal; of them a row counts its widenings. `expected` is how many trials
    the race will have in all, None where it cannot know: the board is then complete when every optimizer that can be
    confirmed is. Scores are the plan's monitor, losses as losses; differences are signed so that positive says that `a`
    is better. Costs about a millisecond for each optimizer and pair, no more than a second at 1,000 trials each.
    """
    records, decisions = list(records), list(decisions)
    own = {name: scores.of(records, name) for name in plan.optimizers}
    picked = {name: scores.picked(plan, own[name]) for name in plan.optimizers}
    confirmed = {name: scores.confirmed(own[name], t.settings if t else None) for name, t in picked.items()}
    part = scores.scored_part(plan)
    runs = {
        name: {r["trial"]["seed"]: scores.goodness(plan, r, part) for r in confirmed[name]} for name in plan.optimizers
    }
    order = sorted((n for n in plan.optimizers if own[n]), key=lambda name: _standing(plan, name, picked[name], runs))
    rows = [make_row(plan, name, rank, own[name], picked[name], confirmed[name]) for rank, name in enumerate(order, 1)]
    for row in rows:
        row["widened"] = _widened(own[row["optimizer"]], decisions, row["optimizer"])
    target = _time(plan, rows, confirmed)
    looks = 1 + sum(d.get("decision") == "seeds" for d in decisions)
    compared = _comparisons(rows, runs, {name: scores.fixed(confirmed[name]) for name in order}, looks)
    _undertuned(plan, rows, compared, own)
    by_budget = choices(plan, own)
    whole = len(rows) == len(plan.optimizers) and all(row["score"]["by_seed"] or _lost(row) for row in rows)
    made = {
        "format": FORMAT,
        "task": plan.task,
        "monitor": plan.monitor,
        "part": part,
        "untrained": scores.sign(plan) * scores.untrained(plan, part),
        "complete": whole if expected is None else len(records) >= expected,
        "finished": len(records),
        "trials_expected": expected,
        "verdict": {},
        "method": METHOD.format(part=f"the {part} part", pairs=len(compared)),
        "rows": rows,
        "comparisons": compared,
        "choices": by_budget,
        "crossing": crossing(plan, own, by_budget),
        "target": target,
        "budget": _budget(plan, own),
        "pruning": pruning(_levels(plan, own)),
        "notes": _notes(rows, part, plan, looks),
    }
    made["verdict"] = verdict(made)
    return made


def _standing(plan: Plan, name: str, picked: Tried | None, runs: Mapping[str, Mapping[int, float]]) -> tuple[Any, ...]:
    """Rows with a confirmed score first, best first; then those that the search alone has scored; then the lost."""
    if runs[name]:
        return 0, -plain.fmean(runs[name].values()), -(picked.validation if picked else 0), name
    return (1, -picked.validation, 0, name) if picked else (2, 0, 0, name)


def _lost(row: Mapping[str, Any]) -> bool:
    return row["validation"] is None


def _widened(records: Sequence[Record], decisions: Sequence[Mapping[str, Any]], name: str) -> int:
    told = sum(d.get("decision") == "widen" and d.get("optimizer") == name for d in decisions)
    return told or int(any(r["trial"]["stage"] == "widen" for r in records))


def _comparisons(
    rows: Sequence[Mapping[str, Any]], runs: Mapping[str, Mapping[int, float]], fixed: Mapping[str, bool], looks: int
) -> list[dict[str, Any]]:
    """All pairs of confirmed rows, the better first, over the seeds that both have.

    Where seeds were added after a look, each p counts once for every look."""
    found, seconds = [], {row["optimizer"]: row["seconds"] or 0.0 for row in rows}
    for a, b in itertools.combinations([row["optimizer"] for row in rows if row["score"]["by_seed"]], 2):
        seeds = sorted(runs[a].keys() & runs[b].keys())
        if seeds:
            exact = fixed[a] and fixed[b]
            pair = paired.paired([runs[a][s] for s in seeds], [runs[b][s] for s in seeds], exact=exact)
            found.append((a, b, pair))
    adjusted = multiple.holm([None if pair.p is None else min(1.0, looks * pair.p) for _, _, pair in found])
    open_pairs = sum(p is None or p > ALPHA for p in adjusted)
    made = []
    for (a, b, pair), p in zip(found, adjusted):
        decided = p is not None and p <= ALPHA
        more = None
        if not decided:
            more = power.more_seeds(pair.difference, pair.deviation, pair.n, alpha=ALPHA / open_pairs / (looks + 1))
        made.append(
            {
                "a": a,
                "b": b,
                "difference": pair.difference,
                "low": pair.low,
                "high": pair.high,
                "p": pair.p,
                "p_adjusted": p,
                "decided": decided,
                "seeds": pair.n,
                "seeds_to_settle": more,
                "seconds_to_settle": power.settling_seconds(more, (seconds[a], seconds[b])),
            }
        )
    return made


def _time(
    plan: Plan, rows: Sequence[dict[str, Any]], confirmed: Mapping[str, Sequence[Record]]
) -> dict[str, Any] | None:
    """Set each row's time to target, the median over seeds, and return the target with the times of every seed."""
    finals = [[scores.goodness(plan, r, "validation") for r in confirmed[row["optimizer"]]] for row in rows]
    target = make_target(finals)
    if target is None or target <= scores.untrained(plan, "validation"):
        return None
    side = scores.sign(plan)
    runs: dict[str, Any] = {}
    for row in rows:
        steps, seconds = [], []
        for r in confirmed[row["optimizer"]]:
            curve = r.get("curve") or {}
            scored = [None if x is None else side * x for x in curve.get(f"validation_{plan.monitor}") or []]
            at = first_reached(curve.get("step") or [], scored, target)
            steps.append(at)
            seconds.append(None if at is None else r["seconds"] * at / max(r["steps"], 1))
        median = median_reached(steps)
        if median is not None:
            row["time_to_target"] = {"steps": median, "seconds": median_reached(seconds)}
        runs[row["optimizer"]] = {"steps": steps, "seconds": seconds}
    return {"score": side * target, "runs": runs}


def _undertuned(
    plan: Plan,
    rows: Sequence[dict[str, Any]],
    compared: Sequence[Mapping[str, Any]],
    own: Mapping[str, Sequence[Record]],
) -> None:
    by_name = {row["optimizer"]: row for row in rows}
    for pair in compared:
        if not pair["decided"] or not pair["difference"] > 0:
            continue
        winner, loser = by_name[pair["a"]], by_name[pair["b"]]
        values: dict[str, set[Any]] = {}
        for settings in map(scores.settings_of, own[pair["b"]]):
            for name, value in settings:
                values.setdefault(name, set()).add(value)
        reason = undertuned(
            pair["b"],
            pair["a"],
            pair["difference"],
            searched=frozenset(name for name, several in values.items() if len(several) > 1),
            decay={row["optimizer"]: row["settings"].get("weight_decay") for row in (winner, loser)},
        )
        if reason:
            loser["undertuned"].append(reason)


def _budget(plan: Plan, own: Mapping[str, Sequence[Record]]) -> dict[str, Any]:
    spent = {
        name: {
            "seconds": math.fsum(r["seconds"] for r in records),
            "trials": len(records),
            "epochs": sum(r["trial"]["epochs"] for r in records),
        }
        for name, records in own.items()
    }
    return {
        "spent_seconds": math.fsum(each["seconds"] for each in spent.values()),
        "spent_trials": sum(each["trials"] for each in spent.values()),
        "per_optimizer": spent,
    }


def _levels(plan: Plan, own: Mapping[str, Sequence[Record]]) -> list[dict[str, Rungs]]:
    """For each length below the full one: which settings went on to the end, and which were dropped right there."""
    trials = [r["trial"] for records in own.values() for r in records if r["trial"]["stage"].startswith("rung")]
    short = sorted({trial["epochs"] for trial in trials if trial["epochs"] < plan.epochs})
    levels = []
    for epochs in short:
        level = {}
        for name, records in own.items():
            full = {t.settings: t for t in scores.tried(plan, records, plan.epochs)}
            longest = {t.settings: t.epochs for t in scores.tried(plan, records)}
            here = scores.tried(plan, records, epochs)
            level[name] = Rungs(
                [(t.validation, full[t.settings].validation) for t in here if t.settings in full],
                [t.validation for t in here if longest[t.settings] == epochs and not t.diverged and full],
            )
        levels.append(level)
    return levels


def _notes(rows: Sequence[Mapping[str, Any]], part: str, plan: Plan, looks: int) -> list[str]:
    notes = []
    if looks > 1:
        often = f", {looks - 1} times" if looks > 2 else ""
        notes.append(
            f"Seeds were added after a look at the result{often}: p-values are multiplied by {looks}, the number of "
            "looks."
        )
    if part == "validation":
        notes.append(
            "The task has no test part: fresh seeds are scored on the validation part, on which the settings were "
            "chosen, so scores may be a little too good for all."
        )
    for row in rows:
        bad, runs = row["diverged_confirmed"], len(row["score"]["by_seed"])
        if bad:
            notes.append(
                f"{row['optimizer']}: {bad} of {runs} runs diverged on fresh seeds; its learning rate is too near the "
                "limit of stability."
            )
    return notes
