"""What a race has found, in words: the headline and the sentences after it, from the rest of the board."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]
MANY = 2  # undecided pairs that have a sentence each
LISTED = 6  # of those that share one; the tables have all


def verdict(board: Mapping[str, Any]) -> dict[str, Any]:
    """The `headline` and the `sentences` of a board, of which the headline is not one.

    "Beats" is said of decided comparisons alone. After a ± stands half a 95 % interval; p is adjusted for all pairs.
    """
    rows = board["rows"]
    scored = [row for row in rows if row["score"]["by_seed"]]
    sentences = [
        *_scores(board, scored),
        *_against_first(board, scored),
        *_crossing(board),
        *warnings(rows),
        *pruned(board),
    ]
    return {"headline": _headline(board, rows, scored), "sentences": sentences}


# ---- the headline


def _headline(board: Mapping[str, Any], rows: Sequence[Row], scored: Sequence[Row]) -> str:
    if not rows:
        return "No trial has finished yet."
    if not scored:
        return _unconfirmed(board, rows)
    first, others = scored[0], scored[1:]
    lead = describe(first)
    score = around(first["score"]["mean"], half(first["score"]))
    early = "" if board["complete"] else "So far "
    if first["diverged_confirmed"] == len(first["score"]["by_seed"]):
        return f"{early}{lead}, the best, diverged on every fresh seed; nothing here can be trusted to train."
    if not others:
        alone = "nothing else raced" if len(rows) == 1 else "no other has a score"
        return f"{early}{lead} scores {score}; {alone}."
    pairs = _pairs(board, first["optimizer"])
    if len(first["score"]["by_seed"]) == 1:
        return f"{early}{lead} is first with {score}, but one seed says nothing about the spread: race with --seeds 5."
    beaten, even = [p for p in pairs if p["decided"]], [p for p in pairs if not p["decided"]]
    if not beaten:
        return f"{early}{lead} is first with {score}, but beats none beyond doubt; {_open(even)}"
    by = f"by {_difference(beaten[0])}, {p_words(beaten[0])}"
    if not even:
        if len(beaten) == 1:
            return f"{early}{lead} beats {name(beaten[0]['b'])} {by}."
        every = "both others" if len(beaten) == 2 else f"all {len(beaten)} others"
        return f"{early}{lead} beats {every}, the nearest, {name(beaten[0]['b'])}, {by}."
    if len(beaten) == 1:
        return f"{early}{lead} beats {name(beaten[0]['b'])} {by}; {_open(even)}"
    more = f" and {_count(len(beaten) - 1, 'other')}"
    return f"{early}{lead} beats {name(beaten[0]['b'])} {by},{more}; {_open(even)}"


def _unconfirmed(board: Mapping[str, Any], rows: Sequence[Row]) -> str:
    found = [row for row in rows if row["validation"] is not None]
    if found:
        first = found[0]
        return (
            f"Not finished: {describe(first)} leads the search with {_plain(first['validation'])} on the validation "
            "part, which is the luckiest of its trials; no setting has been confirmed on fresh seeds yet."
        )
    whole = all(row["diverged_share"] == 1 for row in rows)
    if whole:
        return (
            "Every run of every optimizer diverged, so there is nothing to compare; "
            f"`downslope check {board['task']}` looks for what is wrong before training."
        )
    return "Not finished: no trial of full length has ended yet."


def _open(even: Sequence[Mapping[str, Any]]) -> str:
    """What is undecided: the nearest pair, what would settle it, and how many more there are."""
    first = even[0]
    rest = f" ({_count(len(even) - 1, 'other')} undecided too)" if len(even) > 1 else ""
    return f"{name(first['a'])} against {name(first['b'])} is undecided{rest}, {settle(first)}."


def settle(pair: Mapping[str, Any]) -> str:
    """What would settle an undecided pair."""
    more, seconds = pair["seeds_to_settle"], pair["seconds_to_settle"]
    if more is not None:
        return f"about {_count(more, 'more seed')}, {duration(seconds)}, would settle it"
    if pair["difference"] == 0:
        return "with the same score on every seed" if pair["low"] is None else "with the same mean"
    if pair["low"] is None:
        return f"with the same difference on all {pair['seeds']} seeds, which more seeds must show to be no accident"
    return f"too near for a few hundred seeds to settle: they differ by at most {_most(pair):.2g}"


def _most(pair: Mapping[str, Any]) -> float:
    return max(abs(pair["low"]), abs(pair["high"]))


# ---- the sentences


def _scores(board: Mapping[str, Any], scored: Sequence[Row]) -> Iterable[str]:
    if not scored:
        return
    first = scored[0]
    runs = len(first["score"]["by_seed"])
    what = "loss" if board["monitor"] == "loss" else "score"
    fresh = f"over {runs} fresh seeds" if runs > 1 else "on one fresh seed"
    yield (
        f"{name(first['optimizer'])} has a mean {what} of {around(first['score']['mean'], half(first['score']))} on "
        f"the {board['part']} part {fresh}, at {settings(first)}."
    )


def _against_first(board: Mapping[str, Any], scored: Sequence[Row]) -> Iterable[str]:
    if len(scored) < 2 or len(scored[0]["score"]["by_seed"]) < 2:
        return
    pairs = _pairs(board, scored[0]["optimizer"])
    beaten = [f"{name(p['b'])} by {_difference(p)} ({p_words(p)})" for p in pairs if p["decided"]]
    if beaten:
        yield f"{name(scored[0]['optimizer'])} beats {_list(beaten)}."
    even = [pair for pair in pairs if not pair["decided"]]
    if len(even) > MANY:
        listed = [f"{name(pair['b'])} ({_apart(pair)}{_more(pair)})" for pair in even[:LISTED]]
        listed += [_count(len(even) - LISTED, "other")] if len(even) > LISTED else []
        yield f"{name(scored[0]['optimizer'])} is undecided against {_list(listed)}."
        return
    for pair in even:
        yield f"{name(pair['a'])} against {name(pair['b'])} is undecided ({_apart(pair)}): {settle(pair)}."


def _apart(pair: Mapping[str, Any]) -> str:
    return f"{_difference(pair)}, {p_words(pair)}"


def _more(pair: Mapping[str, Any]) -> str:
    return f", about {_count(pair['seeds_to_settle'], 'more seed')}" if pair["seeds_to_settle"] is not None else ""


def _crossing(board: Mapping[str, Any]) -> Iterable[str]:
    found = board["crossing"]
    if found is None or not found["decided"]:  # the curves of equals cross all the time
        return
    if any(p["decided"] and (p["a"], p["b"]) == (found["first"], found["then"]) for p in board["comparisons"]):
        return  # on fresh seeds the one ahead with few trials is the better one in the end, too
    first, then = name(found["first"]), name(found["then"])
    few = "With one trial" if found["until"] == 1 else f"With up to {found['until']} trials"
    scores = f"{_plain(found['first_score'])} against {_plain(found['then_score'])} expected of {found['at']}"
    yield f"{few} for the search choose {first} ({scores}), with {found['k']} {then}."


def warnings(rows: Sequence[Row]) -> Iterable[str]:
    """What speaks against trusting a row: divergence, an edge of the range, too little tuning."""
    for row in rows:
        own = name(row["optimizer"])
        if row["diverged_share"] == 1:
            yield f"{own} diverged in all of its {_count(row['finished'], 'trial')}; it has no score."
            continue
        for reason in row["undertuned"]:
            yield f"{own} is undertuned: it {reason}."
        if row["at_edge"]:
            end = {"low": "lower", "high": "upper"}[row["edge"]]
            wide = f" though it was widened {_times(row['widened'])}" if row["widened"] else ""
            yield (
                f"{own}'s best learning rate, {rate(row['settings']['lr'])}, is near the {end} end of its range{wide}: "
                "a better one may lie beyond it."
            )
        bad, runs = row["diverged_confirmed"], len(row["score"]["by_seed"])
        if bad:
            yield (
                f"{own} diverged on {bad} of {_count(runs, 'fresh seed')}: its learning rate is too near the limit of "
                "stability."
            )


def pruned(board: Mapping[str, Any]) -> Iterable[str]:
    """What short runs may have cost, of a race that has them."""
    found = board["pruning"]
    if found is None:
        return
    lost = found["probability"]
    dropped = f"{_count(found['dropped'], 'setting')} dropped after a short run"
    if lost is None:
        yield f"What the {dropped} would have reached cannot be told from so few that went on."
    else:
        yield f"The chance that one of the {dropped} would have been its optimizer's best is {_percent(lost)}."


# ---- words


def name(optimizer: str) -> str:
    """An optimizer as its class is called; a user's own as it is."""
    from ..optim import OPTIMIZERS

    made = OPTIMIZERS.get(optimizer)
    return optimizer if made is None else made.__name__


