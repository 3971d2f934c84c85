"""Races between optimizers whose true scores are known: the intervals cover them as often as they say, and equals are
told apart no more often than said.

The numbers are counts over many simulated races from fixed seeds, through the functions that real races go through.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from downslope.optim import OPTIMIZERS
from downslope.race.aggregate import aggregate
from downslope.race.board import board
from downslope.race.journal import Journal
from downslope.race.plan import Plan
from downslope.race.referee import next_step
from downslope.race.spaces import space_of
from downslope.race.statistics import t_interval
from downslope.race.statistics.bootstrap import budget_curve, longest_known
from downslope.race.statistics.multiple import holm
from downslope.race.statistics.paired import paired

RACES = 1000


def share_error(share, count=RACES):
    """Two and a half standard errors of a share."""
    return 2.5 * math.sqrt(share * (1 - share) / count)


# ---- noise: (random numbers, optimizers, seeds) -> scores around 0, each optimizer's true mean


def normal(rng, k, n):
    return rng.normal(0, 1, (k, n))


def unequal(rng, k, n):
    return rng.normal(0, 1, (k, n)) * np.geomspace(1, 10, k)[:, None]


def shared(rng, k, n):
    """A seed is good or bad for all, three times as much as for one."""
    return rng.normal(0, 3, n) + rng.normal(0, 1, (k, n))


def heavy(rng, k, n):
    return rng.standard_t(3, (k, n))


def skewed(rng, k, n):
    return rng.exponential(1, (k, n)) - 1


def counted(rng, k, n):
    """Accuracies over 200 samples."""
    return rng.binomial(200, 0.95, (k, n)) / 200 - 0.95


def diverging(rng, k, n):
    """One run in ten is lost."""
    return np.where(rng.random((k, n)) < 0.1, -0.8, 0.0) + rng.normal(0, 0.01, (k, n)) + 0.08


NOISES = {f.__name__: f for f in (normal, unequal, shared, heavy, skewed, counted, diverging)}
# Student's t is exact for normal differences; for others it covers more, which is the better side to be off on
COVERS = dict.fromkeys(("heavy", "skewed", "counted"), (0.93, 0.985))


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("noise", ["normal", "unequal", "shared", "heavy", "skewed", "counted"])
def test_paired_intervals_cover_the_true_difference(noise, seeds):
    rng = np.random.default_rng([seeds, len(noise)])
    covered = told = 0
    for _ in range(RACES):
        a, b = NOISES[noise](rng, 2, seeds)
        found = paired((a + 0.5).tolist(), b.tolist())
        if found.low is not None:
            told += 1
            covered += found.low <= 0.5 <= found.high
    low, high = COVERS.get(noise, (0.93, 0.97))
    assert told > 0.9 * RACES
    assert low <= covered / told <= high


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_without_pairing_a_shared_seed_would_hide_the_difference(seeds):
    rng = np.random.default_rng(seeds)
    with_pairs = without = 0.0
    for _ in range(200):
        a, b = shared(rng, 2, seeds)
        found = paired(a.tolist(), b.tolist())
        with_pairs += found.high - found.low
        without += sum(t.high - t.low for t in map(t_interval, (a.tolist(), b.tolist()))) / math.sqrt(2)
    assert with_pairs < 0.6 * without


def decided(scores):
    pairs = [(i, j) for i in range(len(scores)) for j in range(i)]
    adjusted = holm([paired(scores[i].tolist(), scores[j].tolist()).p for i, j in pairs])
    return any(p is not None and p <= 0.05 for p in adjusted)


@pytest.mark.parametrize("k", [2, 3, 5, 7])
@pytest.mark.parametrize("noise", NOISES)
def test_equals_are_told_apart_in_at_most_five_races_of_a_hundred(noise, k):
    races, false = (RACES if k < 5 else RACES // 3), 0
    for seeds in (3, 5, 10):
        rng = np.random.default_rng([seeds, k, len(noise)])
        false += sum(decided(NOISES[noise](rng, k, seeds)) for _ in range(races))
    # two of the same normal noise are told apart in just 5 % of races, so that a count is above that half of the time
    assert false / (3 * races) <= 0.05 + share_error(0.05, 3 * races)


def test_without_holm_seven_equals_would_be_told_apart_all_the_time():
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(200):
        scores = normal(rng, 7, 5)
        false += any(paired(scores[i].tolist(), scores[j].tolist()).p <= 0.05 for i in range(7) for j in range(i))
    assert false / 200 > 0.2


# ---- whole races through the board


def make_plan(names):
    return SimpleNamespace(
        task="simulated", monitor="metric", optimizers=tuple(names), untrained={"validation": -1e9, "test": -1e9},
        schedule="constant", warmup=0.0, epochs=1, origins={},
        spaces={name: {"lr": (1e-3, 1.0, "log")} for name in names},
    )  # fmt: skip


def make_record(name, lr, seed, stage, validation, test):
    return {
        "trial": {"optimizer": name, "settings": {"lr": lr}, "seed": seed, "epochs": 1, "stage": stage},
        "diverged": False, "steps": 10, "seconds": 1.0, "state_bytes": 0, "curve": {},
        "validation_loss": -validation, "validation_metric": validation, "test_loss": -test, "test_metric": test,
    }  # fmt: skip


def a_race(rng, trials, quality, spread, seeds, noise):
    """The records of a race in which the optimizer i has `trials[i]` settings of true scores `quality(i, place)`, and
    the true score of each optimizer's chosen setting."""
    records, truth = [], {}
    fresh = noise(rng, len(trials), seeds) * spread
    for i, count in enumerate(trials):
        name = f"rule{i}"
        rates = [10 ** (-3 + 3 * (j + 0.5) / count) for j in range(count)]
        true = [quality(i, (j + 0.5) / count) for j in range(count)]
        found = [q + rng.normal(0, spread) for q in true]
        records += [make_record(name, lr, 0, "search", f, f) for lr, f in zip(rates, found)]
        best = int(np.argmax(found))
        truth[name] = true[best]
        records += [
            make_record(
                name, rates[best], 1000 + s, "confirm", rng.normal(true[best], spread), true[best] + fresh[i][s]
            )
            for s in range(seeds)
        ]
    return records, truth


