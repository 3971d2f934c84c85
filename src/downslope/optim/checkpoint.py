"""States: how they start, and how they pass into and out of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch

from ..errors import StateError
from ..schedules import Plateau, Schedule

if TYPE_CHECKING:
    from .base import Optimizer

FORMAT = 1
SCHEDULES = (Schedule, Plateau)
RUNTIME = ("foreach", "fused", "capturable", "differentiable")  # how to run, not what: a checkpoint does not change it


# ---- settings that are schedules


def is_scheduled(value: Any) -> bool:
    return isinstance(value, SCHEDULES) or (isinstance(value, tuple | list) and any(map(is_scheduled, value)))


def at(value: Any, step: int) -> Any:
    """A setting's value at a step: schedules are asked, in tuples too."""
    if isinstance(value, SCHEDULES):
        return value(step)
    if isinstance(value, tuple | list) and is_scheduled(value):
        return tuple(at(v, step) for v in value)
    return value


def _plateaus(value: Any) -> list[Plateau]:
    """The schedules with a memory in a setting."""
    return [v for v in (value if isinstance(value, tuple | list) else (value,)) if isinstance(v, Plateau)]


# ---- how a state starts


def initial(value: float | str, group: dict[str, Any]) -> float:
    return float(group[value]) if isinstance(value, str) else value


def start(param: torch.Tensor, value: float | str, group: dict[str, Any]) -> torch.Tensor:
    """A state at its initial value, laid out in memory as its parameter."""
    if value == "p":
        return param.detach().clone(memory_format=torch.preserve_format)
    state = torch.zeros_like(param.detach(), memory_format=torch.preserve_format)
    number = initial(value, group)
    if number:
        (torch.view_as_real(state) if state.is_complex() else state).fill_(number)
    return state


def name(groups: list[dict[str, Any]], param: torch.Tensor) -> str:
    """What to call a parameter in a message."""
    place = 0
    for group in groups:
        for i, p in enumerate(group["params"]):
            if p is param:
                return (
                    repr(group["param_names"][i]) if "param_names" in group else f"parameter {place} {tuple(p.shape)}"
                )
            place += 1
    return f"a parameter of shape {tuple(param.shape)}"


# ---- out


def extra(optimizer: Optimizer) -> dict[str, Any]:
    """What a checkpoint holds beside torch's keys; empty if torch's say it all."""
    memories = [
        {key: [plateau.state_dict() for plateau in _plateaus(value)] for key, value in scheduled.items()}
        for scheduled in optimizer.schedules
    ]
    if not any(optimizer.schedules) and not optimizer.skipped_steps:
        return {}
    return {"format": FORMAT, "steps": optimizer.steps, "skipped_steps": optimizer.skipped_steps, "schedules": memories}


# ---- in


def load(optimizer: Optimizer, state_dict: dict[str, Any]) -> None:
    """Check the whole state dict, then take it over: an error leaves the optimizer as it was."""
    kind = type(optimizer).__name__
    if not isinstance(state_dict.get("state"), dict) or not isinstance(state_dict.get("param_groups"), list):
        found = _listed(state_dict)
        raise StateError(
            f"{kind}: this is no optimizer's state dict: expected the keys state, param_groups; found {found}"
        )
    saved_groups, groups = state_dict["param_groups"], optimizer.param_groups
    if len(saved_groups) != len(groups):
        raise StateError(f"{kind}: the state dict has {len(saved_groups)} param groups, this optimizer {len(groups)}")
    source = _matched(optimizer, saved_groups)
    extra = state_dict.get("downslope", {})
    if extra.get("format", FORMAT) > FORMAT:
        raise StateError(f"{kind}: the state dict has format {extra['format']}, known is {FORMAT}; update downslope")

    new_groups = []
    for group, saved in zip(groups, saved_groups):
        kept = {key: group[key] for key in ("params", "param_names", *RUNTIME) if key in group}
        new_groups.append({**group, **saved, **kept})
    states = {}
    for group in new_groups:
        expected = set(optimizer._plan(group).graph.states) - {"ema"}
        for param in group["params"]:
            saved_state = state_dict["state"].get(source[param])
            if saved_state:
                states[param] = _fitting(optimizer, param, saved_state, expected)
    _take(optimizer, new_groups, states, extra)


def _take(
    optimizer: Optimizer,
    groups: list[dict[str, Any]],
    states: dict[torch.Tensor, dict[str, Any]],
    extra: dict[str, Any],
) -> None:
    for group, new in zip(optimizer.param_groups, groups):
        group.update(new)
    optimizer.state.clear()
    optimizer.state.update(states)
    counts = [float(s["step"]) for s in states.values() if "step" in s]
    optimizer.steps = extra.get("steps", int(max(counts, default=0)))
    optimizer.skipped_steps = extra.get("skipped_steps", 0)
    for scheduled, memories in zip(optimizer.schedules, extra.get("schedules", [])):
        for key, memory in memories.items():
            for plateau, saved in zip(_plateaus(scheduled.get(key)), memory):
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
            first = name(groups, group["params"][0]) if group["params"] else "none"
            raise StateError(
                f"{kind}: param group {i} has {len(saved['params'])} parameters in the state dict and "
                f"{len(group['params'])} here, the first of them {first}"
            )
        matched.update(zip(group["params"], saved["params"]))
    return matched


def _fitting(optimizer: Optimizer, param: torch.Tensor, saved: dict[str, Any], expected: set[str]) -> dict[str, Any]:
    """A copy of a saved state on the parameter's device. Raises StateError if it is not this parameter's."""
    kind, called = type(optimizer).__name__, name(optimizer.param_groups, param)
    missing = {key for key in expected if saved.get(key) is None}
    if missing:
        raise StateError(
            f"{kind}: the saved state of {called} lacks {_listed(missing)} and has {_listed(saved)}; "
            "is it another optimizer's?"
        )
    state: dict[str, Any] = {}
    for key, value in saved.items():
        if not isinstance(value, torch.Tensor):
            state[key] = torch.tensor(float(value)) if key == "step" else value
        elif value.dim() == 0 and (key == "step" or param.dim() != 0):
            state[key] = value.detach().clone().to("cpu")
        else:
            if value.shape != param.shape:
                raise StateError(
                    f"{kind}: the saved {key} of {called} has shape {tuple(value.shape)}, the parameter "
                    f"{tuple(param.shape)}; optimizers made with model.named_parameters() match their states by name"
                )
            if value.dtype != param.dtype:
                raise StateError(
                    f"{kind}: the saved {key} of {called} is {value.dtype}, the parameter {param.dtype}; states are "
                    "not cast silently: convert the state dict, or the model, first"
                )
            state[key] = torch.empty_like(param, requires_grad=False).copy_(value)
    return state


def _listed(names: Iterable[Any]) -> str:
    names = sorted(map(str, names))
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "nothing"
