"""One optimizer for many trials: parameters stacked, settings for each, one native call a step."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..backends import cpu
from ..compiler.plan import Plan
from ..errors import SettingError, StateError
from . import settings as checks
from . import stacked_eager, stacked_once, states
from .around import CHECKS, HANDED
from .base import Optimizer
from .follow import at
from .stacked_rows import Rows
from .stage import note_change, source

Make = Callable[[int, Iterable[torch.nn.Parameter]], Optimizer]


@dataclass
class Clock:
    """Parameters that have had a gradient in the same steps, and so share their once-per-step values.

    `numbers` holds, for each trial, the step count and then the scalar states, in the precision that they have in an
    optimizer of one trial."""

    places: list[int]
    numbers: np.ndarray

    def split(self, inside: set[int]) -> list[Clock]:
        """One for those inside and one for the others, where there are both."""
        yes, no = [i for i in self.places if i in inside], [i for i in self.places if i not in inside]
        return [Clock(yes, self.numbers), Clock(no, self.numbers.copy())] if yes and no else [self]


class Stacked:
    """K trials' optimizers as one: every parameter is a tensor [K, ...], contiguous, and each trial has its settings.

    `make(k, parameters)` makes the optimizer of trial k, one of downslope's; `Stacked.of` takes a class and a
    dictionary of settings for each trial instead. Settings are those of the class and of every downslope optimizer:
    numbers or schedules, which may differ by trial, as may all that chooses between formulas; `max_norm` clips each
    trial by its own global norm. The bits are those of K separate optimizers wherever the compiled kernels run: on the
    CPU. Other devices go through torch operations over all trials at once; formulas that need whole tensors (Muon),
    complex parameters, `state_dtype` and `param_mode` go through one optimizer for each trial.

    A step costs one data_ptr() for each gradient, some 50 us for the values of 64 trials, 2 us for each schedule, and
    the pass over memory.
    Raises SettingError as the optimizer itself does, and for parameters that are not stacked.
    """

    def __init__(self, parameters: Sequence[torch.Tensor], make: Make, count: int):
        self.params = list(parameters)
        for p in self.params:
            if p.ndim == 0 or len(p) != count or not p.is_contiguous():
                raise SettingError(
                    f"stacked: a parameter has shape {tuple(p.shape)}, strides {p.stride()}; give contiguous tensors "
                    f"whose first dimension is the {count} trials"
                )
        # Each trial's own optimizer: takes its steps, or only knows its settings.
        self._pilots = [make(k, [torch.nn.Parameter(p.detach()[k]) for p in self.params]) for k in range(count)]
        self.steps = np.zeros(count, dtype=np.int64)  # the schedules' place, trial by trial
        self.skipped_steps = np.zeros(count, dtype=np.int64)
        self.states: list[dict[str, torch.Tensor]] = [{} for _ in self.params]
        self._clocks: list[Clock] = []
        self._grads: list[torch.Tensor] = []
        self._swapped = False
        plans = self._plans()
        self._alone: list[Optimizer] | None = None
        stored = any(pilot._precision.chosen or pilot.param_mode != "nearest" for pilot in self._pilots)
        if stored or any(plan.whole for plan in plans) or any(p.is_complex() for p in self.params):
            self._alone = self._pilots
        else:
            for pilot in self._pilots:
                pilot.param_groups[0]["params"] = []
        self._read_settings()

    @classmethod
    def of(
        cls, kind: type[Optimizer], parameters: Sequence[torch.Tensor], settings: Sequence[Mapping[str, Any]]
    ) -> Stacked:
        """Of a class and the settings of each trial."""
        return cls(parameters, lambda k, own: kind(own, **settings[k]), len(settings))

    def __len__(self) -> int:
        return len(self._pilots)

    # ---- settings

    def _plans(self) -> list[Plan]:
        found = []
        for pilot in self._pilots:
            if len(pilot.param_groups) != 1 or pilot.param_groups[0].get("differentiable"):
                raise SettingError(f"{type(pilot).__name__}: differentiable=True and param groups cannot be stacked")
            found.append(pilot._plan(pilot.param_groups[0]))
        return found

    def _read_settings(self) -> None:
        """What follows schedules, and what does not, of the trials that there are."""
        self._columns: dict[str, np.ndarray] = {}  # by the name of a plan's scalar, once it is asked for
        self._scheduled: list[tuple[int, str, Any, Any]] = []
        for k, pilot in enumerate(self._pilots):
            for name, schedule in pilot.schedules[0].items():
                self._scheduled.append((k, name, schedule, pilot.setting_defaults[name]))
        self._choosing = {k for k, name, *_ in self._scheduled if name != "lr"}  # may come to choose another formula
        self._own = {
            name: [(k, value) for k, pilot in enumerate(self._pilots) if (value := getattr(pilot, name)) is not None]
            for name in CHECKS
        }
        self._careful = np.array([pilot.skip_nonfinite for pilot in self._pilots])
        self._active: list[int] | None = None

    def schedules(self, trial: int) -> dict[str, Any]:
        """The schedules that a trial's settings follow, by the setting: where to find a plateau to update."""
        return self._pilots[trial].schedules[0]

    def _follow(self) -> None:
        for k, name, schedule, default in self._scheduled:
            pilot = self._pilots[k]
            value = at(schedule, int(self.steps[k]))
            if name != "lr" or not value >= 0:
                checks.check(type(pilot).__name__, name, value, default)
            pilot.param_groups[0][name] = value
            for i, each in enumerate(value) if isinstance(value, tuple) else ((None, value),):
                column = self._columns.get(name if i is None else f"{name}[{i}]")
                if column is not None:
                    column[k] = each
        for k in self._choosing if self._active is not None else ():
            pilot, before = self._pilots[k], self._plan_of[k]
            now = pilot._plan(pilot.param_groups[0])
            if now is not before:
                self._active = None  # the tables are made again
                if set(now.tensors) != set(before.tensors) or [*now.updates] != [*before.updates]:
                    raise SettingError(
                        f"{type(pilot).__name__}: a schedule turns {before.graph.name} into {now.graph.name}, which "
                        "keeps other states; such a trial cannot be stacked"
                    )

    def _column(self, scalar: str) -> np.ndarray:
        if scalar not in self._columns:
            name, i = source(scalar)
            groups = [pilot.param_groups[0] for pilot in self._pilots]
            self._columns[scalar] = np.array(
                [np.nan if name not in g else float(g[name] if i is None else g[name][i]) for g in groups]
            )
        return self._columns[scalar]

    def _options(self) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """The scalars of the transforms, and which trials are to be skipped, if any."""
        options, bad = {"unscale": np.ones(len(self))}, None
        for name, given in self._own.items():
            if given:
                options[name] = column = np.full(len(self), np.nan)
                for k, value in given:
                    column[k] = now = at(value, int(self.steps[k]))
                    if now is not value:
                        checks.check_number(type(self._pilots[k]).__name__, name, now, CHECKS[name])
        if "max_norm" in options or self._careful.any():
            norm = np.array([total**0.5 for total in self._sums_of_squares().tolist()])
            if self._careful.any():
                for k in np.flatnonzero(self._careful & ~(norm < np.inf)).tolist():
                    if not all(bool(torch.isfinite(g[k]).all()) for g in self._grads):
                        bad = np.zeros(len(self), dtype=bool) if bad is None else bad
                        bad[k] = True
            if "max_norm" in options:
                with np.errstate(all="ignore"):
                    coefficient = options.pop("max_norm") / (norm + 1e-6)
                options["clip_coef"] = np.where(coefficient > 1.0, 1.0, coefficient)
        return {HANDED.get(name, name): value for name, value in options.items()}, bad

    # ---- the step

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters that have a gradient, for every trial."""
        if self._swapped:
            raise StateError("stacked: the parameters hold their average; leave swap_average() before the next step")
        if self._alone is not None:
            for k, optimizer in enumerate(self._alone):
                for single, p in zip(optimizer.param_groups[0]["params"], self.params):
                    single.grad = None if p.grad is None else p.grad[k]
                optimizer.step()
            return
        self._follow()
        active = [i for i, p in enumerate(self.params) if p.grad is not None]
        if active:
            if active != self._active or [self.params[i].data_ptr() for i in active] != self._addresses:
                self._build(active)
            self._take([self.params[i].grad for i in active])  # type: ignore[misc]
            options, bad = self._options()
            self._compute(options, bad)
            self._launch(bad)
            self._grads = []
            if bad is not None:
                self.skipped_steps += bad
                self.steps += ~bad
                return
        self.steps += 1

    def zero_grad(self) -> None:
        for p in self.params:
            p.grad = None

    def _build(self, active: list[int]) -> None:
        """Tables for a set of parameters; made again when it, a formula or an address changes."""
        count, plans = len(self), self._plans()
        self._plan_of, self._active = plans, active
        self._addresses = [self.params[i].data_ptr() for i in active]
        self._groups = {
            plan: np.flatnonzero([p is plan for p in plans]) for plan in dict.fromkeys(plans)
        }  # the trials of each formula
        self._keep_time(active)
        for i in active:
            self._start_states(i)
        place = {i: j for j, i in enumerate(active)}
        self._line = np.zeros(len(active), dtype=np.int64)
        for c, clock in enumerate(self._ticking):
            self._line[[place[i] for i in clock.places]] = c
        width = max(len(plan.slots) for plan in plans)
        self._slots = np.zeros((len(self._ticking), count, max(width, 1)))
        quick = [p.device.type == "cpu" and cpu.covers(p.dtype, ()) for p in self.params]
        self._quick = [j for j, i in enumerate(active) if quick[i]]
        self._slow = [j for j, i in enumerate(active) if not quick[i]]
        places = [active[j] for j in self._quick]
        self._rows = None
        if places:
            params, own = [self.params[i] for i in places], [self.states[i] for i in places]
            self._rows = Rows(params, own, self._groups, self._line[self._quick], self._slots)

    def _keep_time(self, active: list[int]) -> None:
        """Clocks that have all of their parameters among the active ones, or none."""
        updates = max(len(plan.updates) for plan in self._plan_of)
        known = {i for clock in self._clocks for i in clock.places}
        new = [i for i in active if i not in known]
        double = torch.get_default_dtype() == torch.float64
        if new:
            numbers = np.zeros((len(self), 1 + updates), dtype=np.float64 if double else np.float32)
            for plan, trials in self._groups.items():
                for u, name in enumerate(plan.updates):
                    numbers[trials, 1 + u] = [self._initial(plan, name, k) for k in trials.tolist()]
            self._clocks.append(Clock(new, numbers))
        self._clocks = [part for clock in self._clocks for part in clock.split(set(active))]
        self._ticking = [clock for clock in self._clocks if clock.places[0] in set(active)]

    def _initial(self, plan: Plan, name: str, trial: int) -> float:
        value = plan.graph.states[name]
        return states.initial(value, self._pilots[trial].param_groups[0])

    def _start_states(self, i: int) -> None:
        p, own = self.params[i].detach(), self.states[i]
        names = dict.fromkeys(name for plan in self._groups for name in plan.tensors[2:] if name not in own)
        own.update((name, torch.zeros_like(p)) for name in names)
        for plan, trials in self._groups.items():
            for name in names.keys() & set(plan.tensors[2:]):
                for k in trials.tolist():
                    if plan.graph.states[name] == "p":
                        own[name][k].copy_(p[k])
                    elif number := self._initial(plan, name, k):
                        own[name][k].fill_(number)

    def _take(self, grads: list[torch.Tensor]) -> None:
        self._grads = [
            g if g.is_contiguous() and not g.is_neg() and g.dtype is p.dtype else _plain(g, p)
            for g, p in zip(grads, (self.params[i] for i in self._active or ()))
        ]
        if self._rows is not None:
            self._rows.take([self._grads[j] for j in self._quick])

    def _sums_of_squares(self) -> np.ndarray:
        """Of each trial's gradients, in double."""
        total = np.zeros(len(self)) if self._rows is None else self._rows.sums_of_squares()
        for j in self._slow:
            norms = torch.linalg.vector_norm(self._grads[j].reshape(len(self), -1), dim=1, dtype=torch.float64)
            total += norms.cpu().numpy() ** 2
        return total

    def _compute(self, options: dict[str, np.ndarray], bad: np.ndarray | None) -> None:
        """The values of the slots, and the scalar states' new ones."""
        for c, clock in enumerate(self._ticking):
            kept = clock.numbers.copy() if bad is not None else None
            for plan, trials in self._groups.items():
                numbers = clock.numbers[trials]
                known = {"t": numbers[:, 0].astype(np.float64) + 1.0}
                known |= {name: numbers[:, 1 + u].astype(np.float64) for u, name in enumerate(plan.updates)}
                columns = [
                    known[s] if s in known else (options[s] if s in options else self._column(s))[trials]
                    for s in plan.scalars
                ]
                values = stacked_once.build(plan)(columns, len(trials))
                slots = len(plan.slots)
                self._slots[c, trials, :slots] = values[:, :slots]
                clock.numbers[trials, 1 : 1 + len(plan.updates)] = values[:, slots:]
            clock.numbers[:, 0] += 1
            if kept is not None:
                clock.numbers[bad] = kept[bad]

    def _launch(self, bad: np.ndarray | None) -> None:
        if self._rows is not None:
            self._rows.update(bad)
            note_change([self.params[(self._active or ())[j]] for j in self._quick])
        for j in self._slow:
            i = (self._active or ())[j]
            tensors = {"p": self.params[i], "g": self._grads[j], **self.states[i]}
            for plan, trials in self._groups.items():
                done = trials if bad is None else trials[~bad[trials]]
                stacked_eager.run(plan, tensors, self._slots[self._line[j]], done)

    # ---- trials and states

    @torch.no_grad()
    def compact(self, keep: Sequence[int]) -> list[torch.Tensor]:
        """Go on with some of the trials, in the order given: their parameters, newly stacked, which are returned.

        Costs a copy of the parameters and states that are kept."""
        index = torch.as_tensor(list(keep), dtype=torch.int64)
        kept = np.asarray(index)

        def chosen(t: torch.Tensor) -> torch.Tensor:
            return t.detach().index_select(0, index.to(t.device))

        self.params = [chosen(p).requires_grad_(p.requires_grad) for p in self.params]
        self.states = [{name: chosen(t) for name, t in own.items()} for own in self.states]
        for clock in self._clocks:
            clock.numbers = clock.numbers[kept]
        self._pilots = [self._pilots[k] for k in keep]
        self.steps, self.skipped_steps = self.steps[kept], self.skipped_steps[kept]
        if self._alone is not None:
            self._alone = self._pilots
            for k, optimizer in enumerate(self._alone):
                for single, p in zip(optimizer.param_groups[0]["params"], self.params):
                    single.grad, single.data = None, p.detach()[k]
        self._read_settings()
        return self.params

    def state_of(self, trial: int) -> list[dict[str, torch.Tensor]]:
        """The states of a trial's parameters, by name, as its own optimizer holds them; views, but for the numbers."""
        if self._alone is not None:
            one = self._alone[trial]
            return [one.state[p] for p in one.param_groups[0]["params"]]
        pilot, plan = self._pilots[trial], self._plans()[trial]
        made: list[dict[str, torch.Tensor]] = [{} for _ in self.params]
        for clock in self._clocks:
            for i in clock.places:
                numbers = torch.from_numpy(clock.numbers[trial].copy())
                made[i] = {"step": numbers[0]} if pilot.shows_step else {}
                made[i] |= {name: numbers[1 + u] for u, name in enumerate(plan.updates)}
                made[i] |= {name: self.states[i][name][trial] for name in plan.tensors[2:]}
        return made

    def state_bytes(self) -> list[int]:
        """How much memory each trial's states take, without the step counts."""
        return [
            sum(t.nbytes for state in self.state_of(k) for name, t in state.items() if name != "step")
            for k in range(len(self))
        ]

    @contextlib.contextmanager
    def swap_average(self) -> Iterator[None]:
        """Inside, the parameters of the trials that keep an average (`ema=`) hold it. Costs a copy of them."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for k, pilot in enumerate(self._pilots):
            if pilot.ema is None:
                continue
            if self._alone is not None:
                self._alone[k]._swap()
                continue
            for p, own in zip(self.params, self.states):
                if "ema" in own:
                    kept = p[k].clone()
                    p[k].copy_(own["ema"][k])
                    own["ema"][k].copy_(kept)
        self._swapped = not self._swapped


def _plain(grad: torch.Tensor, param: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(param, requires_grad=False).copy_(grad.detach())