def describe(row: Row) -> str:
    """An optimizer with what it won by: `AdamW lr 1.2e-3 cosine`."""
    words = [name(row["optimizer"])]
    if "lr" in row["settings"]:
        words.append(f"lr {rate(row['settings']['lr'])}")
    if row["schedule"] not in (None, "constant"):
        words.append(row["schedule"])
    return " ".join(words)


def settings(row: Row) -> str:
    """All chosen settings of a row, or that they are the optimizer's own."""
    found = {k: v for k, v in row["settings"].items() if k != "schedule"}
    words = [
        f"{k} {rate(v) if isinstance(v, float) else v}" for k, v in sorted(found.items(), key=lambda i: i[0] != "lr")
    ]
    return _list(words) if words else "its default settings"


def rate(value: float) -> str:
    """A learning rate with two digits: 1.2e-3 below a hundredth, else 0.05."""
    if value == 0 or 1e-2 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) >= 0.1 else f"{value:.2g}"
    digits, power = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"


def half(interval: Mapping[str, Any]) -> float | None:
    return None if interval["low"] is None else abs(interval["high"] - interval["low"]) / 2


def around(value: float, error: float | None) -> str:
    """A value to the digits that its error leaves: `0.974 ± 0.004`; two digits of an error that begins with 1."""
    if error is None or not math.isfinite(error):
        return _plain(value)
    if error < 1e-12 * abs(value) or error == 0:
        return f"{_plain(value)} ± 0"
    power = math.floor(math.log10(error))
    decimals = max(0, -power + (round(error / 10**power, 6) < 2))
    value = round(value, decimals) + 0.0  # -0.0004 is 0.000, not -0.000
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def duration(seconds: float) -> str:
    """Seconds in words, in the largest unit that leaves more than one and a half of it."""
    for unit, size in (("hour", 3600.0), ("minute", 60.0)):
        if seconds >= 1.5 * size:
            number = seconds / size
            return f"{number:.1f} {unit}s" if number < 10 and unit == "hour" else f"{number:.0f} {unit}s"
    return "less than a second" if seconds < 1 else _count(round(seconds), "second")


def _difference(pair: Mapping[str, Any]) -> str:
    return around(pair["difference"], half(pair))


def p_words(pair: Mapping[str, Any]) -> str:
    """The adjusted p-value of a pair: `p = .003`."""
    p = pair["p_adjusted"]
    if p is None:
        return "p unknown"
    if p < 0.001:
        return "p < .001"
    return "p = 1" if p > 0.995 else f"p = {p:.3f}".replace("0.", ".") if p < 0.1 else f"p = {p:.2f}".replace("0.", ".")


def _pairs(board: Mapping[str, Any], first: str) -> list[Mapping[str, Any]]:
    """The comparisons of the first row, from the nearest rank on."""
    return [pair for pair in board["comparisons"] if pair["a"] == first]


def _plain(value: float) -> str:
    return f"{value:.4g}"


def _percent(share: float) -> str:
    return "below 1 %" if share < 0.01 else f"about {100 * share:.0f} %"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _list(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
