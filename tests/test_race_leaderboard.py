"""The numbers of a leaderboard, against scipy and against values worked out by hand."""

import math

import pytest
import scipy.stats

from downslope.race.leaderboard import leaderboard
from downslope.race.plan import Plan
from downslope.race.statistics import t_interval, told_apart, width


@pytest.mark.parametrize("values", [[0.9, 0.95], [0.97, 0.98, 0.96], [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_the_interval_is_scipys(values, level):
    expected = scipy.stats.ttest_1samp(values, 0).confidence_interval(level)
    assert t_interval(values, level)[1:] == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_the_interval_by_hand():
    mean, low, high = t_interval([1.0, 2.0, 3.0])  # deviation 1, t(2 df) = 4.302653, over the root of 3
    assert (mean, low, high) == pytest.approx((2.0, 2 - 2.484138, 2 + 2.484138), abs=1e-6)
    assert t_interval([0.5]) == (0.5, None, None)
    assert t_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)


# rates, scores -> decades, low, high, open below, open above; the tolerance is 0.01
WIDTHS = {
    "a peak, half a decade to both sides": ([0.1, 1, 10], [0.88, 0.9, 0.88], 1.0, 0.1**0.5, 10**0.5, False, False),
    "flat on one side": ([0.1, 1, 10], [0.895, 0.9, 0.88], 1.5, 0.1, 10**0.5, True, False),
    "flat everywhere": ([0.1, 1, 10], [0.9, 0.9, 0.9], 2.0, 0.1, 10, True, True),
    "the best at the edge": ([0.1, 1, 10], [0.5, 0.7, 0.9], 0.05, 10**0.95, 10, False, True),
    "a second hill does not count": (
        [0.01, 0.1, 1, 10, 100], [0.9, 0.5, 0.91, 0.5, 0.905], 0.02 / 0.41, 10 ** (-0.01 / 0.41), 10 ** (0.01 / 0.41),
        False, False,
    ),
    "exactly a point below is within": ([1, 10, 100], [0.75, 0.76, 0.0], None, 1, None, True, False),
    "one rate": ([0.5], [0.9], 0.0, 0.5, 0.5, True, True),
}  # fmt: skip


@pytest.mark.parametrize("case", WIDTHS)
def test_the_width_by_hand(case):
    rates, scores, *expected = WIDTHS[case]
    for found, wanted in zip(width(rates, scores, 0.01), expected, strict=True):
        assert wanted is None or found == pytest.approx(wanted)


def test_told_apart_looks_at_pairs_and_allows_for_many_comparisons():
    first, other = [0.90, 0.95, 0.99], [0.89, 0.939, 0.981]  # far apart seeds, but always about a point between the two
    assert told_apart(first, other)
    assert not told_apart(other, first)
    assert not told_apart(first, [0.87, 0.95, 0.96])
    assert not told_apart(first, first)
    assert not told_apart([0.9], [0.1])
    low = scipy.stats.ttest_rel(first, other).pvalue
    assert told_apart(first, other, int(0.05 / low)) and not told_apart(first, other, int(0.05 / low) + 1)


def make_record(optimizer, lr, seed, validation, test, loss=1.0):
    lost = validation is None
    return {
        "optimizer": optimizer, "lr": lr, "seed": seed, "diverged": lost, "validation_accuracy": validation,
        "validation_loss": None if lost else loss, "test_accuracy": test, "seconds": lr + seed, "curve": {},
    }  # fmt: skip


def make_plan(grids, seeds=2):
    return Plan("digits", grids, list(range(seeds)), 1, 64, chance=0.1)


def test_a_row_by_hand():
    plan = make_plan({"sgd": [0.1, 1.0, 10.0]})
    records = [
        make_record("sgd", 10.0, 1, None, None),
        make_record("sgd", 0.1, 0, 0.80, 0.99),  # better on the test part, which must not choose
        make_record("sgd", 0.1, 1, 0.80, 0.99),
        make_record("sgd", 1.0, 0, 0.90, 0.92),
        make_record("sgd", 1.0, 1, 0.88, 0.94),
        make_record("sgd", 10.0, 0, 0.98, 0.97),  # the best run, but the other seed diverged: 0.54 on average
    ]
    board = leaderboard(plan, records)
    assert (board["finished"], board["trials"], board["complete"]) == (6, 6, True)
    (row,) = board["rows"]
    assert row["best_lr"] == 1.0 and not row["best_lr_at_edge"]
    assert row["test_accuracy"]["by_seed"] == [0.92, 0.94]
    assert tuple(row["test_accuracy"][bound] for bound in ("mean", "low", "high")) == t_interval([0.92, 0.94])
    assert row["diverged"] == 1 and row["diverged_share"] == pytest.approx(1 / 6) and row["finished"] == 6
    assert row["width_decades"] == pytest.approx(0.01 / 0.09 + 0.01 / 0.35)
    assert row["seconds"] == 1.5 and row["seconds_all"] == pytest.approx(25.2)
    assert leaderboard(plan, records[::-1]) == board


def test_a_tie_on_validation_goes_to_the_lower_loss():
    records = [make_record("sgd", 0.1, s, 0.9, 0.9, 0.5) for s in (0, 1)]
    records += [make_record("sgd", 1.0, s, 0.9, 0.9, 0.4) for s in (0, 1)]
    assert leaderboard(make_plan({"sgd": [0.1, 1.0]}), records)["rows"][0]["best_lr"] == 1.0


def test_an_optimizer_that_always_diverged_is_last_and_has_no_best_rate():
    records = [make_record("sgd", 1.0, s, None, None) for s in (0, 1)]
    board = leaderboard(make_plan({"sgd": [1.0], "adam": [1.0]}), records)
    assert "nothing to compare" in board["verdict"] and not board["complete"]
    records += [make_record("adam", 1.0, s, 0.5, 0.5) for s in (0, 1)]
    adam, sgd = leaderboard(make_plan({"sgd": [1.0], "adam": [1.0]}), records)["rows"]
    assert (adam["optimizer"], adam["rank"], sgd["rank"]) == ("adam", 1, 2)
    assert sgd["best_lr"] is None and sgd["width_decades"] is None and sgd["test_accuracy"]["mean"] == 0.1


def test_a_race_that_is_not_over_compares_only_rates_with_as_many_seeds():
    records = [make_record("sgd", 1.0, 0, 0.8, 0.8), make_record("sgd", 1.0, 1, 0.8, 0.8)]
    records.append(make_record("sgd", 0.1, 0, 0.99, 0.99))
    assert leaderboard(make_plan({"sgd": [0.1, 1.0], "adam": [1.0]}), records)["rows"][0]["best_lr"] == 1.0


VERDICTS = {
    "better than each": ({"adam": [0.95, 0.96], "sgd": [0.85, 0.86]}, "it is better than each of the others."),
    "not told apart": (
        {"adam": [0.95, 0.97], "sgd": [0.96, 0.95]},
        "cannot be told apart from any of the others",
    ),
    "some": (
        {"adam": [0.95, 0.97], "sgd": [0.96, 0.95], "nag": [0.50, 0.52001]},
        "it is better than the others but cannot be told apart from sgd.",
    ),
    "one seed": ({"adam": [0.95], "sgd": [0.9]}, "One seed says nothing about the spread"),
}


@pytest.mark.parametrize("case", VERDICTS)
def test_the_verdict_in_words(case):
    scores, words = VERDICTS[case]
    records = [make_record(n, 0.01, s, v, v) for n, values in scores.items() for s, v in enumerate(values)]
    plan = make_plan({name: [0.01] for name in scores}, len(scores["adam"]))
    verdict = leaderboard(plan, records)["verdict"]
    assert verdict.startswith("adam at learning rate 0.01 is first with ") and words in verdict
    assert not math.isnan(float(verdict.split("with ")[1].split()[0]))
