"""Schedules against torch's schedulers and the papers, and the promises that all of them make."""

import copy
import itertools
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as peer

from downslope import schedules
from downslope.errors import SettingError, StateError
from downslope.schedules import (
    Plateau,
    Schedule,
    as_lambda,
    by,
    chain,
    constant,
    cosine,
    cosine_restarts,
    exponential,
    inverse_sqrt,
    linear,
    multistep,
    one_cycle,
    one_cycle_momentum,
    plateau,
    polynomial,
    step,
    warmup,
    wsd,
)

LR = 0.1


def halving(n):
    return 0.05 * 0.5 ** (n // 7)


def optimizer(lr=LR, **kwargs):
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, **kwargs)


def course(opt, scheduler, steps, key="lr"):
    """The values that torch's scheduler gives to `steps` optimizer steps."""
    values = []
    for _ in range(steps):
        values.append(float(opt.param_groups[0][key]))
        opt.step()
        scheduler.step()
    return values


def sequence(opt, milestones, *makers):
    return peer.SequentialLR(opt, [make(opt) for make in makers], milestones=milestones)


def once(opt):
    return peer.ConstantLR(opt, factor=1.0, total_iters=0)


# name -> (schedule, torch's scheduler, steps to compare)
TORCH = {
    "ConstantLR": (
        constant(LR / 4).then(constant(LR), at=5),
        lambda opt: peer.ConstantLR(opt, factor=0.25, total_iters=5),
        20,
    ),
    "StepLR": (step(LR, step_size=7, gamma=0.3), lambda opt: peer.StepLR(opt, 7, gamma=0.3), 60),
    "StepLR default": (step(LR, step_size=1), lambda opt: peer.StepLR(opt, 1), 12),
    "MultiStepLR": (
        multistep(LR, milestones=[3, 4, 40], gamma=0.5),
        lambda opt: peer.MultiStepLR(opt, [3, 4, 40], gamma=0.5),
        60,
    ),
    "MultiStepLR default": (multistep(LR, milestones=[1, 9]), lambda opt: peer.MultiStepLR(opt, [1, 9]), 20),
    "ExponentialLR": (exponential(LR, gamma=0.97), lambda opt: peer.ExponentialLR(opt, 0.97), 300),
    "ExponentialLR up": (exponential(LR, gamma=1.1), lambda opt: peer.ExponentialLR(opt, 1.1), 100),
    "CosineAnnealingLR": (cosine(LR, steps=50, final=0.01), lambda opt: peer.CosineAnnealingLR(opt, 50, 0.01), 51),
    "CosineAnnealingLR up": (cosine(LR, steps=9, final=0.4), lambda opt: peer.CosineAnnealingLR(opt, 9, 0.4), 10),
    "CosineAnnealingWarmRestarts": (
        cosine_restarts(LR, period=7, multiply=2, final=0.01),
        lambda opt: peer.CosineAnnealingWarmRestarts(opt, 7, 2, 0.01),
        150,
    ),
    "CosineAnnealingWarmRestarts default": (
        cosine_restarts(LR, period=5),
        lambda opt: peer.CosineAnnealingWarmRestarts(opt, 5),
        31,
    ),
    "LinearLR": (linear(LR / 3, LR, steps=5), lambda opt: peer.LinearLR(opt), 12),
    "LinearLR down": (
        linear(LR * 0.9, LR * 0.2, steps=40),
        lambda opt: peer.LinearLR(opt, start_factor=0.9, end_factor=0.2, total_iters=40),
        60,
    ),
    "PolynomialLR": (polynomial(LR, steps=40, power=2.5), lambda opt: peer.PolynomialLR(opt, 40, 2.5), 60),
    "PolynomialLR default": (polynomial(LR, steps=5), lambda opt: peer.PolynomialLR(opt), 12),
    "LambdaLR": (
        by(halving),
        lambda opt: peer.LambdaLR(opt, lambda n: halving(n) / LR),
        40,
    ),
    "SequentialLR": (
        linear(LR / 10, LR, steps=8).then(cosine(LR, steps=30), at=8),
        lambda opt: sequence(
            opt,
            [8],
            lambda opt: peer.LinearLR(opt, start_factor=0.1, total_iters=8),
            lambda opt: peer.CosineAnnealingLR(opt, 30),
        ),
        38,
    ),
    "SequentialLR of three": (
        chain(constant(LR), 5, exponential(LR, gamma=0.9), 20, step(LR, step_size=4)),
        lambda opt: sequence(
            opt, [5, 20], once, lambda opt: peer.ExponentialLR(opt, 0.9), lambda opt: peer.StepLR(opt, 4)
        ),
        40,
    ),
    "warm-up by SequentialLR": (
        warmup(exponential(LR, gamma=0.9), 8, start_factor=0.1),
        lambda opt: sequence(
            opt,
            [8],
            lambda opt: peer.LinearLR(opt, start_factor=0.1, total_iters=8),
            lambda opt: peer.ExponentialLR(opt, 0.9),
        ),
        40,
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_equals_torch_step_by_step(name):
    schedule, scheduler, steps = TORCH[name]
    opt = optimizer()
    with_torch = course(opt, scheduler(opt), steps)
    # torch multiplies step after step, and so gathers rounding; the cosine's recursion divides by what nears 0
    loose = 1e-9 if "Cosine" in name or name == "SequentialLR" else 1e-12
    assert [schedule(n) for n in range(steps)] == pytest.approx(with_torch, rel=loose, abs=1e-17)


@pytest.mark.parametrize("name", ["CosineAnnealingLR", "CosineAnnealingLR up", "LinearLR down", "PolynomialLR"])
def test_equals_torch_closed_form(name):
    schedule, scheduler, _ = TORCH[name]
    opt = optimizer()
    made = scheduler(opt)
    for n in range(made.state_dict().get("T_max", 60) + 1):
        made.last_epoch = n
        assert schedule(n) == pytest.approx(made._get_closed_form_lr()[0], rel=1e-13, abs=1e-17)


@pytest.mark.parametrize("steps", [1, 2, 5, 20, 101])
@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize(("pct_start", "three_phase"), [(0.3, False), (0.0, False), (0.9, False), (0.4, True)])
def test_one_cycle_equals_torch_in_lr_and_momentum(steps, strategy, pct_start, three_phase):
    shape = {"pct_start": pct_start, "anneal_strategy": strategy, "three_phase": three_phase}
    lr = one_cycle(LR, steps=steps, div_factor=10, final_div_factor=100, **shape)
    momentum = one_cycle_momentum(0.8, 0.93, steps=steps, **shape)
    options = {"div_factor": 10, "final_div_factor": 100, "base_momentum": 0.8, "max_momentum": 0.93}
    for key, schedule in {"lr": lr, "momentum": momentum}.items():
        opt = optimizer(momentum=0.9)
        made = peer.OneCycleLR(opt, LR, total_steps=steps, **shape, **options)
        with_torch = [*course(opt, made, steps - 1, key), opt.param_groups[0][key]]
        assert [schedule(n) for n in range(steps)] == pytest.approx(with_torch, rel=1e-12)
        assert schedule(steps + 50) == schedule(steps - 1)


def test_one_cycle_has_torchs_defaults():
    for key, schedule in {"lr": one_cycle(LR, steps=40), "momentum": one_cycle_momentum(steps=40)}.items():
        opt = optimizer(momentum=0.9)
        with_torch = course(opt, peer.OneCycleLR(opt, LR, total_steps=40), 40, key)
        assert [schedule(n) for n in range(40)] == pytest.approx(with_torch, rel=1e-12)


def test_one_cycle_with_a_phase_of_no_length_starts_at_the_peak():
    schedule = one_cycle(LR, steps=5, pct_start=0.2)
    assert schedule(0) == LR
    assert schedule(4) == pytest.approx(LR / 25 / 1e4)
    assert one_cycle(LR, steps=4, pct_start=1.0)(9) == LR  # holds what it has at the last step


# ---- reduce on plateau

METRICS = {
    "falling": [1 / n for n in range(1, 60)],
    "stuck": [1.0] * 60,
    "noisy": [math.sin(n * n) + 2 for n in range(200)],
    "negative": [-abs(math.cos(n)) for n in range(100)],
    "nan and inf": [1.0, math.nan, math.inf, 0.5, -math.inf, 0.1, 0.1, math.nan] * 8,
    "barely better": [1 - 1e-5 * n for n in range(80)],
}
PLATEAU = [
    {},
    {"patience": 0},
    {"patience": 2, "factor": 0.5, "cooldown": 3},
    {"patience": 1, "min": 0.02, "factor": 0.3},
    {"patience": 1, "eps": 0.01, "factor": 0.5},
    {"patience": 3, "threshold": 0.1, "threshold_mode": "abs"},
    {"patience": 3, "threshold": 0.2},
]


@pytest.mark.parametrize("metrics", METRICS)
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("options", PLATEAU, ids=str)
def test_plateau_equals_torch_decision_for_decision(metrics, mode, options):
    ours = plateau(LR, mode=mode, **options)
    opt = optimizer()
    renamed = {"min_lr" if key == "min" else key: value for key, value in options.items()}
    theirs = peer.ReduceLROnPlateau(opt, mode=mode, **renamed)
    for n, metric in enumerate(METRICS[metrics]):
        assert ours(n) == opt.param_groups[0]["lr"]
        ours.update(metric)
        theirs.step(metric)
        state = ours.state_dict()
        assert state == {"value": opt.param_groups[0]["lr"]} | {
            key: theirs.state_dict()[key] for key in ("best", "num_bad_epochs", "cooldown_counter")
        }


def test_plateau_does_reduce():
    ours = plateau(LR, patience=0)
    for _ in range(3):
        ours.update(torch.tensor(1.0))
    assert ours(0) == pytest.approx(LR * 0.1**2)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("made", [plateau(LR, patience=1), warmup(plateau(LR, patience=1), 5)], ids=repr)
def test_plateau_copies_and_checkpoints_go_on_alike_and_apart(made, copied):
    metrics = METRICS["noisy"]
    ours = copy.deepcopy(made)
    for metric in metrics[:7]:
        ours.update(metric)
    twin, loaded = copied(ours), copy.deepcopy(made)
    saved = ours.state_dict()
    loaded.load_state_dict(saved)
    assert twin == loaded == ours != made
    for metric in metrics[7:]:
        twin.update(metric)
    assert ours.state_dict() == saved != twin.state_dict()
    for metric in metrics[7:]:
        loaded.update(metric)
        ours.update(metric)
    assert twin == loaded == ours
    assert saved != ours.state_dict()  # a state dict is a copy
    assert [twin(n) for n in range(9)] == [ours(n) for n in range(9)]


def test_plateau_after_other_schedules():
    rise = linear(0.0, LR, steps=5)
    last = plateau(LR, patience=0)
    whole = rise.then(last, at=5)
    assert isinstance(whole, Plateau)
    for _ in range(2):
        whole.update(1.0)
    assert [whole(n) for n in range(7)] == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.01, 0.01])
    assert last(9) == LR  # the chain has its own copy
    longer = chain(constant(0.5), 3, chain(rise, 5, last))
    assert longer == chain(constant(0.5), 3, rise, 8, last)
    assert [longer(n) for n in range(9)] == pytest.approx([0.5] * 3 + [0, 0.02, 0.04, 0.06, 0.08, 0.1])
    assert eval(repr(longer)) == longer


