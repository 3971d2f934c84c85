"""Follows one model and optimizer through the moments of each step, and calls the probes that the budget allows.

Nothing in the loop changes. Steps are seen by the optimizer's hooks, data and outputs by the model's, the loss by
following `torch.autograd.backward`. What fails here is switched off and noted; it never reaches the loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from .budget import Budget
from .probes import backward, graph, losses, norms, parameters
from .probes.hook import Hook
from .probes.layers import Layers
from .probes.origin import origin, tensors
from .probes.trial import Trial
from .signals import Sample, Signals

PROBES = {"losses": 0.25, "norms": 0.4, "layers": 0.2}
"""Parts of the budget; the rest is what following the loop itself costs, about 20 us a step."""
SPIKE = 6.0
"""Deviations from the loss's recent mean, and half of that mean: a spike. Losses of batches are skewed; at 6, none in
healthy runs of the tests."""


class Follower:
    """What `Watch` sees through: hooks, guarded and timed, that fill `signals`."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, budget: float, loss: Any = None):
        self.model, self.optimizer = model, optimizer
        self.signals = Signals()
        self.notes: list[str] = []
        self.budget = Budget(budget, PROBES)
        self.signals.parameters, self.tensors = parameters.facts(model, optimizer)
        place = {id(p): i for i, p in enumerate(self.tensors)}
        self._trained = [place[id(p)] for g in optimizer.param_groups for p in g["params"] if id(p) in place]
        self._layers = Layers(model, self.signals.parameters)
        self.trial = Trial(model, optimizer)
        self.signals.facts = parameters.circumstances(model, optimizer, self.tensors)
        self.paused = self.closed = False
        self._plan = dict.fromkeys(PROBES, True)
        self._idle = False  # this step is not followed: that alone would cost more than the budget
        self._pair = False
        self._previous: tuple[int, list[torch.Tensor], float] | None = None
        self._last: tuple[Any, Any] | None = None  # the last batch
        self._output: Any = None
        self._said: float | None = None
        self._reset()
        self._structure = False
        self._level = [math.nan, 0.0]  # running mean and mean square of differences of the loss
        self._validation: list[float] = []
        self._phase: tuple[str, int] = ("", -1)
        self._mode = True
        self._small: torch.Tensor | None = None
        self.before_backward = self._timed(self._before_backward)
        self.after_backward = self._timed(self._after_backward)
        self._handles: list[Any] = [
            optimizer.register_step_pre_hook(Hook(self._timed(self._step_pre))),
            optimizer.register_step_post_hook(Hook(self._timed(self._step_post, always=True))),
            model.register_forward_pre_hook(Hook(self._timed(self._forward_pre)), with_kwargs=True),
            model.register_forward_hook(Hook(self._timed(self._forward_post, always=True))),
        ]
        if loss is not None:
            self._handles.append(loss.register_forward_hook(Hook(self._timed(self._criterion, always=True))))
        backward.follow(self)
        self.budget.begin()

    def close(self) -> None:
        """Take all hooks away."""
        self.closed = True
        self._layers.detach()
        for handle in self._handles:
            handle.remove()
        backward.leave(self)

    def tell_validation(self, value: float) -> None:
        self.signals.validation.append((self.signals.steps, value))

    def refused(self, value: float) -> None:
        s = self.signals
        if s.not_finite is None and not math.isfinite(value):
            s.not_finite = {"step": s.steps, "where": "loss", **self._origin()}
        s.loss.append(value)
        s.lr.append(s.lr[-1] if s.lr else math.nan)
        s.batch.append(self._batch())

    def tell_loss(self, value: float) -> None:
        self._said = value

    # ---- guarded, timed

    def _timed(self, what: Callable[..., None], always: bool = False) -> Callable[..., None]:
        """Adds its time to the overhead; nothing that fails in it reaches the loop. Rests in idle steps."""

        def run(*args: Any) -> None:
            if self.paused or self.closed or (self._idle and not always):
                return
            began = time.perf_counter()
            try:
                what(*args)
            except Exception as error:
                self._failed(what.__name__.strip("_"), error)
            self.budget.spent += time.perf_counter() - began

        return run

    def _probe(self, name: str, what: Callable[..., Any], *args: Any) -> Any:
        """Run a part of a probe and charge it; if it fails the probe is switched off."""
        began = time.perf_counter()
        try:
            return what(*args)
        except Exception as error:
            self.budget.accounts[name].on = self._plan[name] = False
            self._failed(name, error)
            return None
        finally:
            self.budget.pay(name, time.perf_counter() - began)

    def _failed(self, name: str, error: Exception) -> None:
        note = f"{name} failed at step {self.signals.steps} ({type(error).__name__}: {error}) and is switched off"
        if name not in PROBES:
            self.signals.counts["failed"] += 1
            if self.signals.counts["failed"] >= 3:
                note = f"watching ended at step {self.signals.steps}: {type(error).__name__}: {error}"
                self.close()
        if note not in self.notes and len(self.notes) < 20:
            self.notes.append(note)

    # ---- the moments of a step

    def _reset(self) -> None:
        self._values: list[float] = []
        self._clean = False  # some backward began from gradients of zero or none
        self._backwards = 0
        self._said = None
        self._before_clip = math.nan
        self._weights: list[torch.Tensor] | None = None
        self._grads: Any = None
        self._after_clip = math.nan
        self._stale = math.nan

    def _forward_pre(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if not torch.is_grad_enabled():
            return
        self._layers.detach()  # left over if a forward pass failed
        self._last = (args, kwargs)
        if self._plan["layers"]:
            self._probe("layers", self._layers.attach, self.signals, self.signals.steps, self._from_layers, Hook)

    def _from_layers(self, name: str, what: Callable[..., Any], *args: Any) -> None:
        if self.paused or self.closed or not self._plan["layers"]:
            return
        began = time.perf_counter()
        with torch.no_grad():
            self._probe(name, what, *args)
        self.budget.spent += time.perf_counter() - began

    def _forward_post(self, module: nn.Module, args: Any, output: Any) -> None:
        s = self.signals
        if torch.is_grad_enabled():
            if self._idle:
                return
            self._layers.detach()
            self._output, self._mode = output, module.training
            return
        if s.steps == 0:
            return
        key = "scored_in_training" if module.training else "scored"
        s.counts[f"{key}_batches"] += 1
        if self._phase != (key, s.steps):
            self._phase = (key, s.steps)
            s.counts[key] += 1

    def _criterion(self, module: nn.Module, args: Any, output: Any) -> None:
        if not torch.is_grad_enabled() and isinstance(output, torch.Tensor) and output.numel() == 1:
            self._validation.append(float(output))

    def _before_backward(self, roots: tuple[Any, ...]) -> None:
        s = self.signals
        if self._output is None and s.counts["forward_seen"]:
            return  # of another model
        s.counts["forward_seen"] += self._output is not None
        zero = self._is_zero()
        self._clean = self._clean or zero
        if zero:
            self._values, self._backwards = [], 0
        root = next((r for r in roots if isinstance(r, torch.Tensor) and r.numel() == 1 and r.grad_fn), None)
        self._backwards += 1
        if root is None:
            return
        scale = losses.scale(root)
        value = float(root.detach()) / scale
        self._values.append(value)
        s.counts["steps_in_evaluation"] += not self._mode
        if not self._structure:
            self._structure = True
            if not self._probe("losses", graph.read, root, s.parameters, self.tensors):
                self.notes.append("the graph of the loss is too large to be read: what follows a layer is not known")
        if self._plan["losses"]:
            self._probe("losses", self._read_loss, root, value)
        if s.not_finite is None and not math.isfinite(value):
            s.not_finite = {"step": s.steps, "where": "loss", **self._origin()}
        self._output = None

    def _read_loss(self, root: torch.Tensor, value: float) -> None:
        found = losses.find(root)
        if found is None:
            return
        size = self._batch()
        seen = losses.count(found, self.signals.steps, value, size)
        self.signals.add(self.signals.losses, seen)
        self.trial.keep(self._last, self._output, found)

    def _batch(self) -> int:
        found = tensors(self._last) if self._last is not None else []
        return len(found[0]) if found and found[0].ndim else 0

    def _origin(self) -> dict[str, Any]:
        self.paused = True
        try:
            return origin(self.model, self._last)
        finally:
            self.paused = False

    def _after_backward(self) -> None:
        if self._plan["norms"] and self._backwards:
            self._before_clip = norms.total(self._probe("norms", norms.norms, self._gradients()))

    def _gradients(self) -> list[torch.Tensor | None]:
        return [self.tensors[i].grad for i in self._trained]

    def _is_zero(self) -> bool:
        """Are gradients empty before this backward? Told by one small parameter that had one."""
        probe = self._small
        if probe is None:
            return all(g is None or g.is_sparse or not bool(g.any()) for g in self._gradients())
        return probe.grad is None or not bool(probe.grad.any())

    def _step_pre(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        s = self.signals
        if s.steps == 0:
            self._first_step()
        if self._plan["norms"]:
            self._probe("norms", self._norms_before)

    def _first_step(self) -> None:
        now = [parameters.rate(group) for group in self.optimizer.param_groups]
        scheduled = self.signals.facts["scheduled_at_start"]
        self.signals.facts["lr_moved_first"] = bool(scheduled and now != self.signals.facts["lr_at_start"])

    def _norms_before(self) -> None:
        held = [self.tensors[i] for i in self._trained]
        self._weights = [p.detach().clone() for p in held]
        if self._backwards:
            grads = self._gradients()
            self._grads = norms.norms(grads)
            self._after_clip = norms.total(self._grads)
            pairs = zip(self._trained, grads, self._grads)
            bad = [i for i, g, size in pairs if g is not None and not math.isfinite(size)]
            if bad and self.signals.not_finite is None and all(map(math.isfinite, self._values)):
                names = [self.signals.parameters[i].name for i in bad]
                self.signals.not_finite = {"step": self.signals.steps, "where": "gradient", "gradients": names}
            self._stale = norms.staleness(self.optimizer, held, self._grads)

    def _step_post(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        s = self.signals
        if self._idle:
            s.loss.append(math.nan)
            s.lr.append(s.lr[-1])
            s.batch.append(0)
            self._idle = not self.budget.follows()
            return self.budget.tick()
        value = (
            self._said
            if self._said is not None
            else (sum(self._values) / len(self._values) if self._values else math.nan)
        )
        lr = max((parameters.rate(g) for g in self.optimizer.param_groups), default=math.nan)
        if self._backwards and not self._clean and s.steps > 0:
            s.counts["not_zeroed"] += 1
        s.counts["seen_backward"] += self._backwards > 0
        if self._validation:
            self.tell_validation(sum(self._validation) / len(self._validation))
            self._validation = []
        if self._plan["norms"] and self._weights is not None:
            self._probe("norms", self._norms_after, value, lr)
            self.budget.looked("norms")
        if self._small is None or (s.steps < 50 and self._small.grad is None):
            self._choose_small()
        if self._layers.found:
            s.add(s.layers, (s.steps, self._layers.found))
            if self._layers.inputs is not None:
                s.add(s.inputs, self._layers.inputs)
            self._layers.found = {}
        for name in ("losses", "layers"):
            if self._plan[name]:
                self.budget.looked(name)
        self._spike(value)
        s.loss.append(value)
        s.lr.append(lr)
        self.trial.top = max(self.trial.top, lr) if math.isfinite(lr) else self.trial.top
        s.batch.append(self._batch())
        self._plan = {name: self.budget.may(name) for name in PROBES}
        self._plan["norms"] = self._plan["norms"] or (self._pair and self.budget.accounts["norms"].on)
        self._reset()
        self._idle = not self.budget.follows()
        self.budget.tick()

    def _choose_small(self) -> None:
        held = [self.tensors[i] for i in self._trained]
        found = [p for p in held if p.grad is not None and not p.grad.is_sparse and bool(p.grad.any())]
        self._small = min(found, key=lambda p: p.numel(), default=None)

    def _norms_after(self, value: float, lr: float) -> None:
        s = self.signals
        assert self._weights is not None
        held = [self.tensors[i] for i in self._trained]
        if self._grads is None:  # the step made its own backward passes
            self._grads = norms.norms(self._gradients())
            self._after_clip = self._before_clip = norms.total(self._grads)
        size = norms.norms(self._weights)
        with torch.no_grad():
            moved = torch._foreach_sub([p.detach() for p in held], self._weights)
        update = norms.norms(list(moved))
        grads = self._gradients()
        dense = [(g, u) for g, u in zip(grads, moved) if g is not None and not g.is_sparse]
        scale = self._after_clip * norms.total(update)
        along = norms.dot([g for g, _ in dense], [u for _, u in dense]) / scale if scale > 0 else math.nan
        full: list[Any] = [np.full(len(self.tensors), math.nan) for _ in range(3)]
        for into, values in zip(full, (self._grads, size, update)):
            into[self._trained] = values
        s.add(
            s.samples,
            Sample(
                s.steps, value, lr, full[0], full[1], full[2], self._before_clip, self._after_clip, along, self._stale
            ),
        )
        self._dead(grads)
        self._noise([g for g, _ in dense])

    def _dead(self, grads: list[torch.Tensor | None]) -> None:
        """Rows of a weight that got no gradient at all."""
        s = self.signals
        for i, g in zip(self._trained, grads):
            p = s.parameters[i]
            if p.kind == "weight" and g is not None and not g.is_sparse and p.shape[0] >= 8:
                s.remember_dead(p.name, (g == 0).flatten(1).all(1).cpu().numpy())

    def _noise(self, grads: list[torch.Tensor]) -> None:
        """Products of the gradients of neighbouring steps: what the noise scale is estimated from."""
        s = self.signals
        square = self._after_clip**2
        if self._previous is not None and self._previous[0] == s.steps - 1:
            kept = self._previous[1]
            if len(kept) == len(grads):
                s.add(s.dots, (s.steps, self._batch(), norms.dot(kept, grads), self._previous[2], square))
            self._previous, self._pair = None, False
        elif math.isfinite(square):
            self._previous = (s.steps, [g.detach().clone() for g in grads], square)
            self._pair = True

    def _spike(self, value: float) -> None:
        s = self.signals
        ring = {"step": s.steps, "loss": value}
        if s.samples and s.samples[-1].step == s.steps:
            last = s.samples[-1]
            ring |= {"gradient": last.before_clip, "update": norms.total(last.update), "staleness": last.stale}
        level, square = self._level
        if math.isfinite(value):
            if math.isfinite(level) and s.steps > 30:
                jump = value - level
                if jump > SPIKE * math.sqrt(square) and jump > 0.5 * abs(level) and len(s.spikes) < 20:
                    s.spikes.append({**ring, "usual": level, "before": list(s.recent), "batch": self._batch()})
            step = value - level if math.isfinite(level) else 0.0
            self._level = [value if math.isnan(level) else level + 0.1 * step, square + 0.1 * (step * step - square)]
        s.recent.append(ring)
