"""Follows one model and optimizer through the moments of each step, and calls the probes that the budget allows.

Nothing in the loop changes. Steps are seen by the optimizer's hooks, data and outputs by the model's, the loss by
following `torch.autograd.backward`. A step that no probe looks at costs some 40 us, one that rests 3."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch import nn

from ..optim.sharding import is_shared, local
from .guard import Guard
from .hooks import FOLLOW, Hooks
from .parts import Parts, is_flat, needs_others, with_own_batches
from .probes import batch, graph, losses, norms, parameters
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

FEW, TRIES = 4, 16  # batches that are kept for forks whatever the budget, and steps in which they are looked for


class Follower:
    """What `Watch` sees through: hooks, guarded and timed, that fill `signals`."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, budget: float, loss: Any = None):
        began = time.perf_counter()
        self.model, self.optimizer = model, optimizer
        self.signals = s = Signals()
        self.guard = Guard(budget, s, self.close)
        s.parameters, self.tensors = parameters.facts(model, optimizer)
        s.facts = parameters.circumstances(model, optimizer, self.tensors)
        self.parts = Parts(model, self.tensors) if any(map(is_shared, self.tensors)) else None
        self.around = Around(optimizer, s, self.tensors, None if self.parts is None else self.parts.factor)
        self.layers = Layers(model, s.parameters)
        self.ring = Ring(model, optimizer)
        self.spikes = Spikes(s, self.ring)
        self.team = joined()
        self.processes = 1  # a step's batch is so many times the model's
        if self.team is not None:
            self.processes = with_own_batches(model, self.tensors, self.team.size)
        self.flat = is_flat(model)  # what parameters do is not seen
        self.tied = needs_others(model, self.team is not None)  # why nothing can be forked or replayed
        self.trial = Trial(model, optimizer, start=not self.tied)
        if self.tied:
            self.trial.usable = self.ring.usable = False
            self.trial.refused.add(f"nothing was tried in forked runs: {self.tied}")
        self._given: tuple[Any, Any] | None = None  # to the model in the last forward pass
        self._last: Batch | None = None  # the same as a batch, once it is looked at
        self._went = False  # forward, since the last backward pass
        self._device = self.tensors[0].device.type
        self._output: Any = None
        self._structure = False
        self._validation: list[float] = []
        self._phase: tuple[str, int] = ("", -1)
        self._mode = True
        self._small: torch.Tensor | None = None
        self._skipped = self._backwards = 0
        self._most = 1  # backward passes before one step
        self._tries = 0  # steps so far in which batches were looked for
        self._values: list[float] = []  # of the backward passes of this step
        self._clean = False  # one of them began from gradients of zero or none
        self._said: float | None = None
        self._told = False  # to the team that a number was not finite
        self._rates_before: list[float] = []  # of the step under way
        self._follow_backward = self.guard.timed(self._before_backward)
        self._through_backward = self.guard.timed(self._after_backward)
        self._stepped = self.guard.timed(self._step_post)
        self._rested = self.guard.timed(self._awake, always=True)
        self.hooks = Hooks(self, loss)
        self.guard.budget.begin(time.perf_counter() - began)

    def close(self) -> None:
        """Take all hooks away."""
        self.guard.closed = True
        if self.team is not None:
            with contextlib.suppress(Exception):  # the store may be gone by then
                self.team.tell(self.signals, self.parts)
        self.layers.detach()
        if self.parts is not None:
            self.parts.detach()
        self.hooks.remove()

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

    def forward_pre(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if not torch.is_grad_enabled():
            return self._scoring(module.training)
        if self.guard.resting:
            return
        self._went, self._mode, self._given, self._last = True, module.training, (args, kwargs), None
        if not self.guard.looks:
            if torch.is_autocast_enabled(self._device):
                self._looked_at()  # now, as nothing tells later
            return
        self.layers.detach()  # left over if a forward pass failed
        if self.parts is not None and not self._structure:
            self.parts.attach()
        if self.guard.plan["ring"] and self.ring.usable and not self.ring.live and self._backwards == 0:
            self.guard.probe("ring", self.ring.begin, self.signals.steps)
        self._last = batch.seen(args, kwargs, self.ring.live)
        if self.guard.plan["layers"]:
            self.guard.probe("layers", self.layers.attach, self.signals, self.signals.steps, self._from_layers, Hook)

    def _scoring(self, training: bool) -> None:
        """A forward pass without gradients: between steps the model is scored."""
        s = self.signals
        if s.steps == 0:
            return
        key = "scored_in_training" if training else "scored"
        s.counts[f"{key}_batches"] += 1
        if self._phase != (key, s.steps):
            self._phase = (key, s.steps)
            s.counts[key] += 1

    def _from_layers(self, name: str, what: Callable[..., Any], *args: Any) -> None:
        if self.guard.plan["layers"]:
            with torch.no_grad():
                self.guard.timed(lambda: self.guard.probe(name, what, *args))()

    def forward_post(self, module: nn.Module, args: Any, output: Any) -> None:
        if torch.is_grad_enabled():
            self.layers.detach()
            if self.parts is not None:
                self.parts.detach()
            self._output = output

    def criterion(self, module: nn.Module, args: Any, output: Any) -> None:
        if not torch.is_grad_enabled() and isinstance(output, torch.Tensor) and output.numel() == 1:
            self._validation.append(float(output))

    # ---- the backward pass

    def before_backward(self, roots: tuple[Any, ...]) -> None:
        if not self.guard.resting:
            return self._follow_backward(roots)
        self._backwards += not self.guard.paused
        if self._backwards > self._most + SKIPPED:  # steps are left out, and no step is there to end the rest
            self._backwards = 0
            self.guard.wake()
            self.hooks.told(FOLLOW)

    def after_backward(self) -> None:
        if self.guard.looks or self._skipped >= SKIPPED:
            self._through_backward()

    def _before_backward(self, roots: tuple[Any, ...]) -> None:
        s, probes = self.signals, self.guard.looks
        if not self._went and s.counts["forward_seen"]:
            return  # of another model
        s.counts["forward_seen"] += self._went
        if self._is_zero():
            self._clean = True
            self._skipped += self._backwards > 0
            self._values, self._backwards, self.ring.pending = [], 0, []
        self._backwards += 1
        s.counts["backwards"] += 1
        root = roots[0] if len(roots) == 1 else next(filter(_is_loss, roots), None)
        if not _is_loss(root) or is_shared(root):  # its number may take a collective
            return
        self._went = False
        scale = losses.scale(root)
        value = root.item() / scale
        if scale != 1.0:
            self.hooks.scaled = True
        self._values.append(value)
        s.counts["steps_in_evaluation"] += not self._mode
        if not self._structure:
            self._structure = True
            held = self.tensors if self.parts is None else self.parts.in_graph()
            if not self.guard.probe("losses", graph.read, root, s.parameters, held, self._strangers()):
                self.guard.note("the graph of the loss is too large to be read: what follows a layer is not known")
        if self.guard.plan["losses"]:
            self.guard.probe("losses", self._read_loss, root, value)
        elif probes and self.guard.budget.accounts["ring"].on and (self.ring.live or self._few()):
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
            seen = losses.count(found, self.signals.steps, value, self._samples(1))
            self.signals.add(self.signals.losses, seen)
        self._keep(found, value)

    def _keep(self, found: losses.Found | None, value: float) -> None:
        known = self.trial.known(self._last, self._output, found, value)
        if known is None:
            self.ring.lose()
            return
        self.trial.keep(known, self._mode)
        if self.ring.live:
            self.ring.pending.append(known)

    def _looked_at(self) -> Batch | None:
        """The batch of the last forward pass."""
        if self._last is None and self._given is not None:
            self._last = batch.seen(*self._given, False)
        return self._last

    def _samples(self, processes: int = 0) -> int:
        return 0 if self._given is None else batch.samples(*self._given) * (processes or self.processes)

    def _origin(self) -> dict[str, Any]:
        self.guard.paused = True
        try:
            return origin(self.model, self._looked_at(), replay=not self.tied)
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

    def _rates(self) -> list[float]:
        return [parameters.rate(g) for g in self.optimizer.param_groups]

    def _rate(self) -> float:
        """The highest."""
        groups = self.optimizer.param_groups
        return parameters.rate(groups[0]) if len(groups) == 1 else max(self._rates(), default=math.nan)

    def step_pre(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        s = self.signals
        if s.steps == 0:
            s.facts["lr_moved_first"] = bool(s.facts["scheduled_at_start"] and self._rates() != s.facts["lr_at_start"])
        self._rates_before = self._rates() if self.ring.live else []
        if self.guard.plan["norms"]:
            bad = self.guard.probe("norms", self.around.before_step, self._backwards > 0)
            if bad and s.not_finite is None and all(map(math.isfinite, self._values)):
                s.not_finite = {"step": s.steps, "where": "gradient", "gradients": bad}

    def step_over(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """The optimizer has stepped."""
        guard = self.guard
        if guard.paused or guard.closed:
            return
        if not guard.resting:
            return self._stepped()
        s, guard.resting = self.signals, guard.resting - 1
        s.loss.append(math.nan)
        s.lr.append(s.lr[-1])
        s.batch.append(0)
        self._backwards = 0
        if not guard.resting or (self.parts is not None and self._together()):
            self._rested()

    def _awake(self) -> None:
        """A rest is over."""
        self.guard.rested()
        self._look_together()
        self.hooks.next_step()

    def _together(self) -> bool:
        """Is the next step one of those at which all processes look, as the model is in parts?"""
        return self.parts is not None and self.team is not None and self.team.due(self.signals.steps)

    def _look_together(self) -> None:
        if self._together():
            self.guard.plan["norms"] = self.guard.looks = self.guard.budget.accounts["norms"].on
            self.guard.wake()

    def _step_post(self) -> None:
        s = self.signals
        value = self._said
        if value is None:
            value = sum(self._values) / len(self._values) if self._values else math.nan
        lr = self._rate()
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
            self.guard.probe("ring", self.ring.ended, s.steps, value, self._rates_before)
        self.spikes.see(value, self._samples)
        s.loss.append(value)
        s.lr.append(lr)
        s.batch.append(self._samples() if self.guard.looks else 0)
        if self.trial.top < lr < math.inf:
            self.trial.top = lr
        if self.team is not None and (self.team.due(s.steps) or self._not_told()):
            self._tell()
        self._skipped = 0
        if self._backwards > self._most:
            self._most = self._backwards
        self._values, self._backwards, self._clean, self._said = [], 0, False, None
        if self.guard.looks:
            self.around.reset()
        self._tries += 1
        self.guard.next_step(self.around.wants_next, self.ring.live, self._few())
        self._look_together()
        if self.guard.resting:
            self.ring.lose()
        self.hooks.next_step()

    def _few(self) -> bool:
        """Are batches still looked for that forks need?"""
        return len(self.trial.batches) < FEW and self.trial.usable is not False and self._tries < TRIES

    def _not_told(self) -> bool:
        new = self.signals.not_finite is not None and not self._told
        self._told = self._told or new
        return new

    def _tell(self) -> None:
        assert self.team is not None
        own = self.processes == self.team.size
        last = self._looked_at() if own and len(self.team.batches) < 64 else None
        if last is not None:
            self.team.batches[self.signals.steps] = last.fingerprint
        self.team.tell(self.signals, self.parts)

    def _choose_small(self) -> None:
        held = [self.tensors[i] for i in self.around.trained]
        found = [p for p in held if p.grad is not None and not p.grad.is_sparse and bool(local(p.grad).any())]
        self._small = min(found, key=lambda p: p.numel(), default=None)


def _is_loss(root: Any) -> TypeGuard[torch.Tensor]:
    return isinstance(root, torch.Tensor) and root.numel() == 1 and root.grad_fn is not None
