"""Checkpoints pass both ways between ours and torch's, find their parameters, and never half fit."""

from __future__ import annotations

import copy
import io
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch

from downslope import StateError
from downslope.optim import SGD, Adam, AdamW, NAdam
from downslope.schedules import chain, constant, cosine, plateau
from optim_cases import VARIANTS, Variant, assert_close, assert_same_bits, contents, parameters, take_steps

# The classes that torch has too, in each of their variants.
SHARED = {name: variant for name, variant in VARIANTS.items() if hasattr(torch.optim, variant[0].__name__)}
every_shared = pytest.mark.parametrize("variant", SHARED.values(), ids=SHARED)


def through_a_file(state_dict: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state_dict, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def trained(cls: type[torch.optim.Optimizer], settings: dict[str, Any], steps: int = 3) -> torch.optim.Optimizer:
    optimizer = cls(parameters(), **settings)
    take_steps(optimizer, 0, steps)
    return optimizer


def moved(from_: torch.optim.Optimizer, to: torch.optim.Optimizer) -> None:
    with torch.no_grad():
        for p, q in zip(from_.param_groups[0]["params"], to.param_groups[0]["params"]):
            q.copy_(p)
    to.load_state_dict(through_a_file(from_.state_dict()))


HOW = [
    pytest.param(variant, how, id=f"{name}-{next(iter(how), 'plain')}")
    for name, variant in SHARED.items()
    for how in ({}, {"foreach": True}, {"fused": True})
    if "fused" not in how or "fused" in variant[0].setting_defaults
]


@pytest.mark.parametrize(("variant", "how"), HOW)
@pytest.mark.parametrize("ours_first", [True, False], ids=["ours-to-torch", "torch-to-ours"])
def test_both_ways(variant: Variant, how: dict[str, Any], ours_first: bool) -> None:
    cls, settings = variant
    theirs_cls = getattr(torch.optim, cls.__name__)
    first, second = (cls, theirs_cls) if ours_first else (theirs_cls, cls)
    settings = {**settings, "lr": 0.03}
    one, other = trained(first, {**settings, **how}), second(parameters(), **{**settings, "lr": 0.9}, **how)
    moved(one, other)
    assert other.param_groups[0]["lr"] == 0.03
    assert one.state_dict()["param_groups"] == other.state_dict()["param_groups"]
    take_steps(one, 3, 6)
    take_steps(other, 3, 6)
    assert_close(other, one, rtol=1e-5, atol=1e-6)


@every_shared
def test_the_way_to_run_is_not_loaded(variant: Variant) -> None:
    cls, settings = variant
    saved = trained(getattr(torch.optim, cls.__name__), {**settings, "foreach": True}).state_dict()
    ours = cls(parameters(), **settings)
    ours.load_state_dict(saved)
    assert ours.param_groups[0]["foreach"] is None


def test_a_checkpoint_of_adam_makes_no_adam_of_adamw() -> None:
    adamw = AdamW(parameters())
    adamw.load_state_dict(trained(torch.optim.Adam, {}).state_dict())
    assert adamw.param_groups[0]["decoupled_weight_decay"] is True


def test_loading_copies() -> None:
    """Going on in one leaves the other alone, also without a file between them."""
    one, other = trained(Adam, {}), Adam(parameters())
    saved = one.state_dict()
    before = copy.deepcopy(saved)
    other.load_state_dict(saved)
    take_steps(one, 3, 4)
    torch.testing.assert_close(other.state_dict()["state"], before["state"], rtol=0, atol=0)
    saved = one.state_dict()
    before = copy.deepcopy(saved)
    take_steps(other, 3, 5)
    torch.testing.assert_close(saved, before, rtol=0, atol=0)


def test_loading_lets_go_of_the_old_states() -> None:
    optimizer = trained(Adam, {})
    saved = copy.deepcopy(optimizer.state_dict())
    old = weakref.ref(optimizer.state[optimizer.param_groups[0]["params"][0]]["exp_avg"])
    optimizer.load_state_dict(saved)
    assert old() is None


# ---- names


def named(order: list[str]) -> Adam:
    values = dict(zip("abc", parameters((4,), (4,), (4,))))
    optimizer = Adam([(name, values[name]) for name in order])
    for step in range(3):
        for place, name in enumerate("abc"):
            values[name].grad = torch.full((4,), float(10**place * (step + 1)))
        optimizer.step()
    return optimizer


def averages(optimizer: Adam) -> dict[str, torch.Tensor]:
    (group,) = optimizer.param_groups
    return {name: optimizer.state[p]["exp_avg"] for name, p in zip(group["param_names"], group["params"])}


def test_states_find_their_parameters_by_name() -> None:
    saved = named(["a", "b", "c"])
    other = Adam([(name, p) for name, p in zip("cab", parameters((4,), (4,), (4,)))])
    other.load_state_dict(through_a_file(saved.state_dict()))
    assert other.param_groups[0]["param_names"] == ["c", "a", "b"]
    for name, value in averages(other).items():
        assert torch.equal(value, averages(saved)[name]), name


def test_without_names_states_go_by_position() -> None:
    saved = named(["a", "b", "c"])
    other = Adam(parameters((4,), (4,), (4,)))
    other.load_state_dict(saved.state_dict())
    for p, value in zip(other.param_groups[0]["params"], averages(saved).values()):
        assert torch.equal(other.state[p]["exp_avg"], value)


# ---- what does not fit


def of_other_names(s: dict[str, Any]) -> None:
    s["param_groups"][0]["param_names"] = ["weight", "bias", "w2"]


def of_another_optimizer(s: dict[str, Any]) -> None:
    other = torch.optim.SGD(parameters((4,), (4,), (4,)), momentum=0.9)
    take_steps(other, 0, 2)
    s.update(other.state_dict())


def of_another_optimizer_without_states(s: dict[str, Any]) -> None:
    s.update(torch.optim.SGD(parameters((4,), (4,), (4,))).state_dict())


def with_a_state_missing(s: dict[str, Any]) -> None:
    del s["state"][1]["exp_avg_sq"]


def with_another_shape(s: dict[str, Any]) -> None:
    s["state"][1]["exp_avg"] = torch.zeros(5)


def with_another_dtype(s: dict[str, Any]) -> None:
    s["state"][1]["exp_avg"] = torch.zeros(4, dtype=torch.bfloat16)


def with_text_for_a_state(s: dict[str, Any]) -> None:
    s["state"][1]["exp_avg"] = "zeros"


def with_text_for_a_count(s: dict[str, Any]) -> None:
    s["state"][1]["step"] = "three"


def with_a_list_for_a_parameters_state(s: dict[str, Any]) -> None:
    s["state"][1] = [1, 2]


def with_more_groups(s: dict[str, Any]) -> None:
    s["param_groups"] *= 2


def with_fewer_parameters(s: dict[str, Any]) -> None:
    del s["param_groups"][0]["param_names"]
    s["param_groups"][0]["params"] = [0, 1]


def without_groups(s: dict[str, Any]) -> None:
    del s["param_groups"]


def without_parameters(s: dict[str, Any]) -> None:
    del s["param_groups"][0]["params"]


def with_a_bad_setting(s: dict[str, Any]) -> None:
    s["param_groups"][0]["betas"] = (0.9, 1.5)


def from_the_future(s: dict[str, Any]) -> None:
    s["downslope"] = {"format": 99}


def with_a_broken_part_of_ours(s: dict[str, Any]) -> None:
    s["downslope"] = {"format": "one"}


def with_a_broken_count_of_ours(s: dict[str, Any]) -> None:
    s["downslope"] = {"format": 1, "steps": "many"}


def with_broken_schedules(s: dict[str, Any]) -> None:
    s["downslope"] = {"format": 1, "schedules": [{"lr": 3}]}


MISFITS: list[tuple[Callable[[dict[str, Any]], None], str]] = [
    (of_other_names, r"of other parameters: it lacks a, b, c, and has bias, w2, weight"),
    (of_another_optimizer, r"param group 0 lacks betas, eps; is it another optimizer's\?"),
    (of_another_optimizer_without_states, r"param group 0 lacks betas, eps; is it another optimizer's\?"),
    (with_a_state_missing, r"'b' lacks exp_avg_sq and has exp_avg, step"),
    (with_another_shape, r"exp_avg of 'b' has shape \(5,\), the parameter \(4,\)"),
    (
        with_another_dtype,
        r"exp_avg of 'b' is torch.bfloat16, here it is kept as torch.float32; states are cast only when",
    ),
    (with_text_for_a_state, r"exp_avg of 'b' has shape 'zeros'"),
    (with_text_for_a_count, r"step of 'b' must be one number; it is 'three'"),
    (with_a_list_for_a_parameters_state, r"state of 'b' is broken: \[1, 2\]"),
    (with_more_groups, r"has 2 param groups, this optimizer 1"),
    (with_fewer_parameters, r"param group 0 has 2 parameters in the state dict and 3 here, the first of them 'a'"),
    (without_groups, r"no optimizer's state dict: it needs the keys state and param_groups, and has state"),
    (without_parameters, r"param group 0 is broken: it has no list `params`"),
    (with_a_bad_setting, r"param group 0 is broken: Adam: betas\[1\] is 1.5; it must be at least 0 and below 1"),
    (from_the_future, r"has format 99, known is 1; update downslope"),
    (with_a_broken_part_of_ours, r"part `downslope` is broken"),
    (with_a_broken_count_of_ours, r"part `downslope` is broken"),
    (with_broken_schedules, r"part `downslope` is broken"),
]


@pytest.mark.parametrize(("spoil", "message"), MISFITS, ids=lambda x: getattr(x, "__name__", ""))
def test_a_misfit_is_an_error_and_changes_nothing(spoil: Callable[[dict[str, Any]], None], message: str) -> None:
    optimizer = named(["a", "b", "c"])
    state_dict = copy.deepcopy(optimizer.state_dict())
    state_dict["param_groups"][0]["lr"] = 0.7
    spoil(state_dict)
    before, groups = contents(optimizer), copy.deepcopy(optimizer.state_dict()["param_groups"])
    with pytest.raises(StateError, match=f"Adam: .*{message}"):
        optimizer.load_state_dict(state_dict)
    for now, then in zip(contents(optimizer), before, strict=True):
        torch.testing.assert_close(now, then, rtol=0, atol=0)
    assert optimizer.state_dict()["param_groups"] == groups
    assert_same_bits(*(stepped(o) for o in (optimizer, named(["a", "b", "c"]))))


def stepped(optimizer: Adam) -> Adam:
    take_steps(optimizer, 3, 4)
    return optimizer


@pytest.mark.parametrize("junk", [None, [], "checkpoint.pt", 3, {}, {"model": 1}], ids=repr)
def test_no_state_dict_at_all(junk: Any) -> None:
    with pytest.raises(StateError, match="state dict"):
        Adam(parameters()).load_state_dict(junk)


def test_old_checkpoints_lack_flags() -> None:
    """Older versions of torch did not save all that later ones know; what is missing stays as it is."""
    saved = trained(torch.optim.Adam, {}).state_dict()
    for key in ("maximize", "decoupled_weight_decay", "fused", "differentiable", "capturable", "foreach"):
        del saved["param_groups"][0][key]
    for state in saved["state"].values():
        state["step"] = 3  # a plain number, before torch 1.12
    moved_to = Adam(parameters(), maximize=True)
    moved_to.load_state_dict(saved)
    take_steps(moved_to, 3, 5)
    assert moved_to.param_groups[0]["maximize"] is True
    assert all(state["step"] == 5 for state in moved_to.state.values())


def test_scalar_states_of_a_parameter_without_dimensions() -> None:
    """mu_product is float32 whatever the parameter is; a state of a parameter of one number looks just like it."""
    one, other = (NAdam([torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))]) for _ in range(2))
    take_steps(one, 0, 3)
    moved(one, other)
    take_steps(one, 3, 5)
    take_steps(other, 3, 5)
    assert_same_bits(one, other)


