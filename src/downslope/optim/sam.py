"""Two gradients a step: that of the worst point nearby moves the parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..errors import SettingError, StateError
from . import sharding
from .settings import Check, check_number
from .sharding import local

_ABOVE_0: Check = (lambda x: x > 0, "must be above 0")


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimisation around an optimizer (Foret et al. 2021, arXiv:2010.01412, Algorithm 1).

    ```python
    optimizer = SAM(AdamW(model.parameters(), lr=1e-3), rho=0.05)

    def closure():
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        return loss

    loss = optimizer.step(closure)
    ```

    The closure runs twice: at the parameters, and at a distance of `rho` uphill from them; the optimizer steps from the
    parameters with the second gradient. `adaptive=True` measures the distance in units of each parameter (Kwon et al.
    2021, arXiv:2102.11600, rho 0.5 to 2 there). Groups, states, checkpoints and schedules are the optimizer's own; it
    may be a Route, or one of torch's. `step` returns the first loss. Costs a second forward and backward pass, and a
    copy of the parameters for its time. Layers that keep statistics, such as batch norm, see both passes.

    Raises SettingError for a rho that is not above 0, and StateError for a step without a closure.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, rho: float = 0.05, adaptive: bool = False):
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise SettingError(
                f"SAM: goes around an optimizer with its parameters, such as SAM(AdamW(model.parameters()), rho=0.05); "
                f"got {optimizer!r:.60}"
            )
        check_number("SAM", "rho", rho, _ABOVE_0)
        self.optimizer, self.rho, self.adaptive = optimizer, float(rho), bool(adaptive)
        super().__init__(optimizer.param_groups, optimizer.defaults)

    @property
    def param_groups(self) -> list[dict[str, Any]]:  # type: ignore[override]
        return self.optimizer.param_groups

    @param_groups.setter
    def param_groups(self, value: Any) -> None:
        """torch's own constructor makes a list; the optimizer has one."""

    @property
    def state(self) -> Any:  # type: ignore[override]
        return self.optimizer.state

    @state.setter
    def state(self, value: Any) -> None:
        """As for param_groups."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if not any(param_group is group for group in self.optimizer.param_groups):
            self.optimizer.add_param_group(param_group)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Run the closure twice, and step. Returns the first loss."""
        if closure is None:
            raise StateError(
                "SAM: a step needs two gradients, and so a closure that clears the gradients, computes the loss, calls "
                "backward() and returns the loss: optimizer.step(closure)"
            )
        with torch.enable_grad():
            loss = closure()
        params = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        before = [local(p).detach().clone() for p in params]
        try:
            self._climb(params)
            with torch.enable_grad():
                closure()
        finally:
            for p, old in zip(params, before):
                local(p).detach().copy_(old)
        self.optimizer.step()
        return loss

    def _climb(self, params: list[torch.Tensor]) -> None:
        total, ways = 0.0, []
        for p in params:
            here, grad = local(p).detach(), sharding.local_gradient(p.grad, p)  # type: ignore[arg-type]
            scaled = here.abs() * grad if self.adaptive else grad
            ways.append(here.abs() * scaled if self.adaptive else grad)
            squares = float(torch.linalg.vector_norm(scaled.detach(), dtype=_double(scaled))) ** 2
            total += sharding.reduce_sum(squares, p)
        for p, way in zip(params, ways):
            local(p).detach().add_(way, alpha=self.rho / (total**0.5 + 1e-12))

    def state_dict(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state_dict)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.optimizer.zero_grad(set_to_none)

    def __getstate__(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer, "rho": self.rho, "adaptive": self.adaptive}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"SAM (rho: {self.rho:g}, adaptive: {self.adaptive}) of {self.optimizer!r}"


def _double(t: torch.Tensor) -> torch.dtype:
    return torch.complex128 if t.is_complex() else torch.float64