def test_warmed_up_plateau():
    whole = warmup(plateau(0.6), 5)
    assert [whole(n) for n in range(8)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6, 0.6])
    assert [warmup(plateau(0.6), 0)(n) for n in range(2)] == [0.6, 0.6]
    assert warmup(plateau(0.6), 4, start_factor=0.5)(0) == pytest.approx(0.3)


# ---- promises of all schedules

SCHEDULES = {
    **{name: schedule for name, (schedule, _, _) in TORCH.items()},
    "constant, warmed": constant(LR, warmup=10),
    "step, warmed": step(LR, step_size=20, warmup=10),
    "multistep, warmed": multistep(LR, milestones=(20, 30), warmup=20),
    "multistep of none": multistep(LR, milestones=()),
    "exponential, warmed": exponential(LR, gamma=0.9, warmup=10),
    "linear, warmed": linear(LR, 0.0, steps=50, warmup=10),
    "polynomial, warmed": polynomial(LR, steps=50, power=2, final=0.01, warmup=10),
    "cosine, warmed": cosine(LR, steps=50, warmup=10),
    "cosine_restarts, warmed": cosine_restarts(LR, period=20, warmup=10),
    "inverse_sqrt": inverse_sqrt(LR, warmup=10),
    "wsd": wsd(LR, steps=50, decay=20),
    **{
        f"wsd {shape}": wsd(LR, steps=50, decay=20, warmup=10, final=0.01, shape=shape)
        for shape in ("linear", "cosine", "sqrt", "exponential")
    },
    "one_cycle": one_cycle(LR, steps=50),
    "one_cycle in three": one_cycle(LR, steps=50, pct_start=0.4, anneal_strategy="linear", three_phase=True),
    "one_cycle_momentum": one_cycle_momentum(steps=50, three_phase=True),
    "momentum": linear(0.5, 0.99, steps=50),
    "negative": cosine(-1, steps=50, final=-2),
    "warmup": warmup(cosine(LR, steps=50), 10),
    "warmup of a warm-up": warmup(warmup(by(halving), 10), 10, start_factor=0),
    "nested": chain(chain(constant(1), 3, constant(2)), 2, warmup(wsd(1, steps=9, decay=2), 5)),
}
each = pytest.mark.parametrize("schedule", [pytest.param(s, id=name) for name, s in SCHEDULES.items()])


