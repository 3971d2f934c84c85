"""Which trials come next: a pure function of plan and journal, on made-up results."""

import math
import random

import pytest

from downslope.optim import OPTIMIZERS
from downslope.race.budget import first_points, rung_epochs
from downslope.race.journal import Journal
from downslope.race.plan import Plan
from downslope.race.referee import Round, Undecided, expected, next_step
from downslope.race.samplers import SAMPLERS, Sampler
from downslope.race.spaces import space_of

BEST = {"sgd": 0.5, "adam": 0.003}


def make_plan(names=("sgd", "adam"), **options):
    spaces = {name: space_of(name, OPTIMIZERS[name]) for name in names}
    given = {"trials": 11, "seeds": 3, "epochs": 9, "batch": 16, "untrained": {"validation": 0.1, "test": 0.1}}
    return Plan(
        task="made-up", task_settings={}, optimizers=tuple(names), dimensions=spaces, monitor="metric",
        **{**given, **options},
    )  # fmt: skip


def result(trial, best=BEST, seconds=1.0):
    """A score that falls with the distance of the learning rate from the best, and diverges far above it."""
    away = math.log10(dict(trial.settings)["lr"] / best[trial.optimizer])
    score = 0.9 - 0.1 * away**2 + 0.001 * (trial.seed % 7)
    lost = away > 1.2
    return {
        "trial": trial.as_json(), "diverged": lost, "diverged_at_step": 3 if lost else None,
        "steps": 3 if lost else 4 * trial.epochs, "validation_loss": None if lost else 1 - score,
        "validation_metric": None if lost else score, "test_loss": None, "test_metric": None if lost else score,
        "curve": {}, "seconds": seconds * trial.epochs, "state_bytes": 0, "how": "alone",
    }  # fmt: skip


def play(plan, journal=None, decide=None, shuffle=None, **how):
    """A whole race; its rounds."""
    journal = journal or Journal()
    rounds = []
    while (step := next_step(plan, journal)) is not None:
        if isinstance(step, Undecided):
            journal.add(decide(step))
            continue
        missing = journal.missing(step.trials)
        if shuffle is not None:
            shuffle.shuffle(missing)
        rounds.append(step)
        for trial in missing:
            journal.add(result(trial, **how))
    return rounds, journal


def stages(trials, name):
    found = {}
    for trial in trials:
        if trial.optimizer == name:
            found[trial.stage] = found.get(trial.stage, 0) + 1
    return found


def test_the_rounds_of_a_race():
    plan = make_plan()
    rounds, journal = play(plan)
    assert [r.name for r in rounds] == ["search", "after-1", "after-2", "confirm"]
    for name in plan.optimizers:
        assert stages(journal.records, name) == {"search": 11, "confirm": 3}
    confirm = [t for t in rounds[-1].trials if t.optimizer == "adam"]
    assert {t.seed for t in confirm} == {1000, 1001, 1002} and len({t.settings for t in confirm}) == 1
    assert abs(math.log10(dict(confirm[0].settings)["lr"] / BEST["adam"])) < 0.5
    assert {t.seed for t in rounds[0].trials} == {0}
    assert expected(plan, Journal()) == len(journal.records) == 28


@pytest.mark.parametrize("options", [{}, {"rungs": rung_epochs(9)}, {"search_seeds": (0, 1)}, {"trials": 3}])
@pytest.mark.parametrize("best", [BEST, {"sgd": 100.0, "adam": 1e-6}], ids=["inside", "beyond an edge"])
def test_neither_the_order_of_results_nor_a_stop_changes_a_trial(options, best):
    plan = make_plan(**options)
    whole, journal = play(plan, best=best)
    draw = random.Random(0)
    for _ in range(20):
        kept = draw.sample(list(journal.records.values()), draw.randrange(len(journal.records)))
        half = Journal()  # what a later round has found is there already, and changes nothing
        for record in kept:
            half.add(record)
        _, again = play(plan, half, shuffle=draw, best=best)
        assert again.records == journal.records
    in_order = [trial for step in whole for trial in step.trials]
    for stop in range(0, len(in_order), 3):
        half = Journal()
        for trial in in_order[:stop]:
            half.add(journal.records[trial])
        rounds, again = play(plan, half, shuffle=draw, best=best)
        assert again.records == journal.records
        assert not set(half.missing(in_order)) and rounds == whole[len(whole) - len(rounds) :]


