"""The statistics of a race against scipy, against values worked out by hand, and where there is little to work with."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import scipy.stats
import torch

from downslope.optim import OPTIMIZERS
from downslope.race.statistics import t_interval, width
from downslope.race.statistics.bootstrap import budget_curve, leads, lengths, longest_known
from downslope.race.statistics.multiple import holm
from downslope.race.statistics.paired import paired
from downslope.race.statistics.power import MOST, more_seeds, settling_seconds
from downslope.race.statistics.pruning import FEWEST, Rungs, pruning
from downslope.race.statistics.stability import stability_limit
from downslope.race.statistics.target import first_reached, make_target, median_reached
from downslope.race.statistics.tolerance import one_percent, tolerance
from downslope.race.statistics.undertuned import FORMULA, INCLUSIONS, contains, undertuned

# ---- one mean


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


# ---- pairs

FIRST, OTHER = [0.90, 0.95, 0.99], [0.89, 0.939, 0.981]  # far apart seeds, but always about a point between the two


@pytest.mark.parametrize("a, b", [(FIRST, OTHER), (OTHER, FIRST), ([1.0, 2.0, 4.0, 3.0], [1.5, 2.5, 2.0, 3.25])])
def test_pairs_are_scipys(a, b):
    expected = scipy.stats.ttest_rel(a, b)
    found = paired(a, b)
    interval = expected.confidence_interval(0.95)
    assert (found.p, found.low, found.high) == pytest.approx((expected.pvalue, interval.low, interval.high), rel=1e-9)
    assert found.difference == pytest.approx(np.mean(a) - np.mean(b))
    assert found.deviation == pytest.approx(np.std(np.subtract(a, b), ddof=1))
    assert found.n == len(a)


def test_pairs_without_spread():
    tie = paired([0.9, 0.8, 0.7], [0.9, 0.8, 0.7])
    assert tie == (0.0, None, None, 1.0, 3, None)
    # 0.3 - 0.2 and the like are not the same to the last digit, and still the same
    same = paired([0.3, 0.5, 0.7], [0.2, 0.4, 0.6])
    assert same.difference == pytest.approx(0.1) and same.low is None and same.p == 0.25 and same.deviation is None
    assert paired([0.5] * 6, [0.4] * 6).p == 2**-5
    one = paired([0.9], [0.1])
    assert (one.low, one.high, one.p) == (None, None, None) and one.difference == pytest.approx(0.8)


def test_pairs_that_seeds_do_not_change_are_facts():
    assert paired([2.0, 2.0], [1.5, 1.5], exact=True) == (0.5, 0.5, 0.5, 0.0, 2, 0.0)
    assert paired([2.0, 2.0], [2.0, 2.0], exact=True).p == 1.0


def test_pairs_of_different_length_are_an_error():
    with pytest.raises(ValueError):
        paired([1.0, 2.0], [1.0])


# ---- many pairs


def test_holm_by_hand():
    # sorted .005 .01 .03 .04: times 4, 3, 2, 1, and never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_holm_counts_the_comparisons_that_cannot_be_made():
    assert holm([None, 0.02, None]) == [None, pytest.approx(0.06), None]


def test_holm_is_between_no_and_bonferronis_adjustment():
    rng = np.random.default_rng(0)
    for _ in range(20):
        ps = (rng.random(10) ** 3).tolist()
        for p, adjusted in zip(ps, holm(ps)):
            assert p <= adjusted <= min(1.0, 10 * p) + 1e-12
        order = np.argsort(ps)
        assert np.all(np.diff(np.array(holm(ps))[order]) >= 0)


# ---- power


@pytest.mark.parametrize(
    "difference, deviation, n, alpha", [(1.0, 1.0, 3, 0.05), (0.5, 1.0, 5, 0.01), (2.0, 1.0, 2, 0.05)]
)
def test_the_seeds_to_add_are_the_fewest_that_have_the_power(difference, deviation, n, alpha):
    def power(seeds):
        critical = scipy.stats.t.isf(alpha / 2, seeds - 1)
        return scipy.stats.nct.sf(critical, seeds - 1, difference / deviation * math.sqrt(seeds))

    more = more_seeds(difference, deviation, n, alpha=alpha)
    assert power(n + more) >= 0.8
    assert more == 1 or power(n + more - 1) < 0.8
    assert more_seeds(-difference, deviation, n, alpha=alpha) == more


def test_the_power_is_what_races_have():
    rng = np.random.default_rng(0)
    total = 5 + more_seeds(1.0, 1.2, 5, alpha=0.05)
    tests = scipy.stats.ttest_1samp(rng.normal(1.0, 1.2, (4000, total)), 0, axis=1).pvalue <= 0.05
    assert 0.78 <= tests.mean() <= 0.88
    tests = scipy.stats.ttest_1samp(rng.normal(1.0, 1.2, (4000, total - 1)), 0, axis=1).pvalue <= 0.05
    assert tests.mean() <= 0.82


def test_no_number_of_seeds_where_none_can_be_said():
    assert more_seeds(0.0, 1.0, 5) is None
    assert more_seeds(1.0, None, 1) is None
    assert more_seeds(1.0, 0.0, 5) is None
    assert more_seeds(1e-6, 1.0, 5) is None
    far = more_seeds(0.21, 1.0, 5)
    assert far is not None and 150 < far <= MOST
    assert settling_seconds(None, (1.0, 2.0)) is None
    assert settling_seconds(5, (1.0, 2.5)) == 17.5


# ---- budget curves


def test_the_budget_curve_is_the_mean_over_all_subsets():
    by, scores = [0.3, 0.9, 0.1, 0.5, 0.7], [0.25, 0.8, 0.3, 0.6, 0.85]
    curve = budget_curve(by, scores)
    assert curve.k == [1, 2, 3, 4, 5]
    for k, mean in zip(curve.k, curve.mean):
        subsets = [max(subset, key=lambda i: by[i]) for subset in combinations(range(5), k)]
        assert mean == pytest.approx(np.mean([scores[i] for i in subsets]))
    assert curve.mean[-1] == 0.8  # the one chosen, not the best: 0.85 was not seen by the choice
    assert [low is None for low in curve.low] == [False, False, True, True, True]


def test_the_interval_at_one_trial_is_students():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=30).tolist()
    curve, expected = budget_curve(scores, scores, samples=20_000), t_interval(scores)
    assert (curve.low[0], curve.high[0]) == pytest.approx(expected[1:], abs=0.02)


def test_the_budget_curve_depends_on_no_order_and_no_clock():
    rng = np.random.default_rng(0)
    by, scores = rng.random(12), rng.random(12)
    first = budget_curve(by.tolist(), scores.tolist())
    again = budget_curve(by.tolist(), scores.tolist())
    assert first == again
    mixed = rng.permutation(12)
    assert budget_curve(by[mixed].tolist(), scores[mixed].tolist()).mean == pytest.approx(first.mean)


def test_budget_curves_of_one_and_of_many_trials():
    assert budget_curve([0.5], [0.7]) == ([1], [0.7], [None], [None])
    assert budget_curve([0.5] * 4, [0.7] * 4).low[0] == pytest.approx(0.7)
    ks = lengths(1000)
    assert ks[0] == 1 and ks[-1] == 1000 and len(ks) <= 40 and ks == sorted(set(ks))
    scores = np.random.default_rng(0).random(1000).tolist()
    curve = budget_curve(scores, scores, samples=50)
    assert curve.mean[0] == pytest.approx(np.mean(scores))
    assert curve.mean[-1] == pytest.approx(max(scores))
    assert longest_known(11) == 5 and longest_known(24) == 12 and longest_known(40) == 12 and longest_known(400) == 100


def test_leads():
    rng = np.random.default_rng(0)
    good, bad = (0.9 + 0.01 * rng.random(12)).tolist(), (0.5 + 0.01 * rng.random(12)).tolist()
    for lead in leads((good, good), (bad, bad), [1, 3, 6]):
        assert lead.difference == pytest.approx(0.4, abs=0.02) and lead.beyond_doubt
        assert lead.low < lead.difference < lead.high
    assert not any(lead.beyond_doubt for lead in leads((bad, bad), (good, good), [1, 3]))
    assert not leads((good, good), (good, good), [1])[0].beyond_doubt
    (late,) = leads((good, good), (bad, bad), [7])
    assert late.low is None and not late.beyond_doubt
    (single,) = leads(([0.9], [0.9]), ([0.5], [0.5]), [1])
    assert single == (pytest.approx(0.4), None, None)


def test_leads_of_equals_are_beyond_doubt_one_time_in_forty():
    rng = np.random.default_rng(1)
    found = 0
    for _ in range(400):
        a, b = rng.normal(size=(2, 12)).tolist()
        found += leads((a, a), (b, b), [3])[0].beyond_doubt
    assert found / 400 <= 0.05


# ---- the width of the good learning rates

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
@pytest.mark.parametrize("mixed", [False, True])
def test_the_width_by_hand(case, mixed):
    rates, scores, *expected = WIDTHS[case]
    if mixed:
        rates, scores = rates[::-1], scores[::-1]
    found = tolerance(rates, scores, 0.01, alone=True)
    assert mixed or found == width(rates, scores, 0.01)
    for one, wanted in zip(found, expected, strict=True):
        assert wanted is None or one == pytest.approx(wanted)


def test_among_other_settings_a_bad_score_may_be_theirs():
    rates, scores = [0.01, 0.1, 1, 10, 100], [0.5, 0.905, 0.4, 0.91, 0.3]
    found = tolerance(rates, scores, 0.01, alone=False)
    # rising: .5 .905 .905 .91; to the left of 0.1 the score falls from .905 to .5 over a decade, .9 is on the way
    assert math.log10(found.low) == pytest.approx(-1 - 0.005 / 0.405)
    assert math.log10(found.high) == pytest.approx(1 + 0.01 / 0.61)
    assert (found.open_below, found.open_above) == (False, False)
    assert tolerance(rates, scores, 0.01, alone=True).decades < found.decades


def test_the_width_from_halton_points_nears_the_true_one():
    """Three settings, of which the rate is within a point of the best over 0.58 decades."""
    true = 2 * math.sqrt(0.01 / 0.12)
    found = []
    for seed in range(20):
        x = scipy.stats.qmc.Halton(3, seed=seed).random(400)
        scores = 0.95 - 0.12 * (4 * x[:, 0] - 2) ** 2 - 0.1 * (x[:, 1] - 0.4) ** 2 - 0.1 * (x[:, 2] - 0.6) ** 2
        found.append(tolerance((10 ** (4 * x[:, 0] - 4)).tolist(), scores.tolist(), 0.01, alone=False).decades)
    assert 0.75 * true < np.median(found) <= 1.05 * true


def test_the_same_rate_twice_counts_with_its_best():
    assert tolerance([0.1, 1, 1, 1, 10], [0.88, 0.2, 0.9, 0.3, 0.88], 0.01, alone=True).decades == pytest.approx(1.0)
    assert tolerance([], [], 0.01, alone=True) is None


def test_one_percent():
    assert one_percent([0.5, 0.97], 0.97, 0.1) == 0.01
    assert one_percent([-0.5, 0.97], 0.97, -1.03) == pytest.approx(0.02)
    assert one_percent([-2.0, -0.3], -0.3, -2.3) == pytest.approx(0.02)


# ---- the stability limit


def test_the_limit_lies_between_what_held_and_what_diverged():
    found = stability_limit([0.01, 0.1, 1.0, 10.0], [False, False, True, True])
    assert found == (0.1, 1.0, pytest.approx(0.1**0.5), False)


@pytest.mark.parametrize(
    "rates, diverged",
    [
        ([0.1, 1.0], [False, False]),
        ([0.1, 1.0], [True, True]),
        ([], []),
        ([1.0, 1.0, 1.0], [True, False, True]),
        ([0.01, 0.1, 1.0, 10.0], [True, True, False, False]),  # small rates diverge: something else is wrong
    ],
)
def test_no_limit(rates, diverged):
    assert stability_limit(rates, diverged) is None


def test_the_limit_of_trials_that_overlap_covers_the_truth():
    rng = np.random.default_rng(0)
    covered, estimates = [], []
    for _ in range(400):
        x = rng.uniform(-4, 0, 40)
        diverged = rng.random(40) < 1 / (1 + np.exp(-4 * (x + 1)))
        found = stability_limit((10**x).tolist(), diverged.tolist())
        if found.overlap:
            covered.append(found.low <= 0.1 <= found.high)
            estimates.append(math.log10(found.estimate))
            assert 10 ** x.min() <= found.low <= found.estimate <= found.high <= 10 ** x.max()
    assert len(covered) > 300
    assert 0.92 <= np.mean(covered) <= 0.99
    assert np.mean(estimates) == pytest.approx(-1, abs=0.05)


def test_a_sharp_edge_with_one_odd_trial_stays_finite():
    found = stability_limit([1e-3, 1e-2, 0.1, 0.2, 0.3, 1.0, 3.0], [False, False, True, False, True, True, True])
    assert found.overlap and 1e-3 < found.low < 0.05 < found.estimate < 0.2 < found.high < 3.0


# ---- rules that contain others


def test_inclusions_name_rules_that_there_are():
    for each in INCLUSIONS:
        for rule in (each.general, each.special):
            assert rule in OPTIMIZERS
        setting = each.via.partition("[")[0]
        assert setting in OPTIMIZERS[each.general].setting_defaults, each


# The settings at which one rule is the other, to the last digits: those of the general one, those of the special one.
LARGE = {"eps": 1e9, "lr": 1e7}
EXACTLY = {
    ("momentum", "sgd"): ({"momentum": 0}, {}), ("nag", "sgd"): ({"momentum": 0}, {}),
    ("sgd", "momentum"): ({"momentum": 0.9}, {}), ("qhm", "sgd"): ({"nu": 0}, {}),
    ("rmsprop", "sgd"): (LARGE, {}), ("adagrad", "sgd"): (LARGE, {}), ("rootmeansquare", "sgd"): (LARGE, {}),
    ("adadelta", "sgd"): ({"eps": 1e9}, {}), ("asgd", "sgd"): ({"lambd": 0, "alpha": 0}, {}),
    ("qhadam", "adam"): ({"nus": (1, 1), "betas": (0.9, 0.999)}, {}), ("adamw", "adam"): ({"weight_decay": 0}, {}),
    ("ademamix", "adamw"): ({"alpha": 0, "weight_decay": 0.1}, {"weight_decay": 0.1}),
    ("lion", "signum"): ({"betas": (0.9, 0.9), "weight_decay": 0}, {"momentum": 0.9}),
    ("sgdw", "momentum"): ({"weight_decay": 0}, {}), ("aggmo", "momentum"): ({"betas": (0.9, 0.9, 0.9)}, {}),
    ("pid", "sgd"): ({"integral": 0.0, "derivative": 0.0}, {}), ("powersign", "sgd"): ({"base": 1.0}, {}),
    ("padam", "amsgrad"): ({"partial": 0.5}, {}), ("adamod", "adam"): ({"gamma": 0}, {}),
    ("adabound", "adam"): ({"gamma": 1e-12}, {}), ("signum", "signsgd"): ({"momentum": 0}, {}),
    ("tiger", "signum"): ({"beta": 0.9, "weight_decay": 0}, {"momentum": 0.9}),
    ("lion", "tiger"): ({"betas": (0.9, 0.9), "weight_decay": 0}, {"beta": 0.9, "weight_decay": 0}),
}  # fmt: skip


def walked(name, **settings):
    """Where a rule gets on a bumpy surface."""
    generator = torch.Generator().manual_seed(0)
    start, centre, bumps = torch.randn(3, 7, 5, dtype=torch.float64, generator=generator)
    p = torch.nn.Parameter(start)
    optimizer = OPTIMIZERS[name]([p], **{"lr": 0.01, **settings})
    for _ in range(8):
        optimizer.zero_grad()
        ((p - centre) ** 4 / 4 + p * torch.sin(9 * bumps)).sum().backward()
        optimizer.step()
    return p.detach()


@pytest.mark.parametrize("general, special", EXACTLY)
def test_a_rule_is_another_at_the_settings_that_are_said(general, special):
    a, b = EXACTLY[general, special]
    torch.testing.assert_close(walked(general, **a), walked(special, **b), rtol=0, atol=1e-6)


def test_all_that_contain_another_by_their_formula_are_tried():
    by_formula = {(e.general, e.special) for e in INCLUSIONS if e.source == FORMULA}
    biased = {(e.general, e.special) for e in INCLUSIONS if e.how == "a large eps" and e.special == "momentum"}
    assert by_formula - biased <= EXACTLY.keys()  # momentum with Adam's correction of its start is momentum in the end


@pytest.mark.parametrize(
    "general, special, rules",
    [
        ("momentum", "sgd", ["sgd"]),
        ("adam", "momentum", ["momentum"]),
        ("adam", "sgd", ["momentum", "sgd"]),
        ("nadam", "nag", ["nag"]),
        ("ademamix", "sgd", ["adamw", "adam", "momentum", "sgd"]),
        ("rmsprop", "sgd", ["sgd"]),
        ("rmsprop", "momentum", []),
        ("sgd", "momentum", []),
        ("sgd", "adam", []),
        ("adam", "adamw", []),
        ("nag", "momentum", []),
    ],
)
def test_what_contains_what(general, special, rules):
    assert [step.special for step in contains(general, special)] == rules


def test_a_setting_that_is_off_by_default_must_have_been_asked_for():
    assert contains("sgd", "momentum", frozenset({"lr", "momentum"}))
    assert contains("rmsprop", "momentum", frozenset({"momentum"}))


def test_undertuned():
    none = {"adam": None, "momentum": None}
    reason = undertuned("adam", "momentum", 0.0213, searched=frozenset({"lr"}), decay=none)
    assert reason == (
        "contains momentum (at a large eps; Choi et al. 2019, arXiv:1910.05446) and cannot lose to it once it is "
        "tuned, yet lost by 0.021; eps was not searched: --search adam.eps=1e-8:1 looks for a large eps"
    )
    searched = undertuned("adam", "momentum", 0.0213, searched=frozenset({"lr", "eps"}), decay=none)
    assert searched.endswith("; give it more trials, or a wider range of eps")
    assert undertuned("momentum", "adam", 0.1, searched=frozenset(), decay=none) is None
    far = undertuned("adam", "sgd", 0.1, searched=frozenset(), decay={})
    assert "contains sgd (momentum at a large eps, then sgd at momentum=0; Choi" in far
    decayed = undertuned("adamw", "sgd", 0.1, searched=frozenset({"lr"}), decay={})
    assert "(adam at weight_decay=0, then momentum at a large eps, then sgd at momentum=0; Choi" in decayed
    assert "; weight_decay and eps were not searched: --search adamw.eps=1e-8:1 looks for" in decayed
    assert undertuned("qhm", "sgd", 0.1, searched=frozenset(), decay={}).endswith(
        "nu was not searched: more trials search more settings"
    )


def test_decoupled_decay_contains_no_coupled_one():
    nothing = frozenset()
    assert undertuned("adamw", "adam", 0.1, searched=nothing, decay={"adam": None})
    assert undertuned("adamw", "adam", 0.1, searched=nothing, decay={"adam": 0.0})
    assert undertuned("adamw", "adam", 0.1, searched=nothing, decay={"adam": 1e-4}) is None
    assert undertuned("adam", "momentum", 0.1, searched=nothing, decay={"momentum": 1e-4})


# ---- time to target


def test_first_reached_by_hand():
    steps, scores = [0, 10, 20, 30], [0.1, 0.5, 0.4, 0.9]
    assert first_reached(steps, scores, 0.3) == pytest.approx(5)
    assert first_reached(steps, scores, 0.5) == 10
    assert first_reached(steps, scores, 0.65) == pytest.approx(25)
    assert first_reached(steps, scores, 0.91) is None
    assert first_reached(steps, scores, 0.05) == 0
    assert first_reached(steps, [0.1, None, math.nan, 0.9], 0.5) == pytest.approx(15)
    assert first_reached([], [], 0.5) is None


def test_runs_that_never_get_there_count_as_infinitely_late():
    assert median_reached([10, None, 30]) == 30
    assert median_reached([10, None, None]) is None
    assert median_reached([10, 20, None, None]) is None
    assert median_reached([]) is None


def test_the_target_is_the_second_bests_median():
    assert make_target([[0.9, 0.95, 0.99], [0.8, 0.85, 0.99], [0.1]]) == 0.85
    assert make_target([[0.9, 0.95, 0.99], []]) == 0.95
    assert make_target([[], []]) is None


# ---- pruning


def test_no_drops_cost_nothing():
    assert pruning([]) is None
    assert pruning([{"adam": Rungs([(0.5, 0.9)], [])}]) is None


def test_few_pairs_tell_nothing():
    found = pruning([{"adam": Rungs([(0.5, 0.9)] * (FEWEST - 1), [0.4, 0.3])}])
    assert found["probability"] is None and found["by_optimizer"] == {"adam": None}
    assert (found["dropped"], found["pairs"]) == (2, FEWEST - 1)


def test_a_perfect_line_drops_nothing_of_worth_and_no_line_much():
    kept = [(0.5, 0.9), (0.52, 0.91), (0.55, 0.925), (0.6, 0.95)]
    sure = pruning([{"adam": Rungs(kept, [0.1, 0.45])}])
    assert sure["probability"] == 0 and sure["rank_correlation"] == pytest.approx(1)
    unsure = pruning([{"adam": Rungs([(0.5, 0.9), (0.52, 0.7), (0.55, 0.6), (0.6, 0.8)], [0.45] * 20)}])
    assert unsure["probability"] > 0.4
    assert unsure["rank_correlation"] == pytest.approx(-0.4)


def test_the_chance_that_a_dropped_one_would_have_won_is_about_right():
    rng = np.random.default_rng(0)
    for noise in (0.02, 0.06):
        said, true = [], []
        for _ in range(200):
            level, won = {}, False
            for name in "abcd":
                quality = rng.normal(0.8, 0.05, 27)
                short, full = quality - 0.1 + rng.normal(0, noise, 27), quality + rng.normal(0, 0.005, 27)
                order = np.argsort(-short)
                kept, dropped = order[:9], order[9:]
                level[name] = Rungs(list(zip(short[kept], full[kept])), list(short[dropped]))
                won |= full[dropped].max() > full[kept].max()
            said.append(pruning([level], samples=500)["probability"])
            true.append(won)
        assert np.mean(said) == pytest.approx(np.mean(true), abs=0.1)
    assert np.mean(true) > 0.2


def test_the_chance_is_that_of_any_level_and_any_optimizer():
    bad = {"adam": Rungs([(0.5, 0.9), (0.52, 0.7), (0.55, 0.6), (0.6, 0.8)], [0.45] * 20)}
    good = {"sgd": Rungs([(0.5, 0.9), (0.52, 0.91), (0.55, 0.925), (0.6, 0.95)], [0.1])}
    found = pruning([bad, good])
    assert found["by_optimizer"]["sgd"] == 0
    assert found["probability"] == found["by_optimizer"]["adam"] > 0.4
