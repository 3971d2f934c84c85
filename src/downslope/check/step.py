"""Does one step of training run at all? Every check after this one builds on it."""

from __future__ import annotations

import math
import time

import torch

from ..user_code import where
from .context import Context
from .tree import leaves
from .verdict import Notes, Verdict


def step(context: Context) -> Verdict:
    """Forward, loss and backward on one batch: a finite scalar that reaches the parameters."""
    notes = Notes()
    try:
        batch = context.batch
        model = context.model()
        started = time.perf_counter()
        loss = context.loss(model, batch)
    except Exception as error:
        notes.fail(f"one batch through model and loss: {where(error)}", "make loss(model(inputs), targets) run first")
        return notes.verdict()
    if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
        found = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
        notes.fail(f"the loss is {found}, not a scalar", "take its mean over the batch")
    elif not math.isfinite(loss.item()):
        notes.fail(f"the first loss is {loss.item()}", "look for log or division at zero, and at the inputs")
    elif not loss.requires_grad:
        if any(p.requires_grad for p in model.parameters()):
            notes.fail("the loss does not depend on the parameters", "look for detach(), .data, item() or no_grad()")
        else:
            notes.fail("no parameter asks for a gradient", "leave requires_grad on in what is to be trained")
    else:
        try:
            loss.backward()
        except Exception as error:
            notes.fail(f"backward: {where(error)}", "make loss.backward() run first")
            return notes.verdict()
        seconds = time.perf_counter() - started
        parameters = sum(p.numel() for p in model.parameters())
        notes.figures = {"parameters": parameters, "seconds": seconds, "loss": loss.item()}
        rows = len(leaves(batch[1])[0]) if leaves(batch[1]) and leaves(batch[1])[0].ndim else 1
        notes.ok(f"{parameters:,} parameters, {rows} samples in {1000 * seconds:.1f} ms, loss {loss.item():.4g}")
    return notes.verdict()