def test_states_of_another_precision_stay_what_they_are() -> None:
    """A user may keep float32 states beside bfloat16 parameters; a step goes on in them."""
    p = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    optimizer = Adam([p])
    optimizer.state[p] = {"exp_avg": torch.zeros(3), "exp_avg_sq": torch.zeros(3)}
    p.grad = torch.full((3,), 0.0039, dtype=torch.bfloat16)
    optimizer.step()
    assert optimizer.state[p]["exp_avg_sq"].dtype == torch.float32
    torch.testing.assert_close(optimizer.state[p]["exp_avg_sq"], 0.001 * p.grad.float() ** 2)


# ---- hooks, schedules, counts


def test_hooks() -> None:
    optimizer, seen = trained(Adam, {}), []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("before saving"))
    optimizer.register_state_dict_post_hook(lambda o, s: {**s, "mine": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, s: seen.append(s.pop("mine")))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("after loading"))
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    assert seen == ["before saving", 1, "after loading"] and "mine" in saved


def test_a_schedule_resumes_at_its_step() -> None:
    one, other = (SGD(parameters(), lr=cosine(0.1, steps=10), momentum=0.9) for _ in range(2))
    take_steps(one, 0, 4)
    moved(one, other)
    take_steps(one, 4, 5)
    take_steps(other, 4, 5)
    assert other.param_groups[0]["lr"] == cosine(0.1, steps=10)(4)
    assert_same_bits(one, other)