def flat(i, place):
    return 0.9


def hill(i, place):
    return 0.9 - 0.02 * i - 0.3 * (place - 0.5) ** 2


@pytest.mark.parametrize("noise", ["normal", "shared", "unequal"])
@pytest.mark.parametrize("quality", [flat, hill])
def test_races_through_the_board(quality, noise):
    """Both intervals of a board cover what is true of the chosen settings, after a search in which the luckiest won."""
    races, k, seeds = RACES // 3 if quality is flat else RACES // 6, 3, 4
    rng = np.random.default_rng([races, len(noise), quality is flat])
    plan = make_plan([f"rule{i}" for i in range(k)])
    rows, pairs, false = [], [], 0
    for _ in range(races):
        records, truth = a_race(rng, [7] * k, quality, 0.01, seeds, NOISES[noise])
        made = board(plan, [records[i] for i in rng.permutation(len(records))])
        rows += [r["score"]["low"] <= truth[r["optimizer"]] <= r["score"]["high"] for r in made["rows"]]
        pairs += [c["low"] <= truth[c["a"]] - truth[c["b"]] <= c["high"] for c in made["comparisons"]]
        false += any(c["decided"] and truth[c["a"]] <= truth[c["b"]] for c in made["comparisons"])
    assert len(rows) == len(pairs) == 3 * races
    assert 0.93 <= np.mean(rows) <= 0.97
    assert 0.93 <= np.mean(pairs) <= 0.97
    assert false / races <= 0.05 + share_error(0.05, races)


def test_more_trials_make_no_equal_a_winner():
    """One of two equals searches with 40 settings, the other with one. On fresh seeds neither beats the other; on the
    search's own scores, as the best run of each is often reported, the luckier one would."""
    rng = np.random.default_rng(7)
    plan = make_plan(["rule0", "rule1"])
    seeds, false, naive_false, naive_covers = 10, 0, 0, 0
    for _ in range(150):
        records, _ = a_race(rng, [40, 1], flat, 0.01, seeds, normal)
        false += board(plan, records)["comparisons"][0]["decided"]
        best = []
        for count in (40, 1):
            scores = 0.9 + rng.normal(0, 0.01, (count, seeds))
            best.append(scores[scores.mean(1).argmax()].tolist())
        naive_false += paired(*best).p <= 0.05
        low, high = t_interval(best[0])[1:]
        naive_covers += low <= 0.9 <= high
    assert false / 150 <= 0.05 + share_error(0.05, 150)
    assert naive_false / 150 > 0.15
    assert naive_covers / 150 < 0.75


