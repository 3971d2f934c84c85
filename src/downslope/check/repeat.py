"""Is the loss the same when it is asked for twice, and is one sample's answer its own?"""

from __future__ import annotations

from typing import Any

import torch

from ..training.data import Batch
from .context import Context, only_output
from .tree import change, count, leaves
from .verdict import CannotTell, Notes, Verdict, listed

NEAR = 1e-5  # relative; sums in another order differ by about 1e-7 in float32


def determinism(context: Context) -> Verdict:
    """Equal losses in evaluation mode whatever the seed, in training mode for one seed; evaluation changes no state."""
    notes = Notes()
    batch = context.few(64)
    model = context.model()
    with torch.no_grad():
        first = context.loss(context.model(), batch, seed=1).item()
        again = context.loss(context.model(), batch, seed=1).item()
        model.eval()
        before = {n: b.clone() for n, b in model.named_buffers()}
        one = context.loss(model, batch, seed=1).item()
        two = context.loss(model, batch, seed=2).item()
        moved = [n for n, b in model.named_buffers() if not torch.equal(b, before[n])]
    notes.figures = {"train": [first, again], "eval": [one, two]}
    if not _close(first, again):
        notes.fail(f"the same seed gives {first:.6g} and {again:.6g} in training mode",
                   "draw from torch's, numpy's or Python's global generator, and only from there")  # fmt: skip
    if not _close(one, two):
        notes.warn(f"evaluation mode draws: {one:.6g} with one seed, {two:.6g} with another",
                   "give functional dropout training=self.training")  # fmt: skip
    if moved:
        notes.warn(f"evaluation changes {listed(moved)}", "update buffers only in training mode")
    notes.ok("twice the same, in training mode with one seed and in evaluation mode with two")
    return notes.verdict()


def mixing(context: Context) -> Verdict:
    """In evaluation mode, does the output of one sample change with the inputs of the others?

    By the gradient of that output where inputs are real numbers, else with copies of that sample for the others."""
    notes = Notes()
    batch = context.few(8)
    size = count(batch)
    if not size or size < 2:
        raise CannotTell("the inputs of a batch cannot be cut into samples")
    model = context.model().eval()
    floating = [leaf for leaf in leaves(batch[0]) if leaf.is_floating_point() and leaf.layout is torch.strided]
    if len(floating) == len(leaves(batch[0])):
        share, how = _by_gradient(model, batch, size), "gradient of one sample's output reaches the others"
    else:
        share, how = _by_swap(context, model, batch, size), "one sample's output changes with the others"
    notes.figures = {"share": share}
    if share > NEAR:
        batchwise = [n for n, m in model.named_modules() if getattr(m, "track_running_stats", None) is False
                     and isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]  # fmt: skip
        if batchwise:
            notes.warn(
                f"{listed(batchwise)} takes the batch's statistics in evaluation too", "track running statistics"
            )
        else:
            notes.fail(f"the {how} ({share:.1e} of its own)",
                       "look for a view, reshape or softmax over the samples' dimension")  # fmt: skip
    notes.ok(f"{size} samples, none changes another's output")
    return notes.verdict()


def _by_gradient(model: torch.nn.Module, batch: Batch, size: int) -> float:
    inputs: Any = change(batch[0], lambda leaf: leaf.detach().clone().requires_grad_())
    output = only_output(model(inputs))
    _first(output, size)
    found = leaves(inputs)
    worst = 0.0
    for i in (0, size - 1):
        weight = torch.linspace(1, 2, output[i].numel()).reshape(output[i].shape).to(output)
        if not output.requires_grad:
            return 0.0
        grads = torch.autograd.grad((output[i] * weight).sum(), found, retain_graph=True, allow_unused=True)
        for g in grads:
            if g is not None:
                each = g.double().reshape(size, -1).norm(dim=1)
                own = each[i].item()
                others = torch.cat([each[:i], each[i + 1 :]]).max().item()
                worst = max(worst, others / own if own else float(others > 0))
    return worst


@torch.no_grad()
def _by_swap(context: Context, model: torch.nn.Module, batch: Batch, size: int) -> float:
    output = only_output(model(batch[0]))
    _first(output, size)
    alone = change(batch[0], lambda leaf: leaf[:1].expand_as(leaf).contiguous())
    other = only_output(model(alone))
    own = output[0].double()
    scale = max(own.abs().max().item(), 1e-12)
    return (other[0].double() - own).abs().max().item() / scale


def _first(output: torch.Tensor, size: int) -> None:
    if not output.ndim or len(output) != size:
        raise CannotTell(f"the output {tuple(output.shape)} has no dimension of the {size} samples first")


def _close(a: float, b: float) -> bool:
    return a == b or abs(a - b) <= NEAR * max(abs(a), abs(b))