def test_the_table_holds_every_kind():
    makers = set(schedules.__all__) - {"Plateau", "Schedule", "as_lambda", "plateau"}
    assert {schedule.kind for schedule in SCHEDULES.values()} == makers


@each
def test_repr_is_the_call_that_makes_it(schedule):
    again = eval(repr(schedule))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert [again(n) for n in range(99)] == [schedule(n) for n in range(99)]


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (cosine(1e-3, steps=10_000, warmup=500), "cosine(0.001, steps=10000, warmup=500)"),
        (linear(0.5, 0.99, steps=1e3), "linear(0.5, 0.99, steps=1000)"),
        (constant(1).then(by(halving), at=5), "chain(constant(1.0), 5, by(halving))"),
        (plateau(0.1, mode="max", patience=3), "plateau(0.1, patience=3, mode='max')"),
        (multistep(1, milestones=[3, 5]), "multistep(1.0, milestones=(3, 5))"),
    ],
)
def test_repr(schedule, text):
    assert repr(schedule) == text


@each
def test_copies_are_equal_and_constant(schedule):
    for twin in (copy.copy(schedule), copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert twin == schedule
        assert [twin(n) for n in range(99)] == [schedule(n) for n in range(99)]
    with pytest.raises(AttributeError):
        schedule.kind = "other"


def test_different_arguments_are_different_schedules():
    assert len(set(SCHEDULES.values())) == len(SCHEDULES)
    assert cosine(1, steps=5) == cosine(1.0, steps=5, final=0, warmup=0) != cosine(1, steps=6)
    assert constant(0.5) != by(halving)


@each
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_value_is_finite_and_depends_on_the_step_alone(schedule, data):
    visited = data.draw(st.lists(st.integers(0, 7000), min_size=2, max_size=20))
    fresh = pickle.loads(pickle.dumps(schedule))
    limit = 7000 if "gamma=1.1" not in repr(schedule) else 700
    visited = [n % limit for n in visited]
    values = {n: schedule(n) for n in visited}
    for n in reversed(visited):
        assert type(values[n]) is float
        assert math.isfinite(values[n])
        assert schedule(n) == values[n] == fresh(n)


ENDS = {
    "linear": (linear(LR, 0.03, steps=50, warmup=5), 50, 0.03),
    "polynomial": (polynomial(LR, steps=50, final=0.03), 50, 0.03),
    "cosine": (cosine(LR, steps=50, final=0.03, warmup=5), 50, 0.03),
    **{
        f"wsd {shape}": (wsd(LR, steps=50, decay=20, final=0.03, shape=shape), 50, 0.03)
        for shape in ("linear", "cosine", "sqrt", "exponential")
    },
    "multistep": (multistep(LR, milestones=[50], gamma=0.5), 50, LR / 2),
    "one_cycle": (one_cycle(LR, steps=51, div_factor=1, final_div_factor=2), 50, LR / 2),
    "one_cycle_momentum": (one_cycle_momentum(0.8, 0.9, steps=51), 50, 0.9),
    "chain": (chain(constant(1), 20, cosine(LR, steps=30)), 50, 0.0),
    "warmup": (warmup(cosine(LR, steps=30), 20), 50, 0.0),
}


@pytest.mark.parametrize("name", ENDS)
def test_past_its_end_it_holds_its_last_value(name):
    schedule, end, final = ENDS[name]
    assert [schedule(n) for n in (end, end + 1, 2 * end, 10**9)] == [final] * 4
    assert schedule(end - 1) != final


# ---- the maths that torch has not


@pytest.mark.parametrize(
    ("schedule", "peak", "after"),
    [
        (constant(LR, warmup=4), LR, constant(LR)),
        (cosine(LR, steps=30, warmup=4), LR, cosine(LR, steps=26)),
        (linear(LR, 0.0, steps=30, warmup=4), LR, linear(LR, 0.0, steps=26)),
        (polynomial(LR, steps=30, power=2, warmup=4), LR, polynomial(LR, steps=26, power=2)),
        (exponential(LR, gamma=0.9, warmup=4), LR, exponential(LR, gamma=0.9)),
        (cosine_restarts(LR, period=7, multiply=2, warmup=4), LR, cosine_restarts(LR, period=7, multiply=2)),
        (wsd(LR, steps=30, decay=9, warmup=4), LR, wsd(LR, steps=26, decay=9)),
        (step(LR, step_size=5, warmup=4), LR, by(lambda n: LR * 0.1 ** ((n + 4) // 5))),
        (multistep(LR, milestones=[5], warmup=4), LR, by(lambda n: LR if n < 1 else LR * 0.1)),
    ],
    ids=repr,
)
def test_warm_up_by_keyword(schedule, peak, after):
    assert [schedule(n) for n in range(5)] == pytest.approx([peak * (n + 1) / 5 for n in range(5)])
    whole = warmup(after, 4)
    assert [schedule(n) for n in range(50)] == pytest.approx([whole(n) for n in range(50)])


@given(
    first=st.sampled_from(list(SCHEDULES.values())),
    second=st.sampled_from(list(SCHEDULES.values())),
    at=st.integers(0, 200),
    past=st.integers(0, 200),
)
def test_a_chain_is_its_parts(first, second, at, past):
    whole = first.then(second, at=at)
    assert whole(at + past) == second(past)
    if at:
        before = past % at
        assert whole(before) == first(before)


@given(schedule=st.sampled_from(list(SCHEDULES.values())), steps=st.integers(1, 300), factor=st.floats(0, 1))
def test_a_warm_up_has_no_jump_at_its_joint(schedule, steps, factor):
    whole = warmup(schedule, steps, start_factor=factor)
    peak, rise = schedule(0), schedule(0) * (1 - factor) / steps
    assert whole(steps) == peak
    assert whole(0) == pytest.approx(factor * peak)
    for n in range(min(steps, 20)):
        assert whole(steps - n) - whole(steps - n - 1) == pytest.approx(rise, abs=1e-12)


@given(value=st.floats(1e-6, 10), final=st.floats(0, 10), steps=st.integers(1, 500))
def test_chained_ends_meet(value, final, steps):
    for first in (linear(value, final, steps=steps), cosine(value, final=final, steps=steps)):
        whole = first.then(cosine(final, steps=10), at=steps)
        assert whole(steps) == first(steps) == final
        assert first(0) == value
        biggest = math.pi / 2 * abs(value - final) / steps  # the steepest slope of the cosine
        jumps = [abs(first(n + 1) - first(n)) for n in range(steps)]
        assert max(jumps) <= biggest * (1 + 1e-9) + 1e-14


def test_then_makes_one_flat_chain():
    a, b, c = constant(1), constant(2), constant(3)
    assert a.then(b, at=5).then(c, at=9) == chain(a, 5, b, 9, c)
    cut = a.then(b, at=5).then(c, at=3)  # before the joint: the second never runs
    assert [cut(n) for n in range(7)] == [1, 1, 1, 3, 3, 3, 3]
    assert chain(a, 0, b)(0) == 2


def test_inverse_sqrt_is_the_papers():
    d_model, warm = 512, 4000
    ours = inverse_sqrt((d_model * warm) ** -0.5, warmup=warm)
    for n in (0, 1, 10, 3998, 3999, 4000, 4001, 100_000):
        t = n + 1
        assert ours(n) == pytest.approx(d_model**-0.5 * min(t**-0.5, t * warm**-1.5), rel=1e-12)


def test_wsd_is_the_papers():
    warm, stable, end, half_life = 10, 60, 90, 8.0
    final = LR * 0.5 ** ((end - stable) / half_life)
    ours = wsd(LR, steps=end, decay=end - stable, warmup=warm, final=final, shape="exponential")
    for n in range(warm, end + 1):
        expected = LR if n < stable else LR * 0.5 ** ((n - stable) / half_life)
        assert ours(n) == pytest.approx(expected, rel=1e-12)


def test_wsd_shapes():
    x = 0.25
    expected = {"linear": 1 - x, "cosine": (1 + math.cos(math.pi * x)) / 2, "sqrt": 1 - math.sqrt(x)}
    for shape, left in expected.items():
        assert wsd(1, steps=100, decay=40, shape=shape)(70) == pytest.approx(left)
    assert wsd(1, steps=100, decay=40, shape="exponential", final=1e-4)(70) == pytest.approx(0.1)


def test_momentum_rises():
    values = [linear(0.5, 0.99, steps=1000)(n) for n in range(1100)]
    assert values[0] == 0.5
    assert values[1000:] == [0.99] * 100
    assert all(a < b for a, b in itertools.pairwise(values[:1001]))


# ---- with torch's optimizers


@each
def test_in_torchs_lambda_lr(schedule):
    opt = optimizer(lr=0.3)
    values = course(opt, peer.LambdaLR(opt, pickle.loads(pickle.dumps(as_lambda(schedule, lr=0.3)))), 60)
    assert values == pytest.approx([schedule(n) for n in range(60)], rel=1e-15, abs=0)


def test_torchs_lambda_lr_resumes():
    schedule = cosine(LR, steps=40, warmup=5)
    opt = optimizer()
    made = peer.LambdaLR(opt, as_lambda(schedule, lr=LR))
    course(opt, made, 17)
    saved, saved_optimizer = made.state_dict(), opt.state_dict()
    opt = optimizer()
    made = peer.LambdaLR(opt, as_lambda(schedule, lr=LR))
    opt.load_state_dict(saved_optimizer)
    made.load_state_dict(saved)
    assert course(opt, made, 30) == pytest.approx([schedule(17 + n) for n in range(30)], rel=1e-15)


def test_plateau_in_torchs_lambda_lr():
    schedule = warmup(plateau(LR, patience=0), 3)
    opt = optimizer()
    made = peer.LambdaLR(opt, as_lambda(schedule, lr=LR))
    values = []
    for _ in range(6):
        values.append(opt.param_groups[0]["lr"])
        opt.step()
        schedule.update(1.0)
        made.step()
    assert values == pytest.approx([LR / 4, LR / 2, LR * 3 / 4, LR * 0.01, LR * 1e-3, LR * 1e-4])


def test_a_schedule_itself_in_torchs_lambda_lr():
    schedule = cosine(LR, steps=40, warmup=5)
    opt = optimizer(lr=1.0)
    assert course(opt, peer.LambdaLR(opt, schedule), 50) == [schedule(n) for n in range(50)]


# ---- bad input

a = constant(1.0)
BAD = [
    (lambda: constant("high"), "constant: value='high' is not a number; give"),
    (lambda: constant(None), "value=None is not a number"),
    (lambda: constant(True), "value=True is not a number"),
    (lambda: constant(a), r"value=constant\(1.0\) is not a number"),
    (lambda: constant(torch.tensor(0.1)), r"value=tensor\(0.1000\) is not a number"),
    (lambda: constant(math.nan), "value=nan is not finite"),
    (lambda: constant(10**400), "value=inf is not finite"),
    (lambda: linear(0, math.inf, steps=5), "linear: final=inf is not finite"),
    (lambda: cosine(1, steps=-5), "cosine: steps=-5 is no count; give a whole number of at least 1"),
    (lambda: cosine(1, steps=0), "steps=0 is no count"),
    (lambda: cosine(1, steps=2.5), "steps=2.5 is no count"),
    (lambda: cosine(1, steps="9"), "steps='9' is no count"),
    (lambda: cosine(1, steps=True), "steps=True is no count"),
    (lambda: cosine(1, steps=9, warmup=-1), "warmup=-1 is no count; give a whole number of at least 0"),
    (lambda: cosine(1, steps=9, warmup=10), "cosine: warmup=10 leaves nothing of steps=9.* give fewer"),
    (lambda: linear(1, 0, steps=9, warmup=9), "linear: warmup=9 leaves nothing of steps=9"),
    (lambda: polynomial(1, steps=9, power=0), "polynomial: power=0 is out of range; give a number above 0"),
    (lambda: step(1, step_size=0), "step: step_size=0 is no count"),
    (lambda: step(1, step_size=5, warmup=6), "step: warmup=6 goes beyond the first drop at step 5; end it"),
    (lambda: multistep(1, milestones=[5, 5]), r"milestones=\[5, 5\] does not increase; give each step once"),
    (lambda: multistep(1, milestones=[9, 5]), r"milestones=\[9, 5\] does not increase"),
    (lambda: multistep(1, milestones=[0]), r"milestones\[0\]=0 is no count"),
    (lambda: multistep(1, milestones=30), "milestones=30 is no list of steps"),
    (lambda: multistep(1, milestones="30"), "milestones='30' is no list of steps"),
    (lambda: multistep(1, milestones=[5], warmup=6), "multistep: warmup=6 goes beyond the first drop"),
    (lambda: exponential(1, gamma=-0.5), "exponential: gamma=-0.5 is out of range; give a number above 0"),
    (lambda: exponential(1, gamma=2)(5000), r"exponential\(1.0, gamma=2.0\): is inf at step 5000; .*end it before"),
    (lambda: exponential(10.0, gamma=10)(308), "is inf at step 308"),
    (lambda: cosine_restarts(1, period=9, final=2), "cosine_restarts: final=2 is above the value 1 .*linear"),
    (lambda: cosine_restarts(1, period=9, multiply=0), "multiply=0 is no count"),
    (lambda: inverse_sqrt(1, warmup=0), "inverse_sqrt: warmup=0 leaves its decay without a scale; give at least 1"),
    (lambda: wsd(1, steps=9, decay=5, final=2), "wsd: final=2 is above the value 1"),
    (lambda: wsd(1, steps=9, decay=5, warmup=5), "wsd: warmup=5 and decay=5 exceed steps=9; shorten"),
    (lambda: wsd(1, steps=9, decay=10), "wsd: warmup=0 and decay=10 exceed steps=9"),
    (lambda: wsd(1, steps=9, decay=5, shape="exponential"), r"never gets to final=0.0; give a final above 0"),
    (lambda: wsd(1, steps=9, decay=5, shape="cosin"), "wsd: shape='cosin' is unknown; did you mean cosine"),
    (lambda: one_cycle(1, steps=9, pct_start=1.5), "pct_start=1.5 is out of range; give a number at least 0 and at"),
    (lambda: one_cycle(1, steps=9, pct_start=0.6, three_phase=True), "one_cycle: pct_start=0.6 leaves no third"),
    (lambda: one_cycle(1, steps=9, div_factor=0), "div_factor=0 is out of range"),
    (lambda: one_cycle(1, steps=9, three_phase=2), "three_phase=2 is neither True nor False"),
    (lambda: one_cycle(1, steps=9, anneal_strategy="sine"), "anneal_strategy='sine' is unknown"),
    (lambda: one_cycle_momentum(0.9, 0.8, steps=9), "base=0.9 is above max=0.8; give the smaller one first"),
    (lambda: plateau(0.1, factor=1), "plateau: factor=1 is out of range; give a number above 0 and below 1"),
    (lambda: plateau(0.1, min=0.2), "plateau: min=0.2 is above the value 0.1"),
    (lambda: plateau(0.1, mode="mean"), "plateau: mode='mean' is unknown"),
    (lambda: plateau(0.1, threshold_mode="real"), "threshold_mode='real' is unknown; did you mean rel"),
    (lambda: plateau(0.1, patience=-1), "patience=-1 is no count"),
    (lambda: plateau(0.1).update("bad"), "plateau: the metric 'bad' is no number; update with one"),
    (lambda: plateau(0.1).update(torch.zeros(2)), "is no number"),
    (lambda: plateau(0.1)(-1), r"plateau\(0.1\): step=-1 is no count"),
    (lambda: a(-1), r"constant\(1.0\): step=-1 is no count; give a whole number of at least 0"),
    (lambda: a(0.5), "step=0.5 is no count"),
    (lambda: a("now"), "step='now' is no count"),
    (lambda: chain(a), "chain: got 1 arguments; give schedules with a step between each two"),
    (lambda: chain(a, 5, a, 9), "chain: got 4 arguments"),
    (lambda: chain(a, 5, 0.1), r"chain: 0.1 is no schedule; write constant\(0.1\)"),
    (lambda: chain(a, 5, a, 5, a), r"chain: the joints \[5, 5\] do not increase; each is a step of the whole"),
    (lambda: a.then(a, at=-1), "chain: a joint=-1 is no count"),
    (lambda: chain(plateau(0.1), 5, a), r"chain: nothing can follow plateau\(0.1\).* put it last"),
    (lambda: warmup(0.1, 500), "warmup: 0.1 is no schedule; give one"),
    (lambda: warmup(a, -1), "warmup: steps=-1 is no count"),
    (lambda: warmup(a, 5, start_factor=2), "warmup: start_factor=2 is out of range"),
    (lambda: by(0.1), "by: function=0.1 cannot be called; give a function of the step"),
    (lambda: by(lambda n: "x")(3), r"by: .*<lambda>\(3\)='x' is not a number"),
    (lambda: by(lambda n: math.nan)(3), r"by: .*<lambda>\(3\)=nan is not finite"),
    (lambda: pickle.dumps(by(lambda n: 1.0)), r"by\(.*lambda>\): cannot be pickled.*define it with `def`"),
    (lambda: pickle.dumps(a.then(by(lambda n: 1.0), at=5)), "cannot be pickled"),
    (lambda: as_lambda(a, 0), "as_lambda: lr=0 cannot be scaled; make"),
    (lambda: as_lambda(0.1, 0.1), "as_lambda: 0.1 is no schedule"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_says_what_was_found_and_what_to_do(call, message):
    with pytest.raises(SettingError, match=message) as caught:
        call()
    assert ";" in str(caught.value)  # thing: found; what to do


@pytest.mark.parametrize("state", [{}, {"value": 1.0}, None, {"best": 1, 5: 2}])
def test_a_foreign_plateau_state_is_refused(state):
    made = plateau(0.1)
    with pytest.raises(StateError, match=r"plateau: the state has .*load a plateau's state_dict"):
        made.load_state_dict(state)
    assert made == plateau(0.1)


def test_lambdas_copy_though_they_do_not_pickle():
    made = by(lambda n: 1.0 / (n + 1)).then(constant(2.0), at=3)
    assert copy.deepcopy(made) == made
    assert [made(n) for n in range(4)] == [1, 1 / 2, 1 / 3, 2]


def test_public_names():
    assert sorted(schedules.__all__) == schedules.__all__
    for name in schedules.__all__:
        assert getattr(schedules, name).__doc__.count("\n") > 1, f"{name} has no docstring beyond a line"
    assert isinstance(constant(1), Schedule)