# ---- whole races, from the first point of the search to the board


class World:
    """Optimizers whose true score over the learning rate is known, and diverges above a limit; the noise of a seed is
    partly the same for all."""

    def __init__(self, rng, lead):
        self.rng, self.lead, self.shared = rng, lead, {}

    def true(self, trial):
        away = math.log10(dict(trial.settings)["lr"]) - CENTRE[trial.optimizer]
        return 0.9 + self.lead[trial.optimizer] - 0.05 * away**2

    def record(self, trial):
        lost = math.log10(dict(trial.settings)["lr"]) > CENTRE[trial.optimizer] + 1.3
        of_seed = self.shared.setdefault(trial.seed, self.rng.normal(0, 0.01, 2))
        scored = self.true(trial) + of_seed + self.rng.normal(0, 0.005, 2)
        one, other = (None, None) if lost else map(float, scored)
        return {
            "trial": trial.as_json(), "diverged": lost, "steps": 10, "seconds": 1.0, "state_bytes": 0, "curve": {},
            "validation_metric": one, "validation_loss": None if lost else 1 - one,
            "test_metric": other, "test_loss": None if lost else 1 - other,
        }  # fmt: skip


CENTRE = {"sgd": -0.5, "adam": -2.5}


def whole_races(lead, races=RACES):
    """The boards of so many races of two optimizers, each with what is true of the settings that it chose."""
    spaces = {name: space_of(name, OPTIMIZERS[name]) for name in CENTRE}
    plan = Plan(
        task="simulated", task_settings={}, optimizers=tuple(CENTRE), dimensions=spaces, monitor="metric", epochs=1,
        batch=1, untrained={"validation": 0.1, "test": 0.1}, trials=8, seeds=5,
    )  # fmt: skip
    rng = np.random.default_rng(races)
    for _ in range(races):
        world, journal = World(rng, lead), Journal()
        while (step := next_step(plan, journal)) is not None:
            for trial in journal.missing(step.trials):
                journal.add(world.record(trial))
        made = board(plan, list(journal.records.values()), journal.decisions)
        confirmed = [trial for trial in journal.records if trial.stage == "confirm"]
        yield made, {trial.optimizer: world.true(trial) for trial in confirmed}


def shares(boards):
    """How often intervals cover what is true, of rows and of the pair, and how often the worse one is said to win."""
    rows, pairs, false = [], [], []
    for made, truth in boards:
        rows += [r["score"]["low"] <= truth[r["optimizer"]] <= r["score"]["high"] for r in made["rows"]]
        (pair,) = made["comparisons"]
        gap = truth[pair["a"]] - truth[pair["b"]]
        pairs.append(pair["low"] <= gap <= pair["high"])
        false.append("beats" in made["verdict"]["headline"].replace("beats none", "") and gap <= 0)
    return np.mean(rows), np.mean(pairs), np.mean(false)


def test_a_thousand_races_of_equals():
    """Their chosen rates differ, and with them what is true, so that one is a little better: said is what that is."""
    rows, pairs, false = shares(whole_races({"sgd": 0.0, "adam": 0.0}))
    assert 0.93 <= rows <= 0.97 and 0.93 <= pairs <= 0.97
    assert false <= 0.05


def test_a_thousand_races_of_which_one_is_better():
    rows, pairs, false = shares(whole_races({"sgd": 0.0, "adam": 0.01}))
    assert 0.93 <= rows <= 0.97 and 0.93 <= pairs <= 0.97
    assert false <= 0.01


@pytest.mark.parametrize("level", [0.88, 0.99])  # 0.88 is what the normal quantile gives with five seeds
def test_intervals_that_are_too_narrow_or_too_wide_would_be_found(level, monkeypatch):
    """The same races with intervals of another level, behind the board's back."""
    from downslope.race.statistics import paired as pairs_of

    monkeypatch.setattr(pairs_of, "t_interval", lambda values, _: t_interval(values, level))
    found = shares(whole_races({"sgd": 0.0, "adam": 0.0}, 300))[1]
    assert not 0.93 <= found <= 0.97


# ---- budget curves


def settings_of_a_rate(rng, shape):
    """True scores over four decades of learning rates, at chance where it diverges."""
    x = rng.uniform(0, 4, shape)
    return np.where(x > 3.2, 0.1, np.maximum(0.1, 0.95 - 0.12 * (x - 2.4) ** 2))


