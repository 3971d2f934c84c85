"""What is searched where: ranges, points, and what users ask for."""

import math

import pytest

from downslope.errors import SettingError
from downslope.optim import OPTIMIZERS, optimizer
from downslope.race import budget
from downslope.race.design import points
from downslope.race.dimension import Dimension
from downslope.race.ranges import FREE, TABLE
from downslope.race.search import wished, wishes
from downslope.race.spaces import by_trials, space_of
from downslope.race.trial import nested
from downslope.training import by_name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_has_a_space_that_it_takes_at_its_edges(name):
    import torch

    made = OPTIMIZERS[name]
    space = space_of(name, made)
    (rate,) = (d for d in space if d.name == "lr")
    decades = 2 if name in FREE else 4
    assert rate.scale == "log" and math.log10(rate.high / rate.low) == pytest.approx(decades, abs=1e-4)
    assert all(d.source for d in space) and len({d.name for d in space}) == len(space)
    for place in (0.0, 0.5, 1.0):
        settings = nested({d.name: d.at(place) for d in space if d.name != "schedule"}, made.setting_defaults)
        made([torch.nn.Parameter(torch.zeros(4, 4))], **settings)
    for d in space:
        assert d.choices or d.place(d.at(0.3)) == pytest.approx(0.3, abs=1e-3)


def test_every_optimizer_has_a_row_of_the_table_and_no_other_has():
    """Without one it would be searched around its default rate, as a rule of a user's own: write its row."""
    assert OPTIMIZERS.keys() - TABLE.keys() == set()
    assert TABLE.keys() - OPTIMIZERS.keys() == set() and TABLE.keys() >= FREE


def test_more_trials_search_more_settings():
    space = space_of("adam", OPTIMIZERS["adam"])
    names = [[d.name for d in by_trials(space, n)] for n in (9, 10, 24, 25)]
    assert names[0] == ["lr"] and names[1] == names[2] == ["lr", "betas[0]", "weight_decay"]
    assert names[3] == ["lr", "betas[0]", "weight_decay", "betas[1]", "eps"]


def test_a_users_own_rule_is_searched_around_its_defaults():
    @optimizer
    def rule(p, g, m=0, *, lr=0.02, beta=0.9, eps=1e-6, gain=2.0):
        m = beta * m + (1 - beta) * g
        return p - lr * gain * m / (m * m + eps), m

    space = {d.name: d for d in space_of("rule", rule)}
    assert (space["lr"].low, space["lr"].high) == pytest.approx((0.0002, 2.0))
    assert (space["beta"].low, space["beta"].high) == pytest.approx((0.5, 0.98))
    assert "gain" not in space and space["eps"].rank == 3

    @optimizer
    def adam(p, g, *, lr=1.0):
        return p - lr * g

    assert {d.name: d for d in space_of("adam", adam)}["lr"].high == pytest.approx(100)  # not that of the real Adam

    @optimizer
    def still(p, g, *, rate=0.1):
        return p - rate * g

    with pytest.raises(SettingError, match="still: has no default learning rate to look around"):
        space_of("still", still)


def test_points_start_at_the_middle_and_a_longer_sequence_begins_with_the_shorter():
    space = space_of("adam", OPTIMIZERS["adam"])
    some = points(space, 0, 0, 9)
    assert some[0] == {"lr": pytest.approx(10**-2.5, rel=1e-4)}
    assert points(space, 0, 0, 200)[:9] == some == points(space, 0, 0, 4) + points(space, 0, 4, 5)
    assert points(space, 1, 0, 9)[1:] != some[1:]
    assert all(float(f"{p['lr']:.6g}") == p["lr"] for p in some)


def test_points_fill_every_axis():
    space = space_of("momentum", OPTIMIZERS["momentum"])
    found = points(space, 0, 1, 64)
    for d in space:
        places = sorted(d.place(p[d.name]) for p in found)
        counts = [sum(i / 8 <= x < (i + 1) / 8 + (i == 7) for x in places) for i in range(8)]
        assert max(counts) - min(counts) <= 5, d.name  # 8 in each if even; random points have 15 and 2


def test_the_scales():
    momentum = Dimension("momentum", 0.9, 0.999, "one minus")
    assert [momentum.at(u) for u in (0, 0.5, 1)] == pytest.approx([0.9, 0.99, 0.999])
    width = Dimension("task.width", 4, 64, "log", whole=True)
    assert [width.at(u) for u in (0, 0.5, 1)] == [4, 16, 64] and isinstance(width.at(0.3), int)
    kind = Dimension("task.kind", scale="choices", choices=("a", "b"))
    assert [kind.at(u) for u in (0, 0.49, 0.5, 1)] == ["a", "a", "b", "b"]
    assert Dimension.from_json(kind.as_json()) == kind
    rate = Dimension("lr", 0.01, 1.0)
    assert (rate.beyond("low").low, rate.beyond("low").high, rate.beyond("high").high) == (0.001, 0.01, 10.0)


def asked(*words):
    classes = {name: OPTIMIZERS[name] for name in ("sgd", "adam")}
    spaces = {name: space_of(name, made) for name, made in classes.items()}
    found = wished(spaces, classes, by_name("spirals"), wishes(words[0] if isinstance(words[0], dict) else words))
    return {name: {d.name: d for d in space} for name, space in found.items()}


