"""Several races to one answer: profiles over tasks, their score, mean speed-ups, and how far they hang on who raced."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .verdict import name

if TYPE_CHECKING:
    import numpy as np

FORMAT = 1
LONGEST = 4.0
"""The largest ratio to the fastest that a profile counts, AlgoPerf's."""
TAUS = [1 + 0.05 * i for i in range(61)]
REFERENCES = ("adamw", "adam", "momentum", "sgd")
SAMPLES = 2000
METHOD = (
    "The time of an optimizer on a task is its median over seeds until the task's target, which is the median final "
    "validation score of the task's second best optimizer. A profile is the share of tasks on which it takes at most "
    "tau times as long as the fastest (Dolan & More 2002, Mathematical Programming 91); its score is the mean of the "
    "profile over tau from 1 to 4 (Dahl et al. 2023, arXiv:2306.07179): 1 is the fastest everywhere. Speed-ups are "
    "geometric means over the tasks on which both reached the target. Intervals (95 %) are from the bootstrap over "
    "tasks and, in each, over seeds, the same for all optimizers; those of a profile are Wilson's (1927, JASA 22)."
)


def aggregate(
    boards: Iterable[Mapping[str, Any]], *, reference: str | None = None, samples: int = SAMPLES, seed: int = 0
) -> dict[str, Any]:
    """The content of aggregate.json, of the boards of several tasks; optimizers that raced on each of them count.

    Two clocks, `steps` and `seconds`, each have: `profiles` at the `taus`, with `bands`, their intervals tau by tau,
    which are None for one task; `scores`; `speedups` over the `reference`
    (by default the first of AdamW, Adam, momentum and SGD that raced, else the best); `order`; `without`, for each
    competitor the order of the others had it not raced, and the pairs whose order then is the other way round (targets
    stay as they are). Boards without a target are named in `left_out`. The order of the boards changes nothing.
    """
    boards = sorted(boards, key=lambda board: board["task"])
    timed = [board for board in boards if board["target"] is not None]
    names = sorted(set.intersection(*({row["optimizer"] for row in b["rows"]} for b in boards)) if boards else set())
    made: dict[str, Any] = {
        "format": FORMAT,
        "tasks": [board["task"] for board in timed],
        "left_out": [board["task"] for board in boards if board["target"] is None],
        "optimizers": names,
        "first": {n: sum(board["rows"][0]["optimizer"] == n for board in boards) for n in names},
        "method": METHOD,
        "taus": TAUS,
        "clocks": {},
    }
    if timed and names:
        for clock in ("steps", "seconds"):
            made["clocks"][clock] = _clock(timed, names, clock, reference, samples, seed)
    made["sentences"] = _sentences(made)
    return made


def _clock(
    boards: Sequence[Mapping[str, Any]], names: list[str], clock: str, reference: str | None, samples: int, seed: int
) -> dict[str, Any]:
    import numpy as np

    times = [_times(board, names, clock) for board in boards]
    medians = np.stack([_median(each) for each in times])  # task x optimizer
    rng = np.random.default_rng(seed)
    drawn = np.stack([_resampled(each, rng, samples) for each in times], 1)  # sample x task x optimizer
    tasks = rng.integers(0, len(times), (samples, len(times)))
    drawn = np.take_along_axis(drawn, tasks[:, :, None], 1)
    found = _scores(medians)
    order = _order(names, found)
    anchor = reference or next((n for n in REFERENCES if n in names), order[0])
    intervals = _interval(found, _scores(drawn), len(times))
    each_task = _of_tasks(medians)
    profiles = {n: _profile(_ratios(medians)[:, i]) for i, n in enumerate(names)}
    return {
        "medians": {n: [None if x == np.inf else float(x) for x in medians[:, i]] for i, n in enumerate(names)},
        "profiles": profiles,
        "bands": {n: _bands(profile, len(times)) for n, profile in profiles.items()},
        "scores": {
            n: _bounded(float(found[i]), intervals[0][i], intervals[1][i], each_task[:, i]) for i, n in enumerate(names)
        },
        "reference": anchor,
        "speedups": _speedups(medians, drawn, names, anchor) if anchor in names else {},
        "order": order,
        "without": _without(medians, names, order),
    }


