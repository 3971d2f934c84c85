"""How states and settings pass into and out of a checkpoint."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch

from ..compiler.plan import Plan
from ..compiler.shapes import sizes
from ..errors import SettingError, StateError
from . import around, recast, sharding
from .follow import plateaus
from .states import AROUND, name_of, start

if TYPE_CHECKING:
    from .base import Optimizer

FORMAT = 1
STEPS = "downslope_steps"  # of a param group in a state dict, never of one in an optimizer
RUNTIME = ("foreach", "fused", "capturable", "differentiable")  # how to run, not what: a checkpoint does not change it


def extra(optimizer: Optimizer) -> dict[str, Any]:
    """What a checkpoint holds beside torch's keys; empty if torch's say it all."""
    memories = [
        {key: [plateau.state_dict() for plateau in plateaus(value)] for key, value in scheduled.items()}
        for scheduled in optimizer.schedules
    ]
    follows, rounds = any(optimizer.schedules) or around.is_scheduled(optimizer), optimizer._precision.rounds
    if not follows and not rounds and not optimizer.skipped_steps:
        return {}
    return {
        "format": FORMAT,
        "steps": optimizer.steps,
        "skipped_steps": optimizer.skipped_steps,
        "schedules": memories,
        **({"rounding_seed": optimizer.rounding_seed} if rounds else {}),
    }


def put_steps(optimizer: Optimizer, state_dict: dict[str, Any]) -> None:
    """The number of steps among a group's settings too, where no state has it: torch.distributed.checkpoint passes on
    states and groups alone."""
    shown = all(optimizer.rule(group).shows_step for group in optimizer.param_groups)
    if not shown and state_dict.get("param_groups"):
        state_dict["param_groups"][0][STEPS] = optimizer.steps


def add_unborn(optimizer: Optimizer, saved: dict[int, Any]) -> None:
    """The states that parameters without a step will start with: torch's Adagrad has them from the beginning, and
    cannot go on from a checkpoint without."""
    places = ((p, group) for group in optimizer.param_groups for p in group["params"])
    for place, (param, group) in enumerate(places):
        if place not in saved:
            plan = optimizer._plans(group)[param.ndim < 2]
            saved[place] = {"step": torch.tensor(0.0)}
            for name in plan.graph.states:
                saved[place] |= start(param, name, group, plan, optimizer._precision)


def copied(state_dict: Any) -> dict[str, Any]:
    if not isinstance(state_dict, Mapping):
        raise StateError(f"a state dict is a dictionary with the keys state and param_groups; got {state_dict!r:.80}")
    return dict(state_dict)


def load(optimizer: Optimizer, state_dict: dict[str, Any], cast: bool = False) -> None:
    """Check the whole state dict, then take it over: an error leaves the optimizer as it was."""
    kind = type(optimizer).__name__
    saved_groups = _groups(kind, optimizer, copied(state_dict))
    source = _matched(optimizer, saved_groups)
    steps = {"steps": saved_groups[0][STEPS]} if saved_groups and STEPS in saved_groups[0] else {}
    extra = _extra(kind, optimizer, state_dict.get("downslope", steps))
    new_groups = [
        _merged(kind, optimizer, place, group, saved)
        for place, (group, saved) in enumerate(zip(optimizer.param_groups, saved_groups))
    ]
    states = {}
    for group in new_groups:
        plans = optimizer._plans(group)
        for param in group["params"]:
            plan = plans[param.ndim < 2]
            saved_state = state_dict["state"].get(source[param])
            if saved_state:
                states[param] = _fitting(optimizer, param, saved_state, plan, cast)
    _take(optimizer, new_groups, states, extra)


def _groups(kind: str, optimizer: Optimizer, state_dict: dict[str, Any]) -> list[dict[str, Any]]:
    groups = state_dict.get("param_groups")
    if not isinstance(state_dict.get("state"), dict) or not isinstance(groups, list):
        raise StateError(
            f"{kind}: this is no optimizer's state dict: it needs the keys state and param_groups, and has "
            f"{_listed(state_dict)}"
        )
    for place, group in enumerate(groups):
        if not isinstance(group, dict) or not isinstance(group.get("params"), list):
            raise StateError(f"{kind}: the state dict's param group {place} is broken: it has no list `params`")
    if len(groups) != len(optimizer.param_groups):
        raise StateError(
            f"{kind}: the state dict has {len(groups)} param groups, this optimizer {len(optimizer.param_groups)}"
        )
    return groups


def _extra(kind: str, optimizer: Optimizer, extra: Any) -> dict[str, Any]:
    """The part that torch does not know, if it can be taken over."""
    try:
        if extra.get("format", FORMAT) > FORMAT:
            raise StateError(
                f"{kind}: the state dict has format {extra['format']}, known is {FORMAT}; update downslope"
            )
        counts = {name: int(extra[name]) for name in ("steps", "skipped_steps", "rounding_seed") if name in extra}
        for plateau, saved in _memories(optimizer, extra):
            copy.deepcopy(plateau).load_state_dict(saved)
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, StateError):
            raise
        raise StateError(f"{kind}: the state dict's part `downslope` is broken: {extra!r:.80}") from None
    return {**extra, **counts}


def _memories(optimizer: Optimizer, extra: dict[str, Any]) -> list[tuple[Any, Any]]:
    """Each plateau of the optimizer with what was saved of it."""
    return [
        pair
        for scheduled, memories in zip(optimizer.schedules, extra.get("schedules", []))
        for name, memory in memories.items()
        for pair in zip(plateaus(scheduled.get(name)), memory)
    ]


def _merged(
    kind: str, optimizer: Optimizer, place: int, group: dict[str, Any], saved: dict[str, Any]
) -> dict[str, Any]:
    """The group with the saved settings. Raises StateError where they lack one, or have one out of its range."""
    rule = optimizer.rule(group)
    needed = rule.formula.settings.keys() & rule.setting_defaults.keys()
    missing = needed - saved.keys()
    if missing:
        raise StateError(
            f"{kind}: the state dict's param group {place} lacks {_listed(missing)}; is it another optimizer's?"
        )
    kept = {key: group[key] for key in ("params", "param_names", "rule", *RUNTIME, *rule.fixed) if key in group}
    new = {**group, **saved, **kept}
    new.pop(STEPS, None)
    try:
        optimizer._check_settings(new)
    except SettingError as error:
        raise StateError(f"{kind}: the state dict's param group {place} is broken: {error}") from None
    return new


def _take(
    optimizer: Optimizer,
    groups: list[dict[str, Any]],
    states: dict[torch.Tensor, dict[str, Any]],
    extra: dict[str, Any],
) -> None:
    for group, new in zip(optimizer.param_groups, groups):
        group.update(new)
    for follower in optimizer._followers:
        follower.keep()
    optimizer.state.clear()
    optimizer.state.update(states)
    counts = [float(s["step"]) for s in states.values() if "step" in s]
    optimizer.steps = extra.get("steps", int(max(counts, default=0)))
    optimizer.skipped_steps = extra.get("skipped_steps", 0)
    optimizer.rounding_seed = extra.get("rounding_seed", optimizer.rounding_seed)
    for plateau, saved in _memories(optimizer, extra):
        plateau.load_state_dict(saved)
    optimizer._forget()


def _matched(optimizer: Optimizer, saved_groups: list[dict[str, Any]]) -> dict[torch.Tensor, Any]:
    """Each parameter's key in the saved state: by name where both sides have names, by position otherwise."""
    kind, groups = type(optimizer).__name__, optimizer.param_groups
    if all("param_names" in g for g in [*groups, *saved_groups]):
        keys = {n: key for g in saved_groups for n, key in zip(g["param_names"], g["params"])}
        ours = {n: p for g in groups for n, p in zip(g["param_names"], g["params"])}
        missing, foreign = ours.keys() - keys.keys(), keys.keys() - ours.keys()
        if missing or foreign:
            found = f"it lacks {_listed(missing)}, and has {_listed(foreign)} that are unknown here"
            raise StateError(f"{kind}: the state dict is of other parameters: {found}")
        return {p: keys[n] for n, p in ours.items()}
    matched: dict[torch.Tensor, Any] = {}
    for i, (group, saved) in enumerate(zip(groups, saved_groups)):
        if len(group["params"]) != len(saved["params"]):
            first = name_of(groups, group["params"][0]) if group["params"] else "none"
            raise StateError(
                f"{kind}: param group {i} has {len(saved['params'])} parameters in the state dict and "
                f"{len(group['params'])} here, the first of them {first}"
            )
        matched.update(zip(group["params"], saved["params"]))
    return matched