@pytest.mark.parametrize("best, side", [({"sgd": 200.0, "adam": 0.003}, "high"), ({"sgd": 1e-4, "adam": 0.003}, "low")])
def test_a_best_rate_at_the_edge_widens_the_range_out_of_the_same_share(best, side):
    plan = make_plan(trials=12)
    rounds, journal = play(plan, best=best)
    assert stages(journal.records, "sgd") == {"search": 8, "widen": 4, "confirm": 3}
    assert stages(journal.records, "adam") == {"search": 12, "confirm": 3}
    low, high, _ = plan.spaces["sgd"]["lr"]
    rates = [dict(t.settings)["lr"] for t in journal.records if t.stage == "widen"]
    assert all(rate > high if side == "high" else rate < low for rate in rates)
    assert (max(rates) > 10 * high) if side == "high" else (min(rates) < low / 10)
    told = [line for r in rounds for line in r.told if line["optimizer"] == "sgd"]
    assert told[0]["low" if side == "high" else "high"] == (high if side == "high" else low) and len(told) >= 2


def test_a_range_that_the_user_gave_is_not_left():
    from dataclasses import replace

    plan = make_plan(("sgd",), trials=12)
    rates = replace(plan.dimensions["sgd"][0], rank=0)
    plan = replace(plan, dimensions={"sgd": (rates, *plan.dimensions["sgd"][1:])})
    _, journal = play(plan, best={"sgd": 200.0})
    assert stages(journal.records, "sgd") == {"search": 12, "confirm": 3}


def test_an_optimizer_that_always_diverges_looks_lower_and_confirms_nothing():
    plan = make_plan(("sgd",), trials=12)
    _, journal = play(plan, best={"sgd": 1e-9})
    assert stages(journal.records, "sgd") == {"search": 8, "widen": 4}
    rates = [dict(t.settings)["lr"] for t in journal.records if t.stage == "widen"]
    assert max(rates) < plan.spaces["sgd"]["lr"][0]


def test_rungs_are_whole_short_runs_of_which_the_best_third_goes_on():
    plan = make_plan(rungs=rung_epochs(9), trials=12)
    rounds, journal = play(plan)
    count = first_points(12, plan.rungs)
    assert [r.name for r in rounds][:3] == ["search"] * 3
    found = {e: [t for t in journal.records if t.epochs == e and t.optimizer == "adam"] for e in (1, 3, 9)}
    first, second = (len(found[e]) for e in (1, 3))
    assert first == count > 12 and second == math.ceil(first / 3)
    last = [t for t in found[9] if t.stage == "rung-3"]
    assert len(last) == math.ceil(second / 3) and {t.settings for t in last} < {t.settings for t in found[3]}

    def score(settings):
        return next(
            r["validation_metric"] or 0 for t, r in journal.records.items() if t in found[1] and t.settings == settings
        )

    on = {t.settings for t in found[3]}
    worst = min(map(score, on))
    assert all(score(t.settings) <= worst for t in found[1] if t.settings not in on)


def test_a_budget_of_time_is_decided_after_a_probe_that_is_long_enough():
    plan = make_plan(trials=None, seeds=None, budget="10m", epochs=20)
    seen = []

    def decide(step):
        seen.append(step)
        return {"decision": "budget", "trials": {"sgd": 9, "adam": 4}, "seeds": 2}

    assert expected(plan, Journal()) is None
    rounds, journal = play(plan, decide=decide, seconds=0.1)
    probes = [t for t in journal.records if t.stage == "probe"]
    assert sorted({t.epochs for t in probes}) == [1, 8] and [r.name for r in rounds][:2] == ["probe", "probe"]
    (step,) = seen
    assert step.costs == pytest.approx({"sgd": 2.0, "adam": 2.0}) and step.spent == pytest.approx(1.8)
    searched = {name: stages(journal.records, name) for name in plan.optimizers}
    assert searched["sgd"]["search"] == 9 and searched["adam"] == {"probe": 2, "search": 4, "confirm": 2}
    assert expected(plan, journal) == len(journal.records)


def test_a_probe_as_long_as_a_trial_is_one_of_the_search():
    plan = make_plan(trials=None, seeds=None, budget="10m", epochs=1)
    _, journal = play(plan, decide=lambda step: {"decision": "budget", "trials": {"sgd": 4, "adam": 4}, "seeds": 2})
    assert stages(journal.records, "sgd") == {"probe": 1, "search": 3, "confirm": 2}


def test_a_sampler_that_learns_sees_complete_rounds_only(monkeypatch):
    asked = []

    def suggest(space, finished, seed, start, count):
        asked.append((start, count, [dict(point) for point, _ in finished]))
        return [{"lr": 0.1 * (start + i + 1)} for i in range(count)]

    monkeypatch.setitem(SAMPLERS, "mine", Sampler(suggest, 4))
    plan = make_plan(("sgd",), trials=11, sampler="mine")
    rounds, journal = play(plan)
    searches = [r for r in rounds if r.name == "search"]
    assert [len(r.trials) for r in searches] == [4, 4, 1] and isinstance(searches[0], Round)
    assert {start: len(seen) for start, _, seen in asked} == {0: 0, 4: 4, 8: 8, 9: 9, 10: 10}
    assert play(plan, shuffle=random.Random(3))[1].records == journal.records