def _times(board: Mapping[str, Any], names: Sequence[str], clock: str) -> np.ndarray:
    """optimizer x seed: the time to the target, infinite where it was not reached."""
    import numpy as np

    runs = [board["target"]["runs"].get(n, {}).get(clock, []) for n in names]
    longest = max(map(len, runs), default=0) or 1
    filled = [[np.inf if x is None else float(x) for x in run] + [np.nan] * (longest - len(run)) for run in runs]
    return np.asarray([row if run else [np.inf] * longest for row, run in zip(filled, runs)])


def _median(times: np.ndarray) -> np.ndarray:
    """Over the last axis, without nan; infinite where half of the runs are."""
    import numpy as np

    ordered = np.sort(times, axis=-1)  # nan last
    count = np.maximum((~np.isnan(times)).sum(-1), 1)
    low = np.take_along_axis(ordered, ((count - 1) // 2)[..., None], -1)[..., 0]
    high = np.take_along_axis(ordered, (count // 2)[..., None], -1)[..., 0]
    return np.where(np.isnan(low) | np.isnan(high), np.inf, (low + high) / 2)


def _resampled(times: np.ndarray, rng: np.random.Generator, samples: int) -> np.ndarray:
    """sample x optimizer: medians over seeds drawn again, the same seeds for every optimizer."""
    seeds = rng.integers(0, times.shape[1], (samples, times.shape[1]))
    return _median(times[:, seeds]).T


def _ratios(times: np.ndarray) -> np.ndarray:
    """To the fastest on the same task; infinite where nobody reached the target."""
    import numpy as np

    fastest = times.min(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratios = np.where(fastest == 0, np.where(times == 0, 1.0, np.inf), times / fastest)
    return np.where(np.isfinite(times), ratios, np.inf)


def _scores(times: np.ndarray) -> np.ndarray:
    """The integral of the profile from 1 to LONGEST over its length: the mean of what each task gives."""
    return _of_tasks(times).mean(-2)


def _of_tasks(times: np.ndarray) -> np.ndarray:
    """What each task gives: what is left of LONGEST after its ratio."""
    import numpy as np

    return np.clip(LONGEST - _ratios(times), 0, None) / (LONGEST - 1)


def _profile(ratios: np.ndarray) -> list[float]:
    return [float((ratios <= tau + 1e-12).mean()) for tau in TAUS]


def _bands(profile: Sequence[float], tasks: int) -> dict[str, Any]:
    """The interval of a profile at each tau: of a share of so many tasks, for which the bootstrap is too narrow."""
    bounds = [_share(at, tasks) for at in profile]
    return {"low": [low for low, _ in bounds], "high": [high for _, high in bounds]}


def _share(share: float, tasks: int) -> tuple[float | None, float | None]:
    """Wilson's interval (1927, JASA 22) of a share of tasks; None for one task."""
    if tasks < 2:
        return None, None
    z2 = 1.959963984540054**2 / tasks
    middle, half = (share + z2 / 2) / (1 + z2), (z2 * share * (1 - share) + z2**2 / 4) ** 0.5 / (1 + z2)
    return _cut(middle - half), _cut(middle + half)


def _interval(value: np.ndarray, drawn: np.ndarray, tasks: int) -> tuple[np.ndarray, np.ndarray]:
    """The wider, at each side, of the percentiles and of t(tasks - 1) bootstrap errors; nan for one task."""
    import numpy as np
    from scipy.special import stdtrit

    if tasks < 2:
        return np.full_like(value, np.nan), np.full_like(value, np.nan)
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    half = stdtrit(tasks - 1, 0.975) * np.nanstd(drawn, axis=0) * np.sqrt(tasks / (tasks - 1))
    return np.minimum(low, value - half), np.maximum(high, value + half)


def _bounded(score: float, low: float, high: float, of_tasks: np.ndarray) -> dict[str, Any]:
    """A score with the wider, at each side, of the bootstrap's bounds and Student's with one more task that varies as
    much as scores from 0 to 1 can: few tasks that happen to agree leave the bootstrap nothing to go by."""
    from scipy.special import stdtrit

    tasks = len(of_tasks)
    if tasks < 2:
        return {"value": score, "low": None, "high": None}
    variance = (float(((of_tasks - score) ** 2).sum()) + 0.25) / tasks
    half = float(stdtrit(tasks - 1, 0.975)) * (variance / tasks) ** 0.5
    return {"value": score, "low": _cut(min(low, score - half)), "high": _cut(max(high, score + half))}


def _cut(value: float) -> float | None:
    """A bound of a score, which is a share."""
    return None if value != value else float(min(max(value, 0.0), 1.0))


def _speedups(times: np.ndarray, drawn: np.ndarray, names: Sequence[str], anchor: str) -> dict[str, Any]:
    import numpy as np

    at = names.index(anchor)
    found: dict[str, dict[str, Any]] = {}
    for i, own in enumerate(names):
        mean, count = _log_speedup(times[None], at, i)
        if not count[0]:
            found[own] = {"value": None, "low": None, "high": None, "tasks": 0}
            continue
        logs = _log_speedup(drawn, at, i)[0]
        low, high = _interval(mean, logs[~np.isnan(logs)][:, None], int(count[0]))
        bounds = [None if np.isnan(x[0]) else float(np.exp(x[0])) for x in (low, high)]
        found[own] = {"value": float(np.exp(mean[0])), "low": bounds[0], "high": bounds[1], "tasks": int(count[0])}
    return found


def _log_speedup(times: np.ndarray, anchor: int, own: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean logarithm over the tasks that both finish, nan for none, and their number; for each sample."""
    import numpy as np

    both = np.isfinite(times[..., anchor]) & np.isfinite(times[..., own]) & (times[..., own] > 0)
    both &= times[..., anchor] > 0
    logs = np.where(both, np.log(np.where(both, times[..., anchor], 1.0) / np.where(both, times[..., own], 1.0)), 0.0)
    count = both.sum(-1)
    return np.where(count > 0, logs.sum(-1) / np.maximum(count, 1), np.nan), count


def _order(names: Sequence[str], found: np.ndarray) -> list[str]:
    return [names[i] for i in sorted(range(len(names)), key=lambda i: (-round(float(found[i]), 12), names[i]))]


def _without(times: np.ndarray, names: Sequence[str], order: Sequence[str]) -> list[dict[str, Any]]:
    """What would be if each competitor had not raced: scores are relative to the fastest, whoever that is."""
    import numpy as np

    full = dict(zip(names, _scores(times).round(12)))
    found = []
    for gone, own in enumerate(names):
        left = [n for n in names if n != own]
        if len(left) < 2:
            continue
        now = dict(zip(left, _scores(np.delete(times, gone, 1)).round(12)))
        pairs = itertools.combinations([n for n in order if n != own], 2)
        reversed_pairs = [[a, b] for a, b in pairs if full[a] > full[b] and now[a] < now[b]]
        kept = _order(left, np.asarray([now[n] for n in left]))
        found.append({"dropped": own, "order": kept, "reversed": reversed_pairs})
    return found


# ---- words


def _sentences(made: Mapping[str, Any]) -> list[str]:
    tasks, names = made["tasks"], made["optimizers"]
    if not names:
        return ["No optimizer raced on all of the tasks, so there is nothing to compare over them."]
    if not tasks:
        return ["On none of the tasks is there a target to time: no optimizer has finished on fresh seeds."]
    found = made["clocks"]["steps"]
    count = f"{len(tasks)} task{'s' * (len(tasks) != 1)}"
    best = found["order"][0]
    sentences = [
        f"Over {count}, by steps to the target, {name(best)} has the best score, {_bounds(found['scores'][best])} of 1"
        + "".join(f"; {name(n)} {_bounds(found['scores'][n])}" for n in found["order"][1:])
        + "."
    ]
    anchor = found["reference"]
    speeds = [
        f"{name(n)} {_bounds(s)}" + (f" (on {s['tasks']} of {count})" if s["tasks"] < len(tasks) else "")
        for n in found["order"]
        if n != anchor and (s := found["speedups"].get(n, {"value": None}))["value"] is not None
    ]
    if speeds:
        sentences.append(f"Speed-up over {name(anchor)} in steps, geometric mean: {', '.join(speeds)}.")
    turned = [(w["dropped"], pair) for w in found["without"] for pair in w["reversed"]]
    for dropped, (a, b) in turned:
        sentences.append(
            f"Without {name(dropped)} {name(b)} would be ahead of {name(a)}: their order hangs on who races."
        )
    if not turned and found["without"]:
        sentences.append("Dropping any one competitor leaves the order of the others as it is.")
    if len(tasks) == 1:
        sentences.append("One task says nothing about others: race on several.")
    elif len(tasks) < 5:
        sentences.append(f"With {count} the intervals are wide, and rough.")
    if made["left_out"]:
        sentences.append(f"Left out, having no target: {', '.join(made['left_out'])}.")
    return sentences


def _bounds(found: Mapping[str, Any]) -> str:
    if found["low"] is None:
        return f"{found['value']:.2f}"
    return f"{found['value']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
