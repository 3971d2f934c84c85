"""The torch optimizer that a formula becomes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat
from operator import is_, itemgetter
from typing import Any, ClassVar

import torch

from ..backends import gpu
from ..compiler.formula import Formula
from ..compiler.plan import Plan, program
from ..errors import SettingError, StateError
from ..formulas import VECTORS
from . import around, precision, settings, states
from .around import OWN
from .batch import Batch, Several
from .device import DeviceBatch, covers
from .escape import Escaping
from .follow import Follower, at, followers, is_scheduled
from .member import Member
from .saving import Saving
from .scoring import Scoring
from .sharding import local
from .stage import number
from .table import same
from .untraced import untraced

Function = Callable[..., Any]
_add_param_group = untraced(torch.optim.Optimizer.add_param_group)


class Optimizer(Escaping, Scoring, Saving):
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
    - `cautious` (False): no step where the update and the gradient disagree in sign, and a longer one elsewhere (Liang
      et al. 2024, arXiv:2411.16085); costs a second pass.
    - `centralize` (False): the gradient of each row less its mean, but for vectors (Yong et al. 2020,
      arXiv:2004.01461).
    - `lookahead` (None): (k, alpha), or k with alpha 0.5: after every k steps go back to alpha of the way (Zhang et al.
      2019, arXiv:1907.08610); costs a state.
    - `nesterov_form` (None): take the gradient ahead of the point that the formula has reached, by this times its last
      way (Nesterov 1983); costs a state.
    - `grafted` (None): an optimizer without parameters, such as `Adam()`, whose step length each tensor's step gets
      (Agarwal et al. 2020, arXiv:2002.11803); it has the same lr unless it is given one. Costs its states and a pass.

    - `state_dtype` (None: as the parameter): "float32", "bfloat16" or "int8" for all states, or a dictionary by name; 8
      bits are in blocks of 256 values with a scale of their own.
    - `param_mode` ("nearest"): what becomes of what a bfloat16 parameter cannot hold: "stochastic" rounds at random so
      that the mean is kept, "split" keeps the missing 16 bits in the state `p_remainder`.
    - `rounding_seed` (0): of all random rounding.

    Any setting that is a number may be a schedule from `downslope.schedules`, also inside a tuple.

    Made without parameters, as in `AdamW(lr=1e-3)`, it is a rule for `downslope.optim.Route`.

    Real parameters on the CPU run compiled; every other kind runs eagerly with the same meaning.
    `p.grad` is never changed. Raises SettingError for a setting out of its range and StateError for a checkpoint that
    does not fit.
    """

    formula: ClassVar[Formula]
    choose: ClassVar[Callable[[dict[str, Any]], Function]]
    setting_defaults: ClassVar[dict[str, Any]]
    positional: ClassVar[tuple[str, ...]]
    fixed: ClassVar[dict[str, Any]]  # what stands in the param groups for others to read and is not to be changed
    shows_step: ClassVar[bool]
    saves_all: ClassVar[bool]  # whether a checkpoint has the states of parameters that never had a gradient
    max_norm: Any
    clip_value: Any
    ema: Any
    skip_nonfinite: bool
    cautious: bool
    centralize: bool = False
    lookahead: Any = None
    nesterov_form: float | None = None
    grafted: Any = None
    state_dtype: Any = None
    param_mode: str = "nearest"
    rounding_seed: int = 0
    _step_supports_amp_scaling = True  # GradScaler hands over its scale instead of sweeping over the gradients

    def __new__(cls, *places: Any, **given: Any) -> Any:
        if not places and "params" not in given and hasattr(cls, "formula"):
            from .route import deferred

            return deferred(cls, given)
        return super().__new__(cls)

    def __init__(self, params: Any, *places: Any, **given: Any):
        kind = type(self).__name__
        if not hasattr(self, "formula"):
            raise SettingError(f"{kind}: has no formula; make an optimizer of one with downslope.optimizer(formula)")
        if len(places) > len(self.positional):
            raise SettingError(f"{kind}: takes {len(self.positional)} settings by position, got {len(places)}")
        for name, value in zip(self.positional, places):
            if name in given:
                raise SettingError(f"{kind}: {name} is given twice, as {value!r} and as {given[name]!r}")
            given[name] = value
        known = {**{k: v for k, v in self.setting_defaults.items() if k not in self.fixed}, **OWN}
        for name in given:
            if name not in known:
                raise settings.unknown(kind, name, known)
        self._start()
        own = {name: given.pop(name, default) for name, default in OWN.items()}
        self._take_own(kind, own)
        defaults = {**self.setting_defaults, **given}
        self._check_settings(defaults)
        super().__init__(params, defaults)
        self._check_states()

    def _take_own(self, kind: str, own: dict[str, Any]) -> None:
        """The settings of the whole optimizer, checked."""
        around.check(kind, own)
        for name, value in own.items():
            setattr(self, name, bool(value) if isinstance(OWN[name], bool) else value)
        if self.lookahead is not None and not isinstance(self.lookahead, tuple):
            self.lookahead = (self.lookahead, 0.5)

    def _start(self) -> None:
        """What is not in torch's pickled state."""
        self._skipped_steps = 0
        self.steps = 0
        self._followers: list[Follower] = []
        self.cautious = False
        self._swapped = False
        self._trained = {}
        self._forget()

    def _forget(self) -> None:
        self._banks: dict[torch.device | None, states.Bank] = {}
        self._flat: list[torch.Tensor] = []
        self._key: Any = None
        self._batch: Batch | DeviceBatch | Several | None = None
        self._held_states: list[dict[str, Any]] = []
        self._numbers: list[Any] = []

    # ---- settings

    def rule(self, group: dict[str, Any]) -> type[Optimizer]:
        """The class whose rule a param group follows; of all but a Route it is the optimizer's own."""
        return type(self)

    @property
    def _precision(self) -> precision.Precision:
        return precision.precision(type(self).__name__, self.state_dtype, self.param_mode, self.rounding_seed)

    def _now(self, group: dict[str, Any]) -> dict[str, Any]:
        """A group with the values that its schedules have in this step."""
        return {**group, **{name: at(group[name], self.steps) for name in self.rule(group).setting_defaults}}

    def _check_settings(self, group: dict[str, Any]) -> Plan:
        kind = type(self).__name__
        rule = self.rule(group)
        group = self._now(group)
        for name, default in rule.setting_defaults.items():
            settings.check(kind, name, group[name], default)
        if group.get("foreach") and group.get("fused"):
            raise SettingError(f"{kind}: foreach and fused are both asked for; one of them at most")
        rule.check_group(group)
        plan = self._plan(group)  # raises what the settings' formula and transforms have against each other
        if group.get("differentiable") and self._precision.rounds:
            raise SettingError(
                f"{kind}: differentiable=True keeps a graph, and numbers in fewer bits have none; leave state_dtype "
                "and param_mode out"
            )
        if group.get("differentiable") and plan.whole:
            raise SettingError(
                f"{kind}: differentiable=True is for formulas of one pass over the elements; {plan.graph.name} needs "
                "whole tensors in between"
            )
        return plan

    @staticmethod
    def check_group(group: dict[str, Any]) -> None:
        """What an optimizer asks of its settings together."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group with settings of its own; what it does not name takes the optimizer's defaults.

        Other keys may be put into a group and are kept. Raises SettingError for a setting out of its range, and for a
        key that looks like a misspelt setting."""
        if isinstance(param_group, dict):
            param_group = dict(param_group)  # schedules are replaced by their values, in our own copy
            settings.check_keys(type(self).__name__, param_group, self.rule(param_group).setting_defaults, OWN)
            self._check_settings({**self.defaults, **param_group})
        _add_param_group(self, param_group)
        try:
            self._check_parameters(self._now(self.param_groups[-1]))
        except SettingError:
            self.param_groups.pop()
            raise
        self._follow()

    def _check_states(self) -> None:
        plans = [plan for group in self.param_groups for plan in self._plans(group)]
        precision.check_names(type(self).__name__, self._precision, plans)

    def _check_parameters(self, group: dict[str, Any]) -> None:
        needs_matrices = self._plans(group)[1].needs_matrices
        for param in group["params"]:
            precision.check_parameter(type(self).__name__, self._name, self._precision, param)
            if needs_matrices and param.ndim < 2:
                raise SettingError(
                    f"{type(self).__name__}: needs matrices, and {self._name(param)} has {param.ndim} "
                    f"dimension{'s' * (param.ndim != 1)}; give it to another rule, such as AdamW: "
                    "downslope.optim.Route has both in one"
                )

    @property
    def schedules(self) -> list[dict[str, Any]]:
        """The schedules that each param group's settings follow, by the setting: where to find a plateau to update."""
        self._followers = followers(self._followers, self.param_groups)
        return [follower.schedules for follower in self._followers]

    def _follow(self) -> None:
        self._followers = followers(self._followers, self.param_groups)
        for place, follower in enumerate(self._followers):
            defaults = self.rule(follower.group).setting_defaults
            follower.follow(type(self).__name__, place, defaults, self.steps)

    # ---- the step

    @untraced
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
        if found_inf is not None and not gpu.covers(found_inf.device) and float(found_inf) > 0:
            self.skipped_steps += 1
            return
        self._check_not_swapped("the next step")
        if self.steps == 0 and not self.state and self._is_birth():
            self._gather()
            return
        self._follow()
        batch, grads = self._gather()
        if batch is not None:
            batch.take(grads)
            options: Any
            if isinstance(batch, DeviceBatch):
                options = batch.options(self)
            elif found_inf is not None and float(found_inf) > 0:
                options = None
            else:
                options = around.options(self, batch)
            if options is None:
                self.skipped_steps += 1
                return
            batch.run(options)
        self.steps += 1

    def _is_birth(self) -> bool:
        """Whether this is the step by which torch.distributed.checkpoint has the states made: with the learning rates
        set to 0, and gradients of 0. To schedules, which begin with the first real step, it is none; nor is it to an
        optimizer whose states torch has from the beginning."""
        groups = self.param_groups
        return (
            (self.saves_all or any(self.schedules) or around.is_scheduled(self))
            and all(not is_scheduled(group["lr"]) and number(group["lr"]) == 0 for group in groups if "lr" in group)
            and all(p.grad is None or not p.grad.any() for group in groups for p in group["params"])
        )

    @property
    def skipped_steps(self) -> int:
        """How many steps were left out, for a gradient that was not finite. A look at it waits for a GPU."""
        return self._skipped_steps + (int(self._batch.skipped) if isinstance(self._batch, DeviceBatch) else 0)

    @skipped_steps.setter
    def skipped_steps(self, count: int) -> None:
        self._skipped_steps += count - self.skipped_steps

    def _plan(self, group: dict[str, Any]) -> Plan:
        return self._plans(group)[0]

    def _plans(self, group: dict[str, Any]) -> tuple[Plan, Plan]:
        """A group's plans for its matrices and for its vectors, which most formulas treat alike."""
        function = self.rule(group).choose(group)
        transforms = around.transforms(self, group, function)
        plan = program(function, transforms)
        of_vectors, fewer = VECTORS.get(function, function), transforms - around.OF_MATRICES
        if of_vectors is function and len(fewer) == len(transforms):
            return plan, plan
        return plan, program(of_vectors, fewer)

    def _gather(self) -> tuple[Batch | DeviceBatch | Several | None, list[torch.Tensor]]:
        """The batch of all parameters with a gradient: the last step's, if nothing but values has changed since."""
        flat = list(chain.from_iterable(group["params"] for group in self.param_groups))
        grads = [p.grad for p in flat]
        active = None
        if any(map(is_, grads, repeat(None))):
            active = [i for i, g in enumerate(grads) if g is not None]
            grads = [grads[i] for i in active]
        plans = [self._plans(group) for group in self.param_groups]
        key = (plans, active, [bool(group.get("differentiable")) for group in self.param_groups])
        fits = (
            self._batch is not None
            and key == self._key
            and same(flat, self._flat)
            and same(self._held_states, self.state.values())
            and same(self._numbers, self._found_numbers(plans))
            and self._batch.fits(grads)
        )
        if not fits:
            self._skipped_steps = self.skipped_steps
            self._batch = self._build(flat, active, plans, grads) if grads else None
            self._key, self._flat = key, flat
            self._held_states = list(self.state.values())
            self._numbers = self._found_numbers(plans)
        return self._batch, grads

    def _found_numbers(self, plans: list[tuple[Plan, Plan]]) -> list[Any]:
        """The step counts and scalar states in the states, which a user may have replaced."""
        names = dict.fromkeys(["step", *(name for plan in chain.from_iterable(plans) for name in plan.numbers)])
        found: list[Any] = []
        for name in names:
            try:
                found += [*map(itemgetter(name), self._held_states)]
            except KeyError:  # a state of some, or one that is gone
                found += [state.get(name) for state in self._held_states]
        return found

    def _build(
        self,
        flat: list[torch.Tensor],
        active: list[int] | None,
        plans: list[tuple[Plan, Plan]],
        grads: list[torch.Tensor],
    ) -> Batch | DeviceBatch | Several:
        kind = type(self).__name__
        group_of = [(g, both[p.ndim < 2]) for g, both in zip(self.param_groups, plans) for p in g["params"]]
        members: dict[torch.device | None, list[int]] = {}  # None: what the GPU's kernels do not cover
        found: list[Member] = []
        asked = self._precision
        for place, grad in zip(range(len(flat)) if active is None else active, grads):
            param, (group, plan) = flat[place], group_of[place]
            if grad.layout is not torch.strided:
                raise StateError(
                    f"{kind}: {self._name(param)} has a gradient of layout {grad.layout}; sparse gradients need "
                    "torch.optim.SparseAdam or torch.optim.SGD, or build the embedding with sparse=False"
                )
            if plan.whole and param.is_complex():
                raise StateError(f"{kind}: {self._name(param)} is complex; {plan.graph.name} needs real tensors")
            on_device = covers(param, self.state[param], group, plan)
            device = local(param).device if on_device else None
            if device not in members:
                self._banks.setdefault(device, states.Bank(device or "cpu")).fit(flat, [*chain.from_iterable(plans)])
            try:
                shows = self.rule(group).shows_step or not (self.lookahead is None and self.grafted is None)
                self._banks[device].fill(self.state[param], place, param, group, plan, shows, asked)
            except StateError as error:
                raise StateError(f"{kind}: {self._name(param)}: {error}") from None
            members.setdefault(device, []).append(len(found))
            storages = precision.storages(asked, plan, param, self.state[param])
            found.append(Member(param, self.state[param], group, plan, place, storages))
        parts: list[tuple[list[int], Batch | DeviceBatch]] = []
        for device, places in members.items():
            made = (Batch if device is None else DeviceBatch)([found[i] for i in places], self._banks[device].numbers)
            parts.append((places, made))
        return parts[0][1] if len(parts) == 1 else Several(parts)

    def _name(self, param: torch.Tensor) -> str:
        return states.name_of(self.param_groups, param)

    zero_grad = untraced(torch.optim.Optimizer.zero_grad)

    def __repr__(self) -> str:
        own = [f"    {name}: {getattr(self, name)}" for name, default in OWN.items() if getattr(self, name) != default]
        head, *groups = super().__repr__().split("Parameter Group ")
        for place, scheduled in enumerate(self.schedules):
            for name, schedule in scheduled.items():
                groups[place] = groups[place].replace(f"\n    {name}: ", f"\n    {name}: {schedule!r}, now ", 1)
        return "Parameter Group ".join(["\n".join([head.rstrip("\n"), *own, ""]), *groups])