def test_a_schedule_goes_on_from_torchs_checkpoint_and_back() -> None:
    fall = cosine(0.1, steps=10)
    theirs, ours = trained(torch.optim.Adam, {}, steps=3), Adam(parameters(), lr=fall)
    moved(theirs, ours)
    take_steps(ours, 3, 4)
    assert ours.param_groups[0]["lr"] == fall(3)
    assert "downslope" in ours.state_dict()
    moved(ours, theirs)
    assert theirs.param_groups[0]["lr"] == fall(3)
    assert_close(ours, theirs, rtol=0, atol=0)


def test_a_plateau_is_in_the_checkpoint() -> None:
    one, other = (Adam(parameters(), lr=chain(constant(0.3), 1, plateau(0.1, patience=0))) for _ in range(2))
    take_steps(one, 0, 2)
    for metric in (1.0, 2.0, 3.0):
        one.schedules[0]["lr"].update(metric)
    moved(one, other)
    assert other.schedules[0]["lr"].state == one.schedules[0]["lr"].state
    assert other.schedules[0]["lr"] is not one.schedules[0]["lr"]
    take_steps(other, 2, 3)
    assert other.param_groups[0]["lr"] == pytest.approx(0.001)


def test_a_misfit_leaves_the_plateau_alone() -> None:
    one, other = (Adam(parameters(), lr=plateau(0.1, patience=0)) for _ in range(2))
    take_steps(one, 0, 2)
    one.schedules[0]["lr"].update(1.0)
    saved = copy.deepcopy(one.state_dict())
    with_a_state_missing(saved)
    before = dict(other.schedules[0]["lr"].state)
    with pytest.raises(StateError):
        other.load_state_dict(saved)
    assert other.schedules[0]["lr"].state == before != one.schedules[0]["lr"].state


def test_a_plain_checkpoint_is_as_torchs() -> None:
    assert trained(Adam, {}).state_dict().keys() == trained(torch.optim.Adam, {}).state_dict().keys()


def test_skipped_steps_are_counted_on() -> None:
    one, other = Adam(parameters(), skip_nonfinite=True), Adam(parameters(), skip_nonfinite=True)
    for p in one.param_groups[0]["params"]:
        p.grad = torch.full_like(p, torch.inf)
    one.step()
    moved(one, other)
    assert one.skipped_steps == other.skipped_steps == 1


def test_the_average_is_in_the_checkpoint() -> None:
    one, other = trained(Adam, {"ema": 0.5}), Adam(parameters(), ema=0.5)
    moved(one, other)
    take_steps(one, 3, 5)
    take_steps(other, 3, 5)
    assert_same_bits(one, other)
