"""The gradient that backward gives against central differences of the loss, in float64."""

from __future__ import annotations

import math
import time
from statistics import median

import torch

from .context import Context
from .tree import dense, double
from .verdict import CannotTell, Notes, Verdict, listed

STEPS = (1e-4, 1e-6)
"""Two widths. A kink (ReLU, max) inside one of them makes the two quotients disagree, and says nothing of backward; one
right at the point, as under a branch that starts at zero, makes the slopes to both sides disagree."""
TOLERANCE = 1e-4
"""Of |analytic - numeric| over the parameter's largest gradient: cs231n's bound where there may be kinks. The
quotients' own error is near 1e-8."""
EACH, TOTAL = 3, 150


def gradcheck(context: Context) -> Verdict:
    """The largest and two random coordinates of every parameter; the loss must be the same for the same seed."""
    small = context.few(8)
    batch = double(small[0]), double(small[1])
    model = context.model().double()
    try:
        loss = context.loss(model, batch)
    except Exception as error:
        raise CannotTell(f"the model does not run in float64 ({error})") from error
    if loss.dtype is not torch.float64:
        raise CannotTell(f"the loss of a float64 model is {loss.dtype}", "leave the dtype to the inputs")
    backward = math.inf
    for _ in range(3):
        model.zero_grad()
        again = context.loss(model, batch)
        started = time.perf_counter()
        again.backward()
        backward = min(backward, time.perf_counter() - started)
    if abs(again.item() - loss.item()) > 1e-9 * abs(loss.item()):
        raise CannotTell("two evaluations of the loss differ, so differences measure noise")
    trained = {n: p for n, p in model.named_parameters() if p.grad is not None and p.numel()}
    grads = {n: dense(p.grad) for n, p in trained.items() if p.grad is not None}
    whole = max((g.abs().max().item() for g in grads.values()), default=0.0)
    if whole == 0:
        raise CannotTell("every gradient is zero here")
    generator = torch.Generator().manual_seed(context.seed)
    names = list(grads)
    each = max(1, min(EACH, TOTAL // len(names)))
    names = names[:: -(-len(names) // TOTAL)]
    probes = kinks = 0
    worst, wrong, times = 0.0, dict[str, float](), []
    for name in names:
        g = grads[name].flatten()
        scale = max(g.abs().max().item(), 1e-5 * whole)
        picked = {int(g.abs().argmax()), *torch.randint(len(g), (each - 1,), generator=generator).tolist()}
        for i in picked:
            started = time.perf_counter()
            ends = [_ends(context, model, batch, trained[name], i, h) for h in STEPS]
            times.append((time.perf_counter() - started) / len(STEPS))
            quotients = [(up - down) / (2 * h) for up, down, h in ends]
            up, down, h = ends[-1]
            errors = [abs(g[i].item() - q) / max(scale, abs(q)) for q in quotients]
            probes += 1
            bend = abs(up - 2 * loss.item() + down) / h
            apart = max(abs(quotients[0] - quotients[1]), bend) / max(scale, *map(abs, quotients))
            if min(errors) <= TOLERANCE:
                worst = max(worst, min(errors))
            elif apart > TOLERANCE:
                kinks += 1
            else:
                wrong[name] = max(wrong.get(name, 0.0), min(errors))
        if context.late:
            break
    return _verdict(probes, kinks, worst, wrong, median(times), backward, sum(p.numel() for p in trained.values()))


def _verdict(
    probes: int, kinks: int, worst: float, wrong: dict[str, float], pair: float, backward: float, size: int
) -> Verdict:
    notes = Notes()
    notes.figures = {"coordinates": probes, "kinks": kinks, "largest_error": max([worst, *wrong.values()]),
                     "probe_seconds": pair, "backward_seconds": backward, "all_seconds": pair * size}  # fmt: skip
    cost = f"probing all {size:,} would take {_time(pair * size)}, one backward pass took {_time(backward)}"
    if wrong:
        name, error = max(wrong.items(), key=lambda item: item[1])
        text = f"backward is wrong for {listed(list(wrong))}: {error:.0%} off in {name}"
        notes.fail(text, "compare your autograd.Function's or in-place operation's derivative by hand")
    elif kinks > probes / 2:
        notes.unsure(f"{kinks} of {probes} coordinates lie at kinks")
    at = f", {kinks} at kinks left out" if kinks else ""
    notes.ok(f"{probes} coordinates agree within {worst:.0e}{at}; {cost}")
    return notes.verdict()


def _ends(
    context: Context, model: torch.nn.Module, batch: tuple, p: torch.Tensor, index: int, width: float
) -> tuple[float, float, float]:
    """The loss to both sides along one coordinate, whose value is put back, and how far off they are."""
    kept = p.detach().flatten()[index].item()
    h = width * max(1.0, abs(kept))
    values = []
    with torch.no_grad():
        for moved in (kept + h, kept - h):
            _set(p, index, moved)
            values.append(context.loss(model, batch).item())
        _set(p, index, kept)
    return values[0], values[1], h


def _set(p: torch.Tensor, index: int, value: float) -> None:
    place = torch.unravel_index(torch.tensor(index), p.shape)
    p.data[tuple(place)] = value


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
