"""The networks that trials start from, and whether they are alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ... import rng
from ..task import Task
from .model import Stream


class Trial(Protocol):
    """A run among others, as far as it says how it begins: its seed, and what it has other settings of the task."""

    @property
    def seed(self) -> int: ...
    @property
    def of_task(self) -> Mapping[str, Any]: ...


class Start(NamedTuple):
    """A network with its first weights, and the random state from which its training goes on; `key` is what both
    depend on."""

    key: str
    network: nn.Module
    state: torch.Tensor


def networks(task: Task, trials: Sequence[Trial], device: torch.device) -> list[Start]:
    """What each trial starts from, exactly as alone. Trials of the same seed and task settings have the same object."""
    made: dict[str, Start] = {}
    found = []
    for trial in trials:
        key = repr((trial.seed, sorted(trial.of_task.items())))
        if key not in made:
            with rng.seeded(trial.seed):
                network = task.with_settings(**trial.of_task).make_model().to(device)
                made[key] = Start(key, network, torch.get_rng_state())
        found.append(made[key])
    return found


def streams(starts: Sequence[Start]) -> tuple[list[Stream], list[torch.Tensor]]:
    """The runs of trials that draw the same random numbers, and where each begins to draw."""
    firsts = [k for k, start in enumerate(starts) if k == 0 or start.key != starts[k - 1].key]
    lasts = [*firsts[1:], len(starts)]
    return [Stream(a, b) for a, b in zip(firsts, lasts)], [starts[a].state for a in firsts]


def unlike(one: nn.Module, other: nn.Module) -> str | None:
    """In what two networks differ beside the values of parameters and buffers, or None: only such can be stacked."""
    if one is other:
        return None
    ours, theirs = dict(one.named_modules()), dict(other.named_modules())
    if ours.keys() != theirs.keys():
        return "their networks have different layers"
    for name, module in ours.items():
        twin, where = theirs[name], f"layer {name}" if name else "the network"
        if _kind(module) != _kind(twin):
            return f"{where} is {type(module).__name__} in one and {type(twin).__name__} in another"
        for kind in ("_parameters", "_buffers"):
            for key, value in getattr(module, kind).items():
                if _form(value) != _form(getattr(twin, kind).get(key)):
                    return f"{key} of {where} has other shapes"
        for key, value in vars(module).items():
            if key not in OF_EVERY and not _equal(value, vars(twin).get(key)):
                return f"{key} of {where} differs"
    return None


OF_EVERY = frozenset(vars(nn.Module()))
"""What stands in every layer: its parts, which are looked at by themselves, its hooks, and whether it trains."""


def _kind(module: nn.Module) -> tuple[str, str]:
    """By name: parametrizations make a class for each layer."""
    return type(module).__module__, type(module).__qualname__


def _form(value: torch.Tensor | None) -> Any:
    return None if value is None else (is_lazy(value) or tuple(value.shape), value.dtype, value.requires_grad)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        return type(a) is type(b) and a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b)
    if a is None or isinstance(a, bool | int | float | str | tuple | list | dict):
        try:
            return bool(a == b)
        except Exception:  # of tensors and the like inside: the self-check sees what they do
            return True
    return type(a) is type(b)  # functions and objects: the self-check sees what they do
