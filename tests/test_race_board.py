"""The board of a race from records made by hand: what is chosen, what is said, and that no order of records matters."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace

import pytest

from downslope.race.aggregate import aggregate
from downslope.race.board import board
from downslope.race.statistics import scores, t_interval
from downslope.race.verdict import around, duration, rate, verdict

KEYS = {
    "rank", "optimizer", "settings", "schedule", "score", "validation", "search_trials", "diverged", "diverged_share",
    "stability_limit", "lr_tolerance", "at_edge", "widened", "undertuned", "time_to_target", "seconds", "state_bytes",
    "budget_curve", "code",
}  # fmt: skip


def make_plan(*names, monitor="metric", test=0.1, **changes):
    start = 0.1 if monitor == "metric" else 2.3
    plan = {
        "task": "digits", "monitor": monitor, "optimizers": names, "untrained": {"validation": start, "test": test},
        "schedule": "cosine", "warmup": 0.0, "epochs": 9, "batch": 64, "origins": {},
        "spaces": {name: {"lr": (1e-4, 1.0, "log")} for name in names},
    }  # fmt: skip
    return SimpleNamespace(**plan | changes)


def record(name, lr, seed, stage, validation, test=None, *, epochs=9, loss=None, seconds=2.0, **settings):
    lost = validation is None
    test = validation if test is None else test
    own = {"lr": lr, **settings}
    return {
        "trial": {"optimizer": name, "settings": own, "seed": seed, "epochs": epochs, "stage": stage},
        "diverged": lost, "diverged_at_step": 7 if lost else None, "steps": 7 if lost else 20 * epochs,
        "validation_loss": None if lost else 1 - validation if loss is None else loss,
        "validation_metric": None if lost else validation,
        "test_loss": None if lost else 1 - test if loss is None else loss, "test_metric": None if lost else test,
        "curve": {} if lost else {
            "step": [60, 120, 180], "train_loss": [1.0, 0.6, 0.4],
            "validation_loss": [1.0, 0.6, 1 - validation if loss is None else loss],
            "validation_metric": [validation / 2, validation * 0.9, validation],
        },
        "seconds": seconds, "state_bytes": 800, "how": "alone",
    }  # fmt: skip


def search(name, *found, **options):
    """Search trials of rising rates, half a decade apart."""
    rates = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    return [record(name, lr, 0, "search", f, **options) for lr, f in zip(rates, found, strict=True)]


def confirm(name, lr, *found, validation=0.9, **options):
    return [record(name, lr, 1000 + i, "confirm", validation, f, **options) for i, f in enumerate(found)]


WINNER = [*search("adamw", 0.6, 0.9, 0.96, 0.5, None), *confirm("adamw", 1e-2, 0.95, 0.96, 0.955, 0.965, 0.945)]
SECOND = [*search("sgd", 0.3, 0.6, 0.9, 0.93, None), *confirm("sgd", 0.1, 0.93, 0.935, 0.934, 0.945, 0.92)]
NEAR = [*search("momentum", 0.5, 0.8, 0.955, 0.6, None), *confirm("momentum", 1e-2, 0.941, 0.957, 0.956, 0.955, 0.945)]


def by_name(made):
    return {row["optimizer"]: row for row in made["rows"]}


def test_a_row_by_hand():
    made = board(make_plan("adamw"), WINNER)
    (row,) = made["rows"]
    assert row.keys() >= KEYS
    assert (row["rank"], row["optimizer"], row["settings"], row["schedule"]) == (1, "adamw", {"lr": 1e-2}, "cosine")
    mean, low, high = t_interval([0.95, 0.96, 0.955, 0.965, 0.945])
    assert row["score"] == {"mean": mean, "low": low, "high": high, "by_seed": [0.95, 0.96, 0.955, 0.965, 0.945]}
    assert row["validation"] == 0.96  # of the search
    assert (row["search_trials"], row["diverged"], row["diverged_share"]) == (5, 1, 0.1)
    assert (row["stability_limit"]["low"], row["stability_limit"]["high"]) == (0.1, 1.0)
    assert row["lr_tolerance"]["from"] == pytest.approx(10 ** (-2 - 1 / 6))  # 0.96 to 0.9 is six points in a decade
    assert row["lr_tolerance"]["to"] == pytest.approx(10 ** (-2 + 1 / 46))
    assert not row["at_edge"] and row["widened"] == 0 and row["undertuned"] == []
    assert (row["seconds"], row["state_bytes"]) == (2.0, 800)
    assert row["budget_curve"]["mean"][0] == pytest.approx((0.6 + 0.9 + 0.96 + 0.5 + 0.1) / 5)  # diverged: untrained
    assert row["budget_curve"]["mean"][-1] == 0.96
    assert "optim.AdamW(" in row["code"]["downslope"] and "steps=180" in row["code"]["downslope"]
    assert made["complete"] and made["finished"] == 10


def test_the_test_part_chooses_nothing():
    records = [record("sgd", 0.1, 0, "search", 0.9, test=0.5), record("sgd", 0.01, 0, "search", 0.8, test=0.99)]
    assert board(make_plan("sgd"), records)["rows"][0]["settings"] == {"lr": 0.1}
    (row,) = board(make_plan("sgd"), [*records, *confirm("sgd", 0.1, 0.6, 0.7)])["rows"]
    assert row["settings"] == {"lr": 0.1} and row["score"]["mean"] == pytest.approx(0.65)


def test_of_equals_the_smaller_loss_is_chosen():
    records = [record("sgd", 0.1, 0, "search", 0.9, loss=0.5), record("sgd", 0.01, 0, "search", 0.9, loss=0.4)]
    assert board(make_plan("sgd"), records)["rows"][0]["settings"] == {"lr": 0.01}


def test_settings_that_fewer_seeds_have_tried_are_out():
    records = [
        record("sgd", 0.1, 0, "search", 0.9), record("sgd", 0.1, 1, "search", 0.7),
        record("sgd", 0.01, 0, "search", 0.85), record("sgd", 0.01, 1, "search", 0.85),
        record("sgd", 0.03, 0, "search", 0.99),
    ]  # fmt: skip
    assert board(make_plan("sgd"), records)["rows"][0]["settings"] == {"lr": 0.01}


def test_what_was_confirmed_is_shown_whatever_the_search_says_now():
    records = [*WINNER, record("adamw", 0.3, 0, "search", 0.99)]
    assert board(make_plan("adamw"), records)["rows"][0]["settings"] == {"lr": 1e-2}


@pytest.mark.parametrize("monitor", ["metric", "loss"])
def test_no_order_of_records_matters(monitor):
    records = WINNER + SECOND + NEAR
    plan = make_plan("adamw", "sgd", "momentum", monitor=monitor, test=0.1 if monitor == "metric" else 2.3)
    first = board(plan, records)
    for seed in range(5):
        mixed = records.copy()
        random.Random(seed).shuffle(mixed)
        assert board(plan, mixed) == first
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    order = make_plan("momentum", "sgd", "adamw", monitor=monitor, test=plan.untrained["test"])
    again = board(order, records)
    assert again["rows"] == first["rows"] and again["verdict"] == first["verdict"]


def test_losses_are_told_as_losses():
    plan = make_plan("adamw", "sgd", monitor="loss", test=2.3)
    made = board(plan, WINNER + SECOND)
    first, second = made["rows"]
    assert first["optimizer"] == "adamw"
    assert first["score"]["mean"] == pytest.approx(1 - 0.955)
    assert first["score"]["mean"] < second["score"]["mean"]
    assert first["score"]["low"] < first["score"]["mean"] < first["score"]["high"]
    assert first["validation"] == pytest.approx(0.04)
    curve = first["budget_curve"]
    assert curve["mean"][-1] == pytest.approx(0.04)
    assert curve["low"][0] < curve["high"][0] and curve["mean"][-1] < curve["mean"][0]
    (pair,) = made["comparisons"]
    assert pair["difference"] == pytest.approx(0.955 - 0.9328) and pair["low"] < pair["difference"] < pair["high"]
    assert made["target"]["score"] == pytest.approx(0.1)  # the confirmed runs' validation loss
    # 1 % of the way from the untrained 2.3 to the best 0.04, of which the decade above costs 0.46
    assert first["lr_tolerance"]["to"] == pytest.approx(10 ** (-2 + 0.0226 / 0.46))


def test_a_run_that_ends_worse_than_it_began_counts_as_untrained():
    plan = make_plan("sgd", monitor="loss", test=2.3)
    records = [*search("sgd", 0.3, 0.6, 0.9, 0.93, 0.2), *confirm("sgd", 0.1, 0.93, 0.93)]
    records.append(record("sgd", 0.1, 1002, "confirm", 0.5, loss=1e9))
    assert board(plan, records)["rows"][0]["score"]["by_seed"][-1] == 2.3
    assert scores.goodness(plan, {"diverged": False, "test_loss": float("nan")}, "test") == -2.3


def test_a_task_without_a_test_part_is_scored_on_validation_and_says_so():
    made = board(make_plan("adamw", test=None), WINNER)
    assert made["part"] == "validation"
    assert made["rows"][0]["score"]["by_seed"] == [0.9] * 5
    assert any("no test part" in note for note in made["notes"])


def test_time_to_target():
    plan = make_plan("adamw", "sgd", "momentum")
    # the second best's median final validation score is the target
    records = [
        *search("adamw", 0.6, 0.9, 0.96, 0.5, None), *confirm("adamw", 1e-2, 0.95, 0.96, 0.955, validation=0.96),
        *search("sgd", 0.3, 0.6, 0.9, 0.93, None), *confirm("sgd", 0.1, 0.93, 0.935, 0.92, validation=0.9),
        *search("momentum", 0.3, 0.6, 0.9, 0.8, None), *confirm("momentum", 1e-2, 0.8, 0.8, 0.8, validation=0.8),
    ]  # fmt: skip
    made = board(plan, records)
    assert made["target"]["score"] == 0.9
    rows = by_name(made)
    # 0.864 at step 120, 0.96 at 180: 0.9 is three eighths of the way
    assert rows["adamw"]["time_to_target"]["steps"] == pytest.approx(142.5)
    assert rows["adamw"]["time_to_target"]["seconds"] == pytest.approx(2 * 142.5 / 180)
    assert rows["sgd"]["time_to_target"]["steps"] == 180
    assert rows["momentum"]["time_to_target"] is None
    assert made["target"]["runs"]["momentum"]["steps"] == [None, None, None]


def test_the_edge_and_the_widening():
    low = [*search("sgd", 0.95, 0.9, 0.8, 0.7, 0.6), *confirm("sgd", 1e-4, 0.9, 0.91)]
    row = board(make_plan("sgd"), low)["rows"][0]
    assert row["at_edge"] and row["edge"] == "low"
    wider = [record("sgd", lr, 0, "widen", f) for lr, f in ((3e-5, 0.94), (1e-6, 0.3))]
    row = board(make_plan("sgd"), [*low, *wider])["rows"][0]
    assert not row["at_edge"] and row["widened"] == 1
    assert row["search_trials"] == 7 and len(row["budget_curve"]["k"]) == 5
    decisions = [{"decision": "widen", "optimizer": "sgd"}] * 2 + [{"decision": "widen", "optimizer": "adam"}]
    assert board(make_plan("sgd"), [*low, *wider], decisions)["rows"][0]["widened"] == 2


def test_undertuned_only_when_the_loss_is_decided():
    adam = [*search("adam", 0.6, 0.9, 0.93, 0.5, None), *confirm("adam", 1e-2, 0.91, 0.913, 0.912, 0.92, 0.909)]
    made = board(make_plan("adam", "momentum"), adam + NEAR)
    (reason,) = by_name(made)["adam"]["undertuned"]
    assert reason.startswith("contains momentum (at a large eps; Choi et al. 2019")
    assert "Adam is undertuned: it contains momentum" in " ".join(made["verdict"]["sentences"])
    few = [r for r in adam + NEAR if r["trial"]["seed"] in (0, 1000)]
    assert by_name(board(make_plan("adam", "momentum"), few))["adam"]["undertuned"] == []
    # the contained one is allowed to lose
    worse = [*search("momentum", 0.6, 0.7, 0.8, 0.5, None), *confirm("momentum", 1e-2, 0.8, 0.81, 0.8, 0.82, 0.8)]
    assert not any(row["undertuned"] for row in board(make_plan("adam", "momentum"), adam + worse)["rows"])


def test_rungs_and_what_they_dropped():
    records = []
    for i in range(9):
        lr = 10 ** (-4 + i / 2)
        good = 0.95 - 0.02 * abs(i - 5)
        records.append(record("sgd", lr, 0, "rung-1", good - 0.3, epochs=1))
        if abs(i - 5) <= 2:
            records.append(record("sgd", lr, 0, "rung-2", good - 0.1, epochs=3))
            records.append(record("sgd", lr, 0, "rung-3", good, epochs=9))
    made = board(make_plan("sgd"), [*records, *confirm("sgd", 10**-1.5, 0.94, 0.95)])
    (row,) = made["rows"]
    assert row["settings"]["lr"] == pytest.approx(10**-1.5)
    assert row["search_trials"] == 9
    found = made["pruning"]
    assert found["dropped"] == 4 and found["pairs"] == 10 and found["rank_correlation"] == pytest.approx(1)
    assert found["probability"] == 0
    assert row["budget_curve"]["mean"][-1] == 0.95
    assert row["budget_curve"]["mean"][0] < 0.8  # a dropped setting is worth its short run
    assert "4 settings dropped after a short run would have been its optimizer's best is about below 1 %" not in str(
        made
    )
    assert any("below 1 %" in sentence for sentence in made["verdict"]["sentences"])


def test_a_short_probe_of_the_time_is_no_setting_tried():
    probe = record("adamw", 0.5, 0, "probe", 0.2, epochs=1)
    made = board(make_plan("adamw"), [*WINNER, probe])
    assert made["rows"][0]["search_trials"] == 5 and made["pruning"] is None
    assert made["budget"]["spent_trials"] == 11


def test_the_budget_counts_everything():
    made = board(make_plan("adamw", "sgd"), WINNER + SECOND)
    assert made["budget"]["spent_seconds"] == 40.0 and made["budget"]["spent_trials"] == 20
    assert made["budget"]["per_optimizer"]["sgd"] == {"seconds": 20.0, "trials": 10, "epochs": 90}


def test_seeds_that_change_nothing_make_a_difference_a_fact():
    records = []
    for name, loss in (("sgd", 0.5), ("adamw", 0.25)):
        records += search(name, 0.5, 0.5, 0.6, 0.5, 0.5)
        records += confirm(name, 1e-2, 0.9, 0.9, 0.9, loss=loss)
    made = board(make_plan("sgd", "adamw", monitor="loss", test=2.3), records)
    (pair,) = made["comparisons"]
    assert (pair["a"], pair["difference"], pair["p_adjusted"], pair["decided"]) == ("adamw", 0.25, 0.0, True)
    assert "beats SGD by 0.25 ± 0" in made["verdict"]["headline"]


# ---- the words


def headline(*records, plan=None, **options):
    records = [r for part in records for r in part]
    names = sorted({r["trial"]["optimizer"] for r in records})
    return board(plan or make_plan(*names), records, **options)["verdict"]["headline"]


def test_one_beats_one_and_is_undecided_against_another():
    made = board(make_plan("adamw", "sgd", "momentum"), WINNER + SECOND + NEAR)
    assert made["verdict"]["headline"] == (
        "AdamW lr 0.01 cosine beats SGD by 0.022 ± 0.003, p < .001; AdamW against Momentum is undecided, "
        "about 12 more seeds, 48 seconds, would settle it."
    )
    assert made["verdict"]["sentences"] == [
        "AdamW has a mean score of 0.955 ± 0.010 on the test part over 5 fresh seeds, at lr 0.01.",
        "AdamW beats SGD by 0.022 ± 0.003 (p < .001).",
        "AdamW against Momentum is undecided (0.004 ± 0.006, p = .14): about 12 more seeds, "
        "48 seconds, would settle it.",
    ]


def test_one_beats_all():
    third = [*search("adagrad", 0.3, 0.6, 0.7, 0.8, None), *confirm("adagrad", 0.1, 0.8, 0.805, 0.8, 0.811, 0.8)]
    assert headline(WINNER, SECOND) == "AdamW lr 0.01 cosine beats SGD by 0.022 ± 0.003, p < .001."
    assert headline(WINNER, SECOND, third) == (
        "AdamW lr 0.01 cosine beats both others, the nearest, SGD, by 0.022 ± 0.003, p < .001."
    )


def test_none_beats_none():
    assert headline(WINNER, NEAR).startswith(
        "AdamW lr 0.01 cosine is first with 0.955 ± 0.010, but beats none beyond doubt; AdamW against Momentum is "
        "undecided, about "
    )


def test_one_seed_says_what_to_do():
    records = [r for r in WINNER + SECOND if r["trial"]["seed"] <= 1000]
    assert headline(records) == (
        "AdamW lr 0.01 cosine is first with 0.95, but one seed says nothing about the spread: race with --seeds 5."
    )


def test_one_optimizer_alone():
    assert headline(WINNER) == "AdamW lr 0.01 cosine scores 0.955 ± 0.010; nothing else raced."


def test_all_diverged():
    lost = search("sgd", None, None, None, None, None)
    assert headline(lost) == (
        "Every run of every optimizer diverged, so there is nothing to compare; `downslope check digits` looks for "
        "what is wrong before training."
    )
    made = board(make_plan("adamw", "sgd"), [*WINNER, *lost])
    row = by_name(made)["sgd"]
    assert (row["rank"], row["settings"], row["score"]["mean"], row["code"]) == (2, {}, None, None)
    assert made["complete"] and made["comparisons"] == []
    assert made["verdict"]["headline"] == "AdamW lr 0.01 cosine scores 0.955 ± 0.010; no other has a score."
    assert "SGD diverged in all of its 5 trials; it has no score." in made["verdict"]["sentences"]


def test_a_race_under_way():
    assert headline(plan=make_plan("sgd")) == "No trial has finished yet."
    found = board(make_plan("adamw", "sgd"), [*search("adamw", 0.6, 0.9, 0.96, 0.5, None)], expected=20)
    assert found["verdict"]["headline"].startswith("Not finished: AdamW lr 0.01 cosine leads the search with 0.96")
    assert not found["complete"] and found["trials_expected"] == 20
    assert headline(WINNER, SECOND, expected=30).startswith("So far AdamW lr 0.01 cosine beats SGD")
    short = [record("sgd", 0.1, 0, "rung-1", 0.5, epochs=1)]
    assert headline(short) == "Not finished: no trial of full length has ended yet."


def test_ties():
    twin = [{**r, "trial": {**r["trial"], "optimizer": "adam"}} for r in WINNER]
    made = board(make_plan("adam", "adamw"), [*WINNER, *twin])
    assert made["verdict"]["headline"] == (
        "Adam lr 0.01 cosine is first with 0.955 ± 0.010, but beats none beyond doubt; Adam against AdamW is "
        "undecided, with the same score on every seed."
    )


def test_coarse_scores_without_spread_are_not_sure():
    records = []
    for name, found in (("adam", 0.9), ("sgd", 0.89)):
        records += search(name, 0.5, 0.5, 0.6, 0.5, 0.5)
        records += [
            record(name, 1e-2, 1000 + i, "confirm", 0.9, found) | {"validation_loss": 0.1 + i / 100} for i in range(5)
        ]
    made = board(make_plan("adam", "sgd"), records)
    assert made["comparisons"][0]["p"] == 2**-4 and not made["comparisons"][0]["decided"]
    assert "with the same difference on all 5 seeds" in made["verdict"]["headline"]
    assert [row["score"]["low"] for row in made["rows"]] == [None, None]
    assert made["verdict"]["headline"].startswith("Adam lr 0.01 cosine is first with 0.9, but")


def test_many_undecided_pairs_share_a_sentence():
    def twin(name, shift):
        moved = [{**r, "trial": {**r["trial"], "optimizer": name}} for r in NEAR]
        return [{**r, "test_metric": r["test_metric"] and r["test_metric"] - shift} for r in moved]

    records = [*WINNER, *NEAR, *twin("adam", 1e-3), *twin("nag", 2e-3)]
    said = board(make_plan("adamw", "momentum", "adam", "nag"), records)["verdict"]["sentences"]
    (sentence,) = [s for s in said if "undecided" in s]
    assert sentence.startswith("AdamW is undecided against Momentum (0.004 ± 0.006, p = ")
    assert " more seeds), Adam (0.005 ± 0.006, p = " in sentence and " and NAG (0.006 ± 0.006, p = " in sentence
    others = ("radam", "nadam", "adamax", "lion", "yogi")
    records += [r for i, name in enumerate(others) for r in twin(name, 2e-3 + 1e-5 * i)]
    said = board(make_plan("adamw", "momentum", "adam", "nag", *others), records)["verdict"]["sentences"]
    (sentence,) = [s for s in said if "undecided" in s]
    assert sentence.endswith(" and 2 others.") and sentence.count("p = ") == 6


def test_seeds_that_were_added_after_a_look_cost_a_part_of_their_worth():
    plan, records = make_plan("adamw", "sgd", "momentum"), WINNER + SECOND + NEAR
    once, more = board(plan, records), [{"decision": "seeds", "more": 2}]
    for looks, decisions in ((2, more), (3, more * 2)):
        made = board(plan, records, decisions)
        for a, b in zip(once["comparisons"], made["comparisons"]):
            assert b["p"] == a["p"] and b["p_adjusted"] == pytest.approx(min(1.0, looks * a["p_adjusted"]))
        assert any(f"multiplied by {looks}" in note for note in made["notes"])
    assert not any("multiplied" in note for note in once["notes"])


def test_warnings():
    edge = [*search("sgd", 0.95, 0.9, 0.8, 0.7, 0.6), *confirm("sgd", 1e-4, 0.9, None, 0.91, validation=0.9)]
    edge[-2] |= {"diverged": True, "test_metric": None}
    said = board(make_plan("sgd"), edge)["verdict"]["sentences"]
    assert "SGD's best learning rate, 1e-4, is near the lower end of its range: a better one may lie beyond it." in said
    assert "SGD diverged on 1 of 3 fresh seeds: its learning rate is too near the limit of stability." in said


def test_the_budget_decides():
    """One rule is good at every rate, the other better at a few: with few trials take the first."""
    even = [0.9 + 0.001 * (i % 5) for i in range(24)]
    sharp = [0.97 if i in (11, 12, 13) else 0.3 for i in range(24)]
    records = []
    for name, found in (("sgd", even), ("adamw", sharp)):
        records += [record(name, 10 ** (-4 + i / 6), 0, "search", f) for i, f in enumerate(found)]
        best = 10 ** (-4 + found.index(max(found)) / 6)
        records += confirm(name, best, *(max(found) + d for d in (-0.002, 0.003, 0.001, -0.001, 0.0)))
    made = board(make_plan("sgd", "adamw"), records)
    assert made["crossing"]["first"] == "sgd" and made["crossing"]["then"] == "adamw" and made["crossing"]["decided"]
    few, many = made["choices"]
    assert (few["optimizer"], few["from"], few["to"]) == ("sgd", 1, made["crossing"]["until"])
    assert (many["optimizer"], many["from"], many["to"]) == ("adamw", few["to"] + 1, 24)
    assert (few["ahead_of"], few["open"]) == (["adamw"], [])  # beyond doubt; with many trials nothing can be
    assert (many["ahead_of"], many["open"]) == ([], ["sgd"])
    assert few["score"] == pytest.approx(0.9, abs=0.02) and many["score"] == pytest.approx(0.97)
    (sentence,) = [s for s in made["verdict"]["sentences"] if s.startswith("With up to")]
    assert sentence.startswith(f"With up to {made['crossing']['until']} trials for the search choose SGD (0.9")
    assert sentence.endswith("with 24 AdamW.")
    # no such word where the curves of two much alike cross
    assert not any(s.startswith("With ") for s in board(make_plan("adamw", "momentum"), WINNER + NEAR)["verdict"])


def test_choices_by_the_budget_where_there_is_little_to_choose_from():
    assert board(make_plan("sgd"), SECOND)["choices"] == []
    same = [{**r, "trial": {**r["trial"], "optimizer": "adamw"}} for r in SECOND]
    for names in (("sgd", "adamw"), ("adamw", "sgd")):  # of equals the first, all along
        (one,) = board(make_plan(*names), SECOND + same)["choices"]
        assert (one["optimizer"], one["from"], one["to"], one["ahead_of"]) == (names[0], 1, 5, [])


def test_a_tolerance_takes_three_rates():
    few = [record("sgd", lr, 0, "search", f) for lr, f in ((1e-3, 0.9), (1e-2, 0.95))]
    assert by_name(board(make_plan("sgd"), few))["sgd"]["lr_tolerance"] is None
    more = [*few, record("sgd", 0.1, 0, "search", 0.7)]
    assert by_name(board(make_plan("sgd"), more))["sgd"]["lr_tolerance"]["decades"] > 0


@pytest.mark.parametrize(
    "value, error, text",
    [
        (0.97412, 0.00612, "0.974 ± 0.006"), (0.97412, 0.0123, "0.974 ± 0.012"), (12.3, 4.2, "12 ± 4"),
        (0.5, 0.0, "0.5 ± 0"), (0.12345, None, "0.1235"), (1234.5, 25.0, "1234 ± 25"), (0.1, 0.0096, "0.100 ± 0.010"),
        (2.5, 1.04, "2.5 ± 1.0"),
    ],
)  # fmt: skip
def test_values_are_told_to_the_digits_of_their_errors(value, error, text):
    assert around(value, error) == text


@pytest.mark.parametrize(
    "value, text", [(1.2e-3, "1.2e-3"), (1e-4, "1e-4"), (0.0512, "0.051"), (0.316, "0.316"), (3.0, "3"), (0.01, "0.01")]
)
def test_rates(value, text):
    assert rate(value) == text


@pytest.mark.parametrize(
    "seconds, text",
    [(0.2, "less than a second"), (1, "1 second"), (40, "40 seconds"), (660, "11 minutes"), (8280, "2.3 hours")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_verdict_follows_from_the_board_alone():
    made = board(make_plan("adamw", "sgd", "momentum"), WINNER + SECOND + NEAR)
    saved = json.loads(json.dumps(made))
    assert verdict({k: v for k, v in saved.items() if k != "verdict"}) == made["verdict"]


# ---- several tasks


def a_board(task, **times):
    """A board with these steps to the target by optimizer and seed."""
    runs = {
        name: {"steps": steps, "seconds": [None if s is None else s / 10 for s in steps]}
        for name, steps in times.items()
    }
    rows = [{"optimizer": name} for name in times]
    return {"task": task, "rows": rows, "target": {"score": 0.9, "runs": runs}}


BOARDS = [
    a_board("a", adam=[100, 110, 90], sgd=[200, 210, 190], lion=[150, 150, 150]),
    a_board("b", adam=[100, 100, 100], sgd=[50, 60, 40], lion=[None, None, 90]),
    a_board("c", adam=[10, 10, 10], sgd=[50, 50, 50], lion=[20, 20, 20]),
]


def test_profiles_and_scores_by_hand():
    made = aggregate(BOARDS)
    found = made["clocks"]["steps"]
    assert found["medians"] == {"adam": [100, 100, 10], "sgd": [200, 50, 50], "lion": [150, None, 20]}
    at = dict(
        zip((round(tau, 2) for tau in made["taus"]), zip(*(found["profiles"][n] for n in ("adam", "sgd", "lion"))))
    )
    assert at[1.0] == pytest.approx((2 / 3, 1 / 3, 0))
    assert at[1.5] == pytest.approx((2 / 3, 1 / 3, 1 / 3))
    assert at[2.0] == pytest.approx((1, 2 / 3, 2 / 3))
    assert at[4.0] == pytest.approx((1, 2 / 3, 2 / 3))
    scores = {name: score["value"] for name, score in found["scores"].items()}
    assert scores == pytest.approx(
        {"adam": (1 + 2 / 3 + 1) / 3, "sgd": (2 / 3 + 1 + 0) / 3, "lion": (2.5 / 3 + 2 / 3) / 3}
    )
    # the score is the integral of the profile
    step = made["taus"][1] - made["taus"][0]
    for name, profile in found["profiles"].items():
        assert sum(profile[:-1]) * step / 3 == pytest.approx(scores[name], abs=0.02)
    assert found["order"] == ["adam", "sgd", "lion"]
    assert found["reference"] == "adam"
    assert found["speedups"]["sgd"]["value"] == pytest.approx((0.5 * 2 * 0.2) ** (1 / 3))
    assert found["speedups"]["lion"] == {
        "value": pytest.approx((1 / 1.5 * 0.5) ** 0.5), "tasks": 2,
        "low": found["speedups"]["lion"]["low"], "high": found["speedups"]["lion"]["high"],
    }  # fmt: skip
    for name, score in found["scores"].items():
        assert 0 <= score["low"] <= scores[name] <= score["high"] <= 1
        speed = found["speedups"][name]
        assert speed["low"] <= speed["value"] <= speed["high"]
        band = found["bands"][name]
        assert len(band["low"]) == len(made["taus"]) == len(band["high"])
        assert all(0 <= a <= at <= b <= 1 for a, at, b in zip(band["low"], found["profiles"][name], band["high"]))
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert aggregate(BOARDS[::-1]) == made


def test_an_order_that_hangs_on_who_races():
    # beside Adam's times on two tasks both others are late; without them it is seen that one of the two is later
    boards = [
        a_board("x", adam=[10], sgd=[60], lion=[39]),
        a_board("y", adam=[10], sgd=[60], lion=[39]),
        a_board("z", adam=[100], sgd=[10], lion=[14]),
    ]
    found = aggregate(boards)["clocks"]["steps"]
    assert found["order"] == ["adam", "sgd", "lion"]
    assert {w["dropped"]: w["reversed"] for w in found["without"]} == {"adam": [["sgd", "lion"]], "lion": [], "sgd": []}
    assert "Without Adam Lion would be ahead of SGD: their order hangs on who races." in aggregate(boards)["sentences"]
    assert "Dropping any one competitor leaves the order of the others as it is." in aggregate(BOARDS)["sentences"]


def test_aggregates_of_little():
    one = aggregate(BOARDS[:1])
    assert one["clocks"]["steps"]["scores"]["adam"] == {"value": 1.0, "low": None, "high": None}
    assert set(one["clocks"]["steps"]["bands"]["adam"]["low"]) == {None}
    assert "One task says nothing about others: race on several." in one["sentences"]
    nothing = aggregate([{"task": "a", "rows": [{"optimizer": "adam"}], "target": None}])
    assert nothing["clocks"] == {} and nothing["left_out"] == ["a"]
    assert aggregate([BOARDS[0], a_board("b", nag=[3])])["optimizers"] == []
    nobody = aggregate([*BOARDS, a_board("d", adam=[None], sgd=[None], lion=[None])])
    assert nobody["clocks"]["steps"]["scores"]["adam"]["value"] == pytest.approx((1 + 2 / 3 + 1) / 4)


def test_real_boards_aggregate():
    made = [board(make_plan("adamw", "sgd", task=task), WINNER + SECOND) for task in ("a", "b")]
    found = aggregate(made)
    assert found["first"] == {"adamw": 2, "sgd": 0}
    assert found["sentences"][0].startswith("Over 2 tasks, by steps to the target, ")