def _fitting(optimizer: Optimizer, param: torch.Tensor, saved: Any, plan: Plan, cast: bool) -> dict[str, Any]:
    """A copy of a saved state on the parameter's device. Raises StateError if it is not this parameter's, or in another
    precision and not to be cast."""
    kind, called = type(optimizer).__name__, name_of(optimizer.param_groups, param)
    if not isinstance(saved, dict):
        raise StateError(f"{kind}: the saved state of {called} is broken: {saved!r:.80}")
    missing = [key for key in plan.graph.states if key not in AROUND and saved.get(key) is None]
    if missing:
        raise StateError(
            f"{kind}: the saved state of {called} lacks {_listed(missing)} and has {_listed(saved)}; "
            "is it another optimizer's?"
        )
    state: dict[str, Any] = {}
    try:
        state |= recast.states(saved, plan, param, optimizer._precision, cast)
    except StateError as error:
        raise StateError(f"{kind}: the saved {error}".replace(" of it ", f" of {called} ", 1)) from None
    beside = recast.names_beside(saved, plan)
    for key, value in saved.items():
        if key == "step" or key in plan.numbers:
            state[key] = _one_number(kind, called, key, value)
        elif key in plan.kept:
            state[key] = _of_size(kind, called, key, value, sizes(plan.kept[key], param.shape), param)
        elif key not in state and key not in beside:
            state[key] = value.detach().clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)
    return state


def _one_number(kind: str, called: str, key: str, value: Any) -> torch.Tensor:
    try:
        number = torch.as_tensor(value, device="cpu").detach().clone()
        float(number)
        return number
    except (TypeError, ValueError, RuntimeError):
        raise StateError(f"{kind}: the saved {key} of {called} must be one number; it is {value!r:.80}") from None


def _of_size(kind: str, called: str, key: str, value: Any, size: tuple[int, ...], param: torch.Tensor) -> torch.Tensor:
    """A state of another size than its parameter, which every process has whole."""
    if not isinstance(value, torch.Tensor) or tuple(value.shape) != size:
        found = tuple(value.shape) if isinstance(value, torch.Tensor) else repr(value)[:80]
        raise StateError(
            f"{kind}: the saved {key} of {called} has shape {found}, and is to have {size}; optimizers made with "
            "model.named_parameters() match their states by name"
        )
    return value.detach().to(sharding.local(param).device, copy=True)


def _listed(names: Iterable[Any]) -> str:
    names = sorted(map(str, names))
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "nothing"