def settings_of_three(rng, shape):
    y, z = rng.uniform(0, 3, (2, *shape))
    return np.maximum(0.1, settings_of_a_rate(rng, shape) - 0.03 * (y - 1) ** 2 - 0.02 * (z - 2) ** 2)


def losses(rng, shape):
    x = rng.uniform(0, 4, shape)
    return -np.where(x > 3.2, 2.3, np.minimum(2.3, 0.05 * np.exp(1.2 * np.abs(x - 2.4))))


@pytest.mark.parametrize("trials", [11, 24, 48])
@pytest.mark.parametrize("settings", [settings_of_a_rate, settings_of_three, losses])
def test_budget_curves_cover_what_k_trials_are_worth(settings, trials):
    """Scores are of the same runs on another part, so that the luck of the choice is not in them."""
    rng = np.random.default_rng([trials, len(settings.__name__)])

    def runs(*shape):
        true = settings(rng, shape)
        return true + rng.normal(0, 0.005, shape), true + rng.normal(0, 0.005, shape)

    races = 400
    ks = sorted({1, 2, 3, 5, longest_known(trials)})
    truth = {}
    for k in ks:
        by, scores = runs(40_000, k)
        truth[k] = np.take_along_axis(scores, by.argmax(1)[:, None], 1).mean()
    covered, means = dict.fromkeys(ks, 0), {k: [] for k in ks}
    for _ in range(races):
        by, scores = runs(trials)
        curve = budget_curve(by.tolist(), scores.tolist(), samples=400)
        for k in ks:
            at = curve.k.index(k)
            covered[k] += curve.low[at] <= truth[k] <= curve.high[at]
            means[k].append(curve.mean[at])
    for k in ks:
        least = 0.915 if k > 1 else 0.88  # at 1 it is the mean of few numbers, most of them good, some at chance
        assert covered[k] / races >= least, (k, covered[k] / races)
        error = np.std(means[k]) / math.sqrt(races)
        assert abs(np.mean(means[k]) - truth[k]) < 3.5 * math.hypot(error, 0.3 / 200), k  # unbiased


# ---- several tasks


def task_times(rng, tasks):
    """task x optimizer x seed: times to the target over tasks of all lengths, on which the second takes 1.4 times as
    long as the first on average, and the third twice as long; seeds vary by a tenth."""
    length = rng.normal(5, 1, (tasks, 1, 1))
    own = np.log([1.0, 1.4, 2.0])[:, None] + rng.normal(0, 0.35, (tasks, 3, 1))
    return np.exp(length + own + rng.normal(0, 0.1, (tasks, 3, 3)))


NAMES = ("adam", "momentum", "sgd")


def made_boards(times):
    for number, each in enumerate(times.tolist()):
        runs = {name: {"steps": seeds, "seconds": seeds} for name, seeds in zip(NAMES, each)}
        yield {
            "task": f"task {number:02}", "rows": [{"optimizer": name} for name in NAMES],
            "target": {"score": 0.9, "runs": runs},
        }  # fmt: skip


@pytest.mark.parametrize("tasks", [5, 12])
def test_what_several_tasks_say_covers_what_all_tasks_would(tasks):
    """Scores, speed-ups and profiles of few tasks against those of the population they were drawn from."""
    rng = np.random.default_rng(tasks)
    medians = np.median(task_times(rng, 100_000), -1)
    ratios = medians / medians.min(-1, keepdims=True)
    scores = (np.clip(4 - ratios, 0, None) / 3).mean(0)
    at_two = (ratios <= 2).mean(0)
    speed = np.exp(np.log(medians[:, :1] / medians).mean(0))
    covered = {"score": [], "speed-up": [], "profile": []}
    for _ in range(150):
        found = aggregate(made_boards(task_times(rng, tasks)), samples=200)
        clock, place = found["clocks"]["steps"], [round(tau, 2) for tau in found["taus"]].index(2.0)
        for i, name in enumerate(NAMES):
            score, faster, band = clock["scores"][name], clock["speedups"][name], clock["bands"][name]
            covered["score"].append(score["low"] <= scores[i] <= score["high"])
            if i:
                covered["speed-up"].append(faster["low"] <= speed[i] <= faster["high"])
            covered["profile"].append(band["low"][place] <= at_two[i] <= band["high"][place])
    for what, found in covered.items():
        assert np.mean(found) >= 0.93, (what, np.mean(found))
