"""Several networks of one kind as one: parameters and buffers stacked, forward and backward for all at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.func import functional_call, grad_and_value, vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_map

from ..task import Task
from .masks import Masks

Tensors = dict[str, torch.Tensor]
ROWS = 4096  # samples of all trials together that are scored at once: more do not stay in the cache


class Stream(NamedTuple):
    """Trials that draw the same random numbers, as a run alone would draw them: their first, one past their last."""

    first: int
    last: int


class StackedModel:
    """K networks of one kind. `params` and `buffers` hold tensors [K, ...]; parameters keep their gradients there.

    The batched forward is recorded and run back as it is: the trials meet only in the sum of their losses, whose
    derivative by each is 1, so that no number passes from one to another, not even nan. (The backward pass of batched
    operations is about twice as quick as the batched form of a backward pass.) Where the forward has no batched form,
    as of GRU and LSTM, `inner=True` takes `vmap(grad(...))` instead, which takes them apart.

    `states` are the random states that the trials' streams draw from, for networks that draw random numbers; trials of
    one stream stand side by side. None for networks that draw none.
    """

    def __init__(self, task: Task, networks: Sequence[nn.Module], *, inner: bool = False):
        self.task, self.network, self.inner = task, networks[0], inner
        made = [(dict(n.named_parameters()), dict(n.named_buffers())) for n in networks]
        self.params = {
            name: torch.stack([params[name].detach() for params, _ in made]).requires_grad_(p.requires_grad)
            for name, p in made[0][0].items()
        }
        self.buffers = {name: torch.stack([buffers[name] for _, buffers in made]) for name in made[0][1]}
        self.streams: list[Stream] = []
        self.states: list[torch.Tensor] = []

    def __len__(self) -> int:
        return len(next(iter(self.params.values())))

    @property
    def learned(self) -> list[torch.Tensor]:
        """The parameters that are trained."""
        return [p for p in self.params.values() if p.requires_grad]

    def draw_from(self, streams: Sequence[Stream], states: Sequence[torch.Tensor]) -> None:
        """From now on random numbers come from these states, and go on there."""
        self.streams, self.states = list(streams), list(states)

    def compact(self, keep: Sequence[int], learned: Sequence[torch.Tensor]) -> None:
        """Go on with some of the trials, in their order; `learned` are their parameters, newly stacked."""
        index = torch.as_tensor(list(keep))
        new = iter(learned)
        self.params = {n: next(new) if p.requires_grad else _chosen(p, index) for n, p in self.params.items()}
        self.buffers = {n: _chosen(b, index) for n, b in self.buffers.items()}
        streams = [[i for i, k in enumerate(keep) if s.first <= k < s.last] for s in self.streams]
        self.states = [state for state, left in zip(self.states, streams) if left]
        self.streams = [Stream(left[0], left[-1] + 1) for left in streams if left]

    # ---- training

    def backward(self, batches: Any, apart: bool) -> torch.Tensor:
        """The loss of each trial, [K], with the gradients of the parameters in their `grad`, which is replaced.

        `batches` is (inputs, targets); `apart` says that each trial has its own, stacked."""
        for p in self.params.values():
            p.grad = None
        self.network.train()
        with quiet():
            if self.inner:
                return self._inner_backward(batches, apart)
            losses = self._together(self._loss, batches, apart)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        return losses.detach()

    def _loss(self, params: Tensors, buffers: Tensors, batch: Any) -> torch.Tensor:
        inputs, targets = batch
        return self.task.loss(self._output(params, buffers, inputs), targets).reshape(())

    def _output(self, params: Tensors, buffers: Tensors, inputs: Any) -> Any:
        return functional_call(self.network, (params, buffers), (inputs,))

    def _together(self, function: Callable[..., Any], batches: Any, apart: bool) -> torch.Tensor:
        if not self.streams:
            return vmap(function, (0, 0, 0 if apart else None), randomness="error")(self.params, self.buffers, batches)
        sizes = [s.last - s.first for s in self.streams]
        parts = {name: p.split(sizes) for name, p in self.params.items()}
        found = []
        for place, stream in enumerate(self.streams):
            own = {name: each[place] for name, each in parts.items()}
            with self._drawing(place):
                found.append(
                    vmap(function, (0, 0, 0 if apart else None), randomness="same")(
                        own, self._cut(self.buffers, stream), _cut(batches, stream) if apart else batches
                    )
                )
        return torch.cat(found)

    def _inner_backward(self, batches: Any, apart: bool) -> torch.Tensor:
        frozen = {n: p for n, p in self.params.items() if not p.requires_grad}
        learned = {n: p.detach() for n, p in self.params.items() if p.requires_grad}

        def loss(params: Tensors, frozen: Tensors, buffers: Tensors, batch: Any) -> torch.Tensor:
            return self._loss({**params, **frozen}, buffers, batch)

        every = [(None, Stream(0, len(self)))] if not self.streams else [*enumerate(self.streams)]
        dims = (0, 0, 0, 0 if apart else None)
        for place, stream in every:
            with contextlib.nullcontext() if place is None else self._drawing(place):
                found = vmap(grad_and_value(loss), dims, randomness="error" if place is None else "same")(
                    self._cut(learned, stream),
                    self._cut(frozen, stream),
                    self._cut(self.buffers, stream),
                    _cut(batches, stream) if apart else batches,
                )
            if len(every) == 1:
                grads, losses = found
            elif place == 0:
                grads, losses = {n: [g] for n, g in found[0].items()}, [found[1]]
            else:
                losses.append(found[1])
                for name, g in found[0].items():
                    grads[name].append(g)
        if len(every) > 1:
            grads, losses = {name: torch.cat(parts) for name, parts in grads.items()}, torch.cat(losses)
        for name, g in grads.items():
            self.params[name].grad = g
        return losses.detach()

    # ---- scores

    @torch.no_grad()
    def outputs(self, inputs: Any, size: int) -> Iterator[Any]:
        """Each trial's output for inputs that all share, `size` samples, in evaluation mode, one after the other."""
        self.network.eval()
        step = max(1, ROWS // max(size, 1))
        streams = self.streams or [Stream(0, len(self))]
        for place, stream in enumerate(streams):
            start = self.states[place] if self.streams else None
            for first in range(stream.first, stream.last, step):
                part = Stream(first, min(first + step, stream.last))
                if start is not None:
                    self.states[place] = start
                drawing = contextlib.nullcontext() if start is None else self._drawing(place)
                with quiet(), drawing:
                    made = vmap(self._score, (0, 0, None), randomness="error" if start is None else "same")(
                        self._cut(self.params, part), self._cut(self.buffers, part), inputs
                    )
                for k in range(part.last - part.first):
                    yield tree_map(lambda t, k=k: t[k] if isinstance(t, torch.Tensor) else t, made)

    def _score(self, params: Tensors, buffers: Tensors, inputs: Any) -> Any:
        if not self.inner:
            return self._output(params, buffers, inputs)
        return vjp(lambda p: self._output(p, buffers, inputs), params)[0]  # type: ignore[no-untyped-call]

    # ---- parts

    @staticmethod
    def _cut(tensors: Tensors, stream: Stream) -> Tensors:
        return {name: t[stream.first : stream.last] for name, t in tensors.items()}

    @contextlib.contextmanager
    def _drawing(self, place: int) -> Iterator[None]:
        torch.set_rng_state(self.states[place])
        with Masks():
            yield
        self.states[place] = torch.get_rng_state()


def _cut(batches: Any, stream: Stream) -> Any:
    return tree_map(lambda t: t[stream.first : stream.last], batches)


def _chosen(t: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return t.detach().index_select(0, index.to(t.device))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Inside, attention is computed from its parts, which have batched forms (its kernels would run once per trial),
    and torch does not warn of operations that have none: the results are right all the same."""
    fast = torch.backends.mha.get_fastpath_enabled()
    _warn(False)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        _warn(True)


_warn: Callable[[bool], None] = getattr(torch._C._functorch, "_set_vmap_fallback_warning_enabled", lambda on: None)