def test_what_is_asked_for_is_searched_whatever_the_number_of_trials():
    found = asked(
        "lr=1e-3:1e-1", "adam.eps=1e-9,1e-7", "betas[0]=0.8:0.95", "task.width=4:64:log", "sgd.momentum=0:0.9"
    )
    sgd, adam = found["sgd"], found["adam"]
    assert (sgd["lr"].low, adam["lr"].high, adam["lr"].scale, adam["lr"].rank) == (1e-3, 1e-1, "log", 0)
    assert adam["eps"].choices == (1e-9, 1e-7) and "eps" not in sgd
    assert adam["betas[0]"].scale == "one minus" and sgd["momentum"].scale == "linear"
    assert sgd["task.width"].whole and adam["task.width"].at(0.5) == 16
    same = asked({"lr": (1e-3, 1e-1), "adam.eps": [1e-9, 1e-7], "betas[0]": (0.8, 0.95),
                  "task.width": (4, 64, "log"), "sgd.momentum": (0, 0.9)})  # fmt: skip
    assert same == found


WRONG = {
    "lr": r"search 'lr': give NAME=LOW:HIGH",
    "lr=": r"search 'lr=': give",
    "lr=1:x": r"search lr: \(1, 'x'\) is no range",
    "lr=1:0.1": r"search lr: .* from a lower to a higher",
    "lr=0:1:log": r"a log scale cannot start at 0",
    "lr=1e-3:1:cubic": r"the scale 'cubic' is unknown; .*linear",
    "momentun=0.5:0.9": r"no optimizer of this race has it; did you mean momentum",
    "task.widht=1:2": r"spirals has no setting 'widht'; did you mean width",
    "betas[5]=0.5:0.9": r"no optimizer of this race has it",
    "adam.betas[0]=0.5:1.5": r"betas\[0\] is 1.5; it must be at least 0 and below 1",
}


@pytest.mark.parametrize("word", WRONG)
def test_what_cannot_be_searched_is_said(word):
    with pytest.raises(SettingError, match=WRONG[word]):
        asked(word)


# ---- budgets

READ = {
    "10m": ("seconds", 600), "1h30m": ("seconds", 5400), "90s": ("seconds", 90), "1.5 hours": ("seconds", 5400),
    "45 min": ("seconds", 2700), "60 trials": ("trials", 60), "1 trial": ("trials", 1), "300 epochs": ("epochs", 300),
}  # fmt: skip


@pytest.mark.parametrize("text", READ)
def test_a_budget_is_read(text):
    assert budget.read(text)[:2] == READ[text]


@pytest.mark.parametrize(
    "text", ["", "10", "ten minutes", "0 trials", "0m", "10 parsecs", "10ms", "-5m", "5 trials 3m"]
)
def test_what_is_no_budget_is_said(text):
    with pytest.raises(SettingError, match="give a time, trials or epochs, such as 10m"):
        budget.read(text)


def test_a_budget_is_shared_equally_and_a_third_of_it_confirms():
    assert budget.counted(budget.read("60 trials"), 3, 10, None) == (15, 5)
    assert budget.counted(budget.read("60 trials"), 3, 10, 8) == (12, 8)
    assert budget.counted(budget.read("300 epochs"), 3, 10, None) == (7, 3)
    assert budget.counted(budget.read("4 trials"), 2, 10, None) == (1, 1)


@pytest.mark.parametrize(
    "text, seeds, least",
    [("3 trials", None, "4 trials"), ("11 trials", 5, "12 trials"), ("39 epochs", None, "40 epochs")],
)
def test_too_small_a_budget_says_the_least_that_works(text, seeds, least):
    with pytest.raises(SettingError, match=rf"too small .* the least that works is '{least}'"):
        budget.counted(budget.read(text), 2, 10, seeds)
    assert budget.counted(budget.read(least), 2, 10, seeds)[0] == 1


def test_time_is_shared_equally_so_that_a_slow_optimizer_gets_fewer_trials():
    found = budget.timed(budget.read("100s"), {"sgd": 1.0, "lbfgs": 4.0}, 0.0, 2, None)
    assert found["trials"] == {"sgd": 85, "lbfgs": 17} and found["seeds"] == 5  # of 90 s each
    with pytest.raises(
        SettingError, match=r"a trial of lbfgs takes 4 s; the least that works is about '10s'"
    ) as caught:
        budget.timed(budget.read("2s"), {"sgd": 1.0, "lbfgs": 4.0}, 0.0, 2, None)
    least = str(caught.value).split("about '")[1].split("'")[0]
    assert budget.timed(budget.read(least), {"sgd": 1.0, "lbfgs": 4.0}, 0.0, 2, None)["trials"]["lbfgs"] >= 1


def test_rungs_cost_what_they_may():
    assert budget.rung_epochs(27) == (3, 9, 27) and budget.rung_epochs(5) == (1, 5)
    rungs = budget.rung_epochs(27)
    assert budget.cost(9, rungs) == 9 * 3 + 3 * 9 + 27
    for trials in (4, 11, 30):
        count = budget.first_points(trials, rungs)
        kept = trials - 2 * budget.kept_back(trials)
        assert budget.cost(count, rungs) <= kept * 27 < budget.cost(count + 1, rungs) and count > 2 * kept
    with pytest.raises(SettingError, match="a trial has 2 epochs, too few"):
        budget.rung_epochs(2)


def test_durations_read_back():
    assert [budget.duration(s) for s in (9.2, 60, 125, 3600, 5000)] == ["10s", "1m", "2m5s", "1h", "1h24m"]
