"""The part of an optimizer that passes into and out of checkpoints and pickles."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import chain
from typing import Any, ClassVar

import torch

from . import checkpoint, recast
from .around import OWN
from .untraced import untraced

_state_dict = untraced(torch.optim.Optimizer.state_dict)


class Saving(torch.optim.Optimizer):
    """State dicts with the true dtypes of all states; pickles that find the formula again."""

    formula: ClassVar[Any]
    saves_all: ClassVar[bool]
    _start: Callable[[], None]
    _forget: Callable[[], None]
    _check_not_swapped: Callable[[str], None]
    _plans: Callable[[dict[str, Any]], Any]

    def state_dict(self) -> dict[str, Any]:
        """torch's state dict; loads into torch's optimizer of the same name. What torch has no place for (the number of
        steps, skipped ones, a plateau's memory) is under the key `downslope`, which torch ignores."""
        self._check_not_swapped("state_dict()")
        me: Any = self
        state_dict = _state_dict(self)
        if isinstance(state_dict.get("state"), dict):  # a hook may have made anything of it
            state_dict["state"] = {place: state for place, state in state_dict["state"].items() if state}
            if self.saves_all:
                checkpoint.add_unborn(me, state_dict["state"])
        extra = checkpoint.extra(me)
        if extra:
            state_dict["downslope"] = extra
            checkpoint.put_steps(me, state_dict)
        return state_dict

    def float32_state_dict(self) -> dict[str, Any]:
        """The state dict with all states in float32, as torch keeps them: for torch's optimizer of the same name.

        Costs their memory. `load_state_dict(..., cast=True)` takes it back."""
        state_dict = self.state_dict()
        keys = chain.from_iterable(group["params"] for group in state_dict["param_groups"])
        owners = ((p, group) for group in self.param_groups for p in group["params"])
        for key, (param, group) in zip(keys, owners):
            if key in state_dict["state"]:
                plan = self._plans(group)[param.ndim < 2]
                state_dict["state"][key] = recast.in_float32(state_dict["state"][key], plan, param)
        return state_dict

    @untraced
    def load_state_dict(self, state_dict: dict[str, Any], *, cast: bool = False) -> None:
        """Load a state dict of this optimizer or of torch's of the same name.

        States are matched by parameter name where both sides know names, by position otherwise; they are copied to
        their parameter's device. States of another precision than this optimizer's are refused, or, with `cast`,
        rounded to the nearest that it can keep. Settings are taken over as torch does; `foreach`, `fused`, `capturable`
        and `differentiable` stay as they are. Raises StateError, naming the parameters, for what does not fit, and
        leaves the optimizer as it was."""
        me: Any = self
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = checkpoint.copied(state_dict)
            changed = before(self, state_dict)
            state_dict = state_dict if changed is None else changed
        checkpoint.load(me, state_dict, cast)
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __reduce__(self) -> Any:
        return _blank, (self._maker(),), self.__getstate__()

    @classmethod
    def _maker(cls) -> Any:
        """What pickle can find by its name: the class, or the formula that it was made of by a call."""
        found: Any = sys.modules.get(cls.__module__)
        for name in cls.__qualname__.split("."):
            found = getattr(found, name, None)
        return cls.formula.function if found is cls.formula.function else cls

    def __getstate__(self) -> dict[str, Any]:
        me: Any = self
        kept = {name: getattr(self, name) for name in (*OWN, "steps", "_followers")}
        return {**super().__getstate__(), **kept, "_skipped_steps": me.skipped_steps}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if not hasattr(self, "_followers"):
            self._start()
        self._forget()
        super().__setstate__(state)


def _blank(maker: Any) -> Any:
    """An optimizer to be filled with its pickled state."""
    if not isinstance(maker, type):
        from .make import optimizer

        maker = optimizer(maker)
    return object.__new__(maker)
