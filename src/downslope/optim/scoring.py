"""The parameters that a model is scored with, where those are others than the ones that are trained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import torch

from ..errors import SettingError, StateError
from .sharding import local
from .storing import is_coded, values_of


class Scoring:
    """The part of an optimizer that puts averages in place of its parameters, and the parameters back."""

    ema: Any
    param_groups: list[dict[str, Any]]
    state: Any
    scored: ClassVar[Callable[..., torch.Tensor] | None] = None  # (p, state, group) -> where the model is scored
    _swapped: bool
    _trained: dict[torch.Tensor, torch.Tensor]  # what eval() has replaced and no state holds

    def rule(self, group: dict[str, Any]) -> Any:
        raise NotImplementedError

    @contextlib.contextmanager
    def swap_average(self) -> Iterator[None]:
        """Inside the `with`, the parameters hold their average (`ema=`): for evaluation, or to save it.

        Costs one copy of the parameters. Raises SettingError if the optimizer keeps no average, and StateError for a
        step inside."""
        if self.ema is None:
            raise SettingError(f"{type(self).__name__}: keeps no average; make it with ema=0.999")
        with self.scoring():
            yield

    @contextlib.contextmanager
    def scoring(self) -> Iterator[None]:
        """Inside the `with`, the parameters are those to be scored or saved for use: `eval()`, and then `train()`."""
        self.eval()
        try:
            yield
        finally:
            self.train()

    def eval(self) -> None:
        """Put the parameters that the model is to be scored with in place of those that are trained: with `ema` their
        average, of schedule-free rules the point x; of all others they are the same, and nothing happens.

        Costs one copy of the parameters; a step before `train()` raises StateError."""
        if not self._swapped and self.scores_elsewhere:
            self._swap()

    def train(self) -> None:
        """Put back, bit for bit, what `eval()` has replaced."""
        if self._swapped:
            self._swap()

    @property
    def scores_elsewhere(self) -> bool:
        """Whether the parameters to be scored are others than those that are trained."""
        return self.ema is not None or any(self.rule(group).scored for group in self.param_groups)

    @torch.no_grad()
    def _swap(self) -> None:
        for group in self.param_groups:
            scored = self.rule(group).scored
            for param in group["params"]:
                state = self.state.get(param, {})
                if param in self._trained:
                    param.copy_(self._trained.pop(param))
                elif "ema" in state and state["ema"].dtype is param.dtype:
                    kept = param.detach().clone()
                    param.copy_(state["ema"])
                    state["ema"].copy_(kept)
                elif "ema" in state:  # which cannot hold the parameter bit for bit
                    self._trained[param] = param.detach().clone()
                    local(param).copy_(values_of(state, "ema"))
                elif scored is not None and state:
                    self._trained[param] = param.detach().clone()
                    param.copy_(scored(param, _decoded(state), group))
        self._swapped = not self._swapped

    def _check_not_swapped(self, what: str) -> None:
        if self._swapped:
            raise StateError(
                f"{type(self).__name__}: the parameters hold what they are scored with; call train(), or leave "
                f"swap_average(), before {what}"
            )


def _decoded(state: dict[str, Any]) -> dict[str, Any]:
    """A state with its values instead of codes."""
    return {name: values_of(state, name) if is_coded(value) else value for name, value in state.items()}
