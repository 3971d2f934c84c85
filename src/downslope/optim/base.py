"""The torch optimizer that a formula becomes."""

from __future__ import annotations

import contextlib
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache, wraps
from itertools import chain, repeat
from operator import is_
from typing import Any, ClassVar

import torch

from ..compiler.formula import Formula
from ..compiler.plan import Plan, program
from ..errors import SettingError, StateError
from . import checkpoint, settings
from .batch import Batch, Member
from .table import same

Function = Callable[..., Any]


def _untraced(method: Function) -> Function:
    """Keep torch.compile out of a method. torch's own decorator imports the compiler for that at the first call, which
    takes more than a second; where nobody has imported it, nobody traces."""
    plain = inspect.unwrap(method)

    @wraps(plain)
    def call(*args: Any, **settings: Any) -> Any:
        run = _disabled(plain) if "torch._dynamo" in sys.modules else plain
        return run(*args, **settings)

    call._torchdynamo_disable = True  # type: ignore[attr-defined]
    return call


@cache
def _disabled(method: Function) -> Function:
    return torch.compiler.disable(method)


_add_param_group = _untraced(torch.optim.Optimizer.add_param_group)
_state_dict = _untraced(torch.optim.Optimizer.state_dict)


class Optimizer(torch.optim.Optimizer):
    """The base of all of downslope's optimizers; make one from a formula with `downslope.optimizer`.

    Beside a formula's own settings every optimizer takes, as keywords, all fused into its one pass over memory:

    - `weight_decay` (default 0): added to the gradient times the parameter; with `decoupled_weight_decay=True` the
      parameter shrinks by lr times it instead (Loshchilov & Hutter 2019).
    - `maximize` (False): climb instead of descend.
    - `max_norm` (None): clip the gradients by their global norm, as `torch.nn.utils.clip_grad_norm_` does; costs one
      more read of the gradients.
    - `clip_value` (None): clip each gradient element to within plus and minus this value.
    - `ema` (None): keep an exponential average of the parameters with this decay in the state `ema`; see
      `swap_average`.
    - `skip_nonfinite` (False): leave everything as it is in a step with a gradient that is nan or infinite, and count
      it in `skipped_steps`.

    Any setting may be a schedule from `downslope.schedules`, also inside a tuple.

    Float32 and float64 parameters on the CPU run compiled; every other kind runs eagerly with the same meaning.
    `p.grad` is never changed. Raises SettingError for a setting out of its range and StateError for a checkpoint that
    does not fit.
    """

    formula: ClassVar[Formula]
    choose: ClassVar[Callable[[dict[str, Any]], Function]]
    setting_defaults: ClassVar[dict[str, Any]]
    positional: ClassVar[tuple[str, ...]]
    shows_step: ClassVar[bool]
    _step_supports_amp_scaling = True  # GradScaler hands over its scale instead of sweeping over the gradients

    def __init__(self, params: Any, *places: Any, **given: Any):
        if len(places) > len(self.positional):
            raise SettingError(
                f"{type(self).__name__}: takes {len(self.positional)} settings by position, got {len(places)}"
            )
        given = {**dict(zip(self.positional, places)), **given}
        own = {name: given.pop(name, None) for name in ("max_norm", "clip_value", "ema")}
        skip = given.pop("skip_nonfinite", False)
        defaults = {}
        for name, default in self.setting_defaults.items():
            defaults[name] = given.pop(name, default)
        for name in given:
            raise settings.unknown(type(self).__name__, name, {**self.setting_defaults, **own, "skip_nonfinite": 0})
        self._start()
        self.max_norm, self.clip_value, self.ema, self.skip_nonfinite = *own.values(), bool(skip)
        self._check_own()
        self._check_settings(defaults)
        super().__init__(params, defaults)

    def _start(self) -> None:
        """What is not in torch's pickled state."""
        self.skipped_steps = 0
        self.steps = 0
        self.schedules: list[dict[str, Any]] = []
        self._forget()

    def _forget(self) -> None:
        self._bank = torch.zeros(0, 1)
        self._flat: list[torch.Tensor] = []
        self._key: Any = None
        self._batch: Batch | None = None
        self._batch_states: list[dict[str, Any]] = []
        self._step_tensors: list[Any] = []

    # ---- settings

    def _check_own(self) -> None:
        name = type(self).__name__
        for key, low in (("max_norm", 0.0), ("clip_value", 0.0)):
            value = getattr(self, key)
            if value is not None and not float(value) > low:
                raise SettingError(f"{name}: {key} is {value}; it must be above {low:g}, or None for no clipping")
        if self.ema is not None and not 0 <= float(self.ema) < 1:
            raise SettingError(
                f"{name}: ema is {self.ema}; the average's decay must be at least 0 and below 1, such as 0.999"
            )

    def _check_settings(self, group: dict[str, Any]) -> None:
        for name, default in self.setting_defaults.items():
            if name in group:
                settings.check(type(self).__name__, name, checkpoint.at(group[name], 0), default)
        if group.get("foreach") and group.get("fused"):
            raise SettingError(f"{type(self).__name__}: foreach and fused are both asked for; one of them at most")
        self.check_group({**self.setting_defaults, **group})

    @staticmethod
    def check_group(group: dict[str, Any]) -> None:
        """What an optimizer asks of its settings together."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group with settings of its own; what it does not name takes the optimizer's defaults.

        Raises SettingError for a setting out of its range."""
        if isinstance(param_group, dict):
            self._check_settings(param_group)
        _add_param_group(self, param_group)
        group = self.param_groups[-1]
        scheduled = {name: group[name] for name in self.setting_defaults if checkpoint.is_scheduled(group[name])}
        self.schedules.append(scheduled)
        for name, value in scheduled.items():
            group[name] = checkpoint.at(value, self.steps)

    def _follow_schedules(self) -> None:
        for group, scheduled in zip(self.param_groups, self.schedules):
            for name, schedule in scheduled.items():
                group[name] = checkpoint.at(schedule, self.steps)

    # ---- the step

    @_untraced
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient. Returns the closure's loss, if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        differentiable = any(group.get("differentiable") for group in self.param_groups)
        with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
            self._step()
        return loss

    def _step(self) -> None:
        found_inf = getattr(self, "found_inf", None)
        if found_inf is not None and float(found_inf) > 0:
            self.skipped_steps += 1
            return
        self._follow_schedules()
        batch, grads = self._gather()
        if batch is not None:
            batch.take(grads)
            options = self._options(batch)
            if options is None:
                self.skipped_steps += 1
                return
            batch.run(options)
        self.steps += 1

    def _options(self, batch: Batch) -> dict[str, float] | None:
        """The scalars of the transforms, or None if this step is to be skipped."""
        scale = getattr(self, "grad_scale", None)
        options = {"unscale": 1.0 if scale is None else 1.0 / float(scale)}
        if self.max_norm is not None or self.skip_nonfinite:
            norm = batch.norm() * options["unscale"]
            if self.skip_nonfinite and not norm < float("inf") and not batch.finite():
                return None
            if self.max_norm is not None:
                # As torch.nn.utils.clip_grad_norm_; written so that a norm of nan gives nan.
                coefficient = float(self.max_norm) / (norm + 1e-6)
                options["clip_coef"] = 1.0 if coefficient > 1.0 else coefficient
        if self.clip_value is not None:
            options["clip_value"] = float(self.clip_value)
        if self.ema is not None:
            options["ema_decay"] = float(self.ema)
        return options

    def _transforms(self, group: dict[str, Any], function: Function) -> frozenset[str]:
        wanted = []
        weight_decay = group.get("weight_decay", 0.0)
        if weight_decay != 0 and not _owns(function, "weight_decay"):
            wanted.append("decoupled_decay" if group.get("decoupled_weight_decay") else "coupled_decay")
        if group.get("maximize"):
            wanted.append("maximize")
        if getattr(self, "grad_scale", None) is not None:
            wanted.append("unscale")
        for name, transform in (("max_norm", "clip_norm"), ("clip_value", "clip_value"), ("ema", "average")):
            if getattr(self, name) is not None:
                wanted.append(transform)
        return frozenset(wanted)

    def _plan(self, group: dict[str, Any]) -> Plan:
        function = type(self).choose(group)
        return program(function, self._transforms(group, function))

    def _gather(self) -> tuple[Batch | None, list[torch.Tensor]]:
        """The batch of all parameters with a gradient: the last step's, if nothing but values has changed since."""
        flat = list(chain.from_iterable(group["params"] for group in self.param_groups))
        grads = [p.grad for p in flat]
        active = None
        if any(map(is_, grads, repeat(None))):
            active = [i for i, g in enumerate(grads) if g is not None]
            grads = [grads[i] for i in active]
        plans = [self._plan(group) for group in self.param_groups]
        key = (plans, active, [bool(group.get("differentiable")) for group in self.param_groups])
        fits = (
            self._batch is not None
            and key == self._key
            and same(flat, self._flat)
            and same(self._batch_states, self.state.values())
            and same(self._step_tensors, [state.get("step") for state in self._batch_states])
            and self._batch.fits()
        )
        if not fits:
            self._batch = self._build(flat, active, plans, grads) if grads else None
            self._key, self._flat = key, flat
            self._batch_states = list(self.state.values())
            self._step_tensors = [state.get("step") for state in self._batch_states]
        return self._batch, grads

    def _build(
        self, flat: list[torch.Tensor], active: list[int] | None, plans: list[Plan], grads: list[torch.Tensor]
    ) -> Batch:
        places = range(len(flat)) if active is None else active
        group_of = [(g, plan) for g, plan in zip(self.param_groups, plans) for _ in g["params"]]
        self._grow_bank(flat, plans)
        members = []
        for place, grad in zip(places, grads):
            group, plan = group_of[place]
            if grad.layout is not torch.strided:
                raise StateError(
                    f"{type(self).__name__}: {self._name(flat[place])} has a gradient of layout {grad.layout}; sparse "
                    "gradients need torch.optim.SparseAdam or torch.optim.SGD, or build the embedding with sparse=False"
                )
            members.append(Member(flat[place], self._state_of(flat[place], group, plan, place), group, plan, place))
        return Batch(members, self._bank)

    def _grow_bank(self, flat: list[torch.Tensor], plans: list[Plan]) -> None:
        """A line for each parameter: its step count, then its scalar states. The states hold views into it."""
        shape = (len(flat), 1 + max(len(plan.updates) for plan in plans))
        if self._bank.shape == shape and same(flat, self._flat):
            return
        counts = {id(p): float(line[0]) for p, line in zip(self._flat, self._bank)}
        dtype = (
            torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32
        )  # torch's choice for `step`
        self._bank = torch.zeros(shape, dtype=dtype)
        for p, line in zip(flat, self._bank):
            line[0] = counts.get(id(p), 0.0)

    def _state_of(self, param: torch.Tensor, group: dict[str, Any], plan: Plan, place: int) -> dict[str, Any]:
        """The parameter's state, with what is missing at its initial value."""
        state, line = self.state[param], self._bank[place]
        if self.shows_step:
            _bind(state, "step", line[0], 0.0)
        elif not state:
            line[0] = 0.0
        elif line[0] == 0.0:
            line[0] = 1.0  # loaded from a checkpoint that keeps no count: all that matters is that it is not the first
        for i, name in enumerate(plan.updates):
            _bind(state, name, line[1 + i], checkpoint.initial(plan.graph.states[name], group))
        for name in plan.tensors[2:]:
            if state.get(name) is None:
                state[name] = checkpoint.start(param, plan.graph.states[name], group)
        return state

    def _name(self, param: torch.Tensor) -> str:
        return checkpoint.name(self.param_groups, param)

    zero_grad = _untraced(torch.optim.Optimizer.zero_grad)

    # ---- the average

    @contextlib.contextmanager
    def swap_average(self) -> Iterator[None]:
        """Inside the `with`, the parameters hold their average (`ema=`): for evaluation, or to save it.

        Costs one copy of the parameters. Raises SettingError if the optimizer keeps no average."""
        if self.ema is None:
            raise SettingError(f"{type(self).__name__}: keeps no average; make it with ema=0.999")

        def swap() -> None:
            with torch.no_grad():
                for param, state in self.state.items():
                    if "ema" in state:
                        kept = param.detach().clone()
                        param.copy_(state["ema"])
                        state["ema"].copy_(kept)

        swap()
        try:
            yield
        finally:
            swap()

    # ---- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """torch's state dict; loads into torch's optimizer of the same name. What torch has no place for (the number of
        steps, skipped ones, a plateau's memory) is under the key `downslope`, which torch ignores."""
        state_dict = _state_dict(self)
        extra = checkpoint.extra(self)
        if extra:
            state_dict["downslope"] = extra
        return state_dict

    @_untraced
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state dict of this optimizer or of torch's of the same name.

        States are matched by parameter name where both sides know names, by position otherwise; they are copied to
        their parameter's device and never cast. Settings are taken over as torch does; `foreach`, `fused`, `capturable`
        and `differentiable` stay as they are. Raises StateError, naming the parameters, for what does not fit."""
        state_dict = dict(state_dict)
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = hook(self, state_dict) or state_dict
        checkpoint.load(self, state_dict)
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def __getstate__(self) -> dict[str, Any]:
        kept = ("max_norm", "clip_value", "ema", "skip_nonfinite", "skipped_steps", "steps", "schedules")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in kept}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if not hasattr(self, "schedules"):
            self._start()
        self._forget()
        super().__setstate__(state)


@cache
def _owns(function: Function, setting: str) -> bool:
    return setting in inspect.signature(function).parameters


def _bind(state: dict[str, Any], name: str, place: torch.Tensor, initial: float) -> None:
    """Make a scalar state a view of its place in the bank, with the value it has, or its initial one."""
    old = state.get(name)
    if not (isinstance(old, torch.Tensor) and old.data_ptr() == place.data_ptr()):
        place.fill_(initial if old is None else float(old))
        state[name] = place
