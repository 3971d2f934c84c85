"""Follows one model and optimizer through the moments of each step, and calls the probes that the budget allows.

Nothing in the loop changes. Steps are seen by the optimizer's hooks, data and outputs by the model's, the loss by
following `torch.autograd.backward`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ..optim.sharding import is_shared, local
from .guard import Guard
from .parts import Parts, is_flat, needs_others, with_own_batches
from .probes import backward, batch, graph, losses, norms, parameters
from .probes.around import Around
from .probes.batch import Batch
from .probes.hook import Hook
from .probes.layers import Layers
from .probes.origin import origin
from .probes.ring import Ring
from .probes.spikes import Spikes
from .probes.trial import Trial
from .signals import Signals
from .team import joined

SKIPPED = 10
"""Backward passes in a row without a step, their gradients not finite: a GradScaler needs a few to find its scale."""


FEW = 4  # batches that are kept for forks whatever the budget


class Follower:
    """What `Watch` sees through: hooks, guarded and timed, that fill `signals`."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, budget: float, loss: Any = None):
        self.model, self.optimizer = model, optimizer
        self.signals = s = Signals()
        self.guard = Guard(budget, s, self.close)
        s.parameters, self.tensors = parameters.facts(model, optimizer)
        s.facts = parameters.circumstances(model, optimizer, self.tensors)
        self.parts = Parts(model, self.tensors) if any(map(is_shared, self.tensors)) else None
        self.around = Around(optimizer, s, self.tensors, None if self.parts is None else self.parts.factor)
        self.layers = Layers(model, s.parameters)
        self.trial = Trial(model, optimizer)
        self.ring = Ring(model, optimizer)
        self.spikes = Spikes(s, self.ring)
        self.team = joined()
        self.processes = 1  # a step's batch is so many times the model's
        if self.team is not None:
            self.processes = with_own_batches(model, self.tensors, self.team.size)
        self.flat = is_flat(model)  # what parameters do is not seen
        self.tied = needs_others(model, self.team is not None)  # why nothing can be forked or replayed
        if self.tied:
            self.trial.usable, self.trial.start, self.ring.usable = False, None, False
            self.trial.refused.add(f"nothing was tried in forked runs: {self.tied}")
        self._last: Batch | None = None
        self._output: Any = None
        self._structure = False
        self._validation: list[float] = []
        self._phase: tuple[str, int] = ("", -1)
        self._mode = True
        self._small: torch.Tensor | None = None
        self._skipped = self._backwards = 0
        self._values: list[float] = []  # of the backward passes of this step
        self._clean = False  # one of them began from gradients of zero or none
        self._said: float | None = None
        self._told = False  # to the team that a number was not finite
        self._before: list[float] = []  # rates of the step under way
        self._reset()
        timed = self.guard.timed
        self.before_backward = timed(self._before_backward)
        self.after_backward = timed(self._after_backward)
        self._handles: list[Any] = [
            optimizer.register_step_pre_hook(Hook(timed(self._step_pre))),
            optimizer.register_step_post_hook(Hook(timed(self._step_post, always=True))),
            model.register_forward_pre_hook(Hook(timed(self._forward_pre)), with_kwargs=True),
            model.register_forward_hook(Hook(timed(self._forward_post, always=True))),
        ]
        if loss is not None:
            self._handles.append(loss.register_forward_hook(Hook(timed(self._criterion, always=True))))
        backward.follow(self)
        self.guard.budget.begin()

    def close(self) -> None:
        """Take all hooks away."""
        self.guard.closed = True
        if self.team is not None:
            with contextlib.suppress(Exception):  # the store may be gone by then
                self.team.tell(self.signals, self.parts)
        self.layers.detach()
        if self.parts is not None:
            self.parts.detach()
        for handle in self._handles:
            handle.remove()
        backward.leave(self)

    # ---- what the user tells

    def tell_validation(self, value: float) -> None:
        self.signals.validation.append((self.signals.steps, value))

    def tell_loss(self, value: float) -> None:
        self._said = value

    def refused(self, value: float) -> None:
        s = self.signals
        if s.not_finite is None and not math.isfinite(value):
            s.not_finite = {"step": s.steps, "where": "loss", **self._origin()}
        s.loss.append(value)
        s.lr.append(s.lr[-1] if s.lr else math.nan)
        s.batch.append(self._samples())

    # ---- the forward pass

    def _forward_pre(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if not torch.is_grad_enabled():
            return
        self.layers.detach()  # left over if a forward pass failed
        if self.parts is not None and not self._structure:
            self.parts.attach()
        if self.guard.plan["ring"] and self.ring.usable and not self.ring.live and self._backwards == 0:
            self.guard.probe("ring", self.ring.begin, self.signals.steps)
        self._last = batch.seen(args, kwargs, self.ring.live)
        if self.guard.plan["layers"]:
            self.guard.probe("layers", self.layers.attach, self.signals, self.signals.steps, self._from_layers, Hook)

    def _from_layers(self, name: str, what: Callable[..., Any], *args: Any) -> None:
        if self.guard.plan["layers"]:
            with torch.no_grad():
                self.guard.timed(lambda: self.guard.probe(name, what, *args))()

    def _forward_post(self, module: nn.Module, args: Any, output: Any) -> None:
        s = self.signals
        if torch.is_grad_enabled():
            if self.guard.idle:
                return
            self.layers.detach()
            if self.parts is not None:
                self.parts.detach()
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

    # ---- the backward pass

    def _before_backward(self, roots: tuple[Any, ...]) -> None:
        s = self.signals
        if self._output is None and s.counts["forward_seen"]:
            return  # of another model
        s.counts["forward_seen"] += self._output is not None
        zero = self._is_zero()
        self._clean = self._clean or zero
        if zero:
            self._skipped += self._backwards > 0
            self._values, self._backwards, self.ring.pending = [], 0, []
        root = next((r for r in roots if isinstance(r, torch.Tensor) and r.numel() == 1 and r.grad_fn), None)
        root = None if root is None or is_shared(root) else root  # its number may take a collective
        self._backwards += 1
        if root is None:
            return
        value = float(root.detach()) / losses.scale(root)
        self._values.append(value)
        s.counts["steps_in_evaluation"] += not self._mode
        if not self._structure:
            self._structure = True
            held = self.tensors if self.parts is None else self.parts.in_graph()
            if not self.guard.probe("losses", graph.read, root, s.parameters, held, self._strangers()):
                self.guard.note("the graph of the loss is too large to be read: what follows a layer is not known")
        if self.guard.plan["losses"]:
            self.guard.probe("losses", self._read_loss, root, value)
        elif self.ring.live or len(self.trial.batches) < FEW:
            self.guard.probe("ring", lambda: self._keep(losses.find(root), value))
        if s.not_finite is None and not math.isfinite(value):
            s.not_finite = {"step": s.steps, "where": "loss", **self._origin()}
        self._output = None

    def _strangers(self) -> list[Any]:
        """Where parameters go that the loss has and the model has not."""
        found: list[Any] = self.signals.facts.setdefault("strangers", [])
        return found

    def _read_loss(self, root: torch.Tensor, value: float) -> None:
        found = losses.find(root)
        if found is not None:
            seen = losses.count(found, self.signals.steps, value, 0 if self._last is None else self._last.samples)
            self.signals.add(self.signals.losses, seen)
        self._keep(found, value)

    def _keep(self, found: losses.Found | None, value: float) -> None:
        known = self.trial.known(self._last, self._output, found, value)
        if known is None:
            self.ring.lose()
            return
        self.trial.keep(known)
        if self.ring.live:
            self.ring.pending.append(known)

    def _samples(self) -> int:
        return 0 if self._last is None else self._last.samples * self.processes

    def _origin(self) -> dict[str, Any]:
        self.guard.paused = True
        try:
            return origin(self.model, self._last, replay=not self.tied)
        finally:
            self.guard.paused = False

    def _after_backward(self) -> None:
        if self.guard.plan["norms"] and self._backwards:
            self.guard.probe("norms", self.around.after_backward)
        if self._skipped >= SKIPPED and self.signals.not_finite is None:
            self._overflowed()

    def _overflowed(self) -> None:
        """No step is taken any more: is that since gradients are not finite, as a GradScaler would have it?"""
        grads = self.around.gradients
        names = self.around.not_finite(grads, norms.norms(grads))
        if names and all(map(math.isfinite, self._values)):
            self.signals.not_finite = {
                "step": self.signals.steps,
                "where": "gradient",
                "gradients": names,
                "skipped": self._skipped,
            }

    def _is_zero(self) -> bool:
        """Are gradients empty before this backward? Told by one small parameter that had one."""
        probe = self._small
        if probe is None:
            return all(g is None or g.is_sparse or not bool(g.any()) for g in self.around.gradients)
        return probe.grad is None or not bool(local(probe.grad).any())

    # ---- the step

    def _reset(self) -> None:
        self._values, self._backwards, self._clean, self._said = [], 0, False, None
        self.around.reset()

    def _rates(self) -> list[float]:
        return [parameters.rate(g) for g in self.optimizer.param_groups]

    def _step_pre(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        s = self.signals
        if s.steps == 0:
            s.facts["lr_moved_first"] = bool(s.facts["scheduled_at_start"] and self._rates() != s.facts["lr_at_start"])
        self._before = self._rates() if self.ring.live else []
        if self.guard.plan["norms"]:
            bad = self.guard.probe("norms", self.around.before_step, self._backwards > 0)
            if bad and s.not_finite is None and all(map(math.isfinite, self._values)):
                s.not_finite = {"step": s.steps, "where": "gradient", "gradients": bad}

    def _step_post(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        s = self.signals
        if self.guard.idle:
            self.ring.lose()
            s.loss.append(math.nan)
            s.lr.append(s.lr[-1])
            s.batch.append(0)
            return self.guard.rest()
        seen = sum(self._values) / len(self._values) if self._values else math.nan
        value = seen if self._said is None else self._said
        lr = max(self._rates(), default=math.nan)
        if self._backwards and not self._clean and s.steps > 0:
            s.counts["not_zeroed"] += 1
        s.counts["seen_backward"] += self._backwards > 0
        if self._validation:
            self.tell_validation(sum(self._validation) / len(self._validation))
            self._validation = []
        if self.guard.plan["norms"] and self.around.weights is not None:
            self.guard.probe("norms", self.around.after_step, value, lr, self._samples())
        if self._small is None or (s.steps < 50 and self._small.grad is None):
            self._choose_small()
        if self.layers.found:
            s.add(s.layers, (s.steps, self.layers.found))
            if self.layers.inputs is not None:
                s.add(s.inputs, self.layers.inputs)
            self.layers.found = {}
        if self.ring.live:
            self.guard.probe("ring", self.ring.ended, s.steps, value, self._before)
        self.spikes.see(value, self._samples())
        s.loss.append(value)
        s.lr.append(lr)
        self.trial.top = max(self.trial.top, lr) if math.isfinite(lr) else self.trial.top
        s.batch.append(self._samples())
        if self.team is not None and (self.team.due(s.steps) or self._not_told()):
            self._tell()
        self._skipped = 0
        self._reset()
        self.guard.next_step(norms=self.around.wants_next, ring=self.ring.live)
        if self.parts is not None and self.team is not None and self.team.due(s.steps):  # all look at these steps
            self.guard.plan["norms"], self.guard.idle = self.guard.budget.accounts["norms"].on, False

    def _not_told(self) -> bool:
        new = self.signals.not_finite is not None and not self._told
        self._told = self._told or new
        return new

    def _tell(self) -> None:
        assert self.team is not None
        own = self.processes == self.team.size
        if own and self._last is not None and len(self.team.batches) < 64:
            self.team.batches[self.signals.steps] = self._last.fingerprint
        self.team.tell(self.signals, self.parts)

    def _choose_small(self) -> None:
        held = [self.tensors[i] for i in self.around.trained]
        found = [p for p in held if p.grad is not None and not p.grad.is_sparse and bool(local(p.grad).any())]
        self._small = min(found, key=lambda p: p.numel(), default=None)
