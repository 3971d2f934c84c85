"""The data's numbers: are inputs of a size that networks take well, and do targets fit the loss?"""

from __future__ import annotations

from contextlib import suppress

import torch

from .context import Context, only_output
from .fit import Fit, class_dims, fit
from .trace import traces
from .tree import dense, leaves
from .verdict import CannotTell, Notes, Verdict, listed

RMS = (0.1, 10.0)
"""He and Glorot assume inputs of variance 1. A factor s in the inputs is one of s**2 in the first layer's curvature."""
UNITS = 100.0  # between the deviations of two features
OFFSET = 5.0  # a mean this many deviations from zero
SPARSE = 0.5  # a share of zeros from which the size of a value says little
IGNORED = -100  # torch's ignore_index


def inputs(context: Context) -> Verdict:
    """Finite, varying, near zero mean and unit deviation?"""
    notes = Notes()
    columns = list(zip(*(leaves(batch[0]) for batch in context.sample)))
    if not columns:
        raise CannotTell("the inputs hold no tensors")
    floating = [c for c in columns if c[0].is_floating_point()]
    if not floating:
        kinds = sorted({str(c[0].dtype).removeprefix("torch.") for c in columns})
        if any(c[0].dtype is torch.uint8 for c in columns):
            raise CannotTell("bytes, which the model must scale by itself", "divide by 255 and subtract the mean")
        notes.ok(f"whole numbers ({', '.join(kinds)}), to be looked up and not to be scaled")
        return notes.verdict()
    normed = False
    with suppress(Exception):  # where no step runs, the numbers still speak
        normed = any(found.first_norm for found, _ in traces(context))
    for place, column in enumerate(floating):
        which = f"input {place}: " if len(floating) > 1 else ""
        values = [dense(leaf).detach().double() for leaf in column]
        same = len({v.shape[1:] for v in values}) == 1 and values[0].ndim > 1
        _column(notes, which, torch.cat(values) if same else torch.cat([v.flatten() for v in values]), normed)
    return notes.verdict()


def _column(notes: Notes, which: str, x: torch.Tensor, normed: bool) -> None:
    bad = int((~x.isfinite()).sum())
    if bad:
        notes.fail(f"{which}{bad} of {x.numel()} values are NaN or infinite", "drop or fill them in data()")
        return
    mean, std = x.mean().item(), x.std(correction=0).item()
    size, zeros = x.square().mean().sqrt().item(), (x == 0).double().mean().item()
    notes.figures |= {"mean": mean, "std": std, "zeros": zeros}
    text = f"{which}mean {mean:.3g}, deviation {std:.3g}"
    if std == 0:
        return notes.fail(f"{which}every value is {mean:.3g}", "look into data(): the inputs say nothing")
    if normed:
        return notes.ok(f"{text}; the model normalises them first")
    remedy = "subtract the training part's mean and divide by its deviation, feature by feature"
    if size > RMS[1] or (size < RMS[0] and zeros < SPARSE):
        notes.warn(f"{text}: far from 0 and 1", remedy)
    elif abs(mean) > OFFSET * std:
        notes.warn(f"{text}: far off zero", remedy)
    if x.ndim == 2 and zeros < SPARSE:
        each = x.std(0, correction=0)
        each = each[each > 0]
        if len(each) > 1 and (ratio := (each.max() / each.min()).item()) > UNITS:
            notes.warn(f"{which}the deviations of features differ {ratio:.0f} times", remedy)
    notes.ok(f"{text}{f', {zeros:.0%} zeros' if zeros > SPARSE else ''}")


def targets(context: Context) -> Verdict:
    """Finite, and of the range, shape and kind that the loss takes; so are the outputs."""
    notes = Notes()
    batch = context.few(64)
    with torch.no_grad():
        output = only_output(context.model()(batch[0]))
    for part in ("train", "validation", "test"):
        found = context.scan(part)
        if found is None or not found.targets:
            continue
        values = found.all_values()
        if values.is_floating_point() and not bool(values.isfinite().all()):
            bad = int((~values.isfinite()).sum())
            notes.fail(f"{part}: {bad} of {values.numel()} targets are NaN or infinite", "drop these samples in data()")
            continue
        like = found.targets[0][: len(output)]
        whole = not values.is_floating_point() and values.dtype is not torch.bool
        if whole and (dims := class_dims(output, like)):
            _labels(notes, part, values[values != IGNORED], {output.shape[d] for d in dims})
    if notes.failed:
        return notes.verdict()
    kind = fit(context)
    if kind.kind == "unknown":
        raise CannotTell(f"outputs {tuple(output.shape)} with targets of another kind: the loss is not recognised")
    _agree(notes, context, kind, output)
    notes.figures = {"kind": kind.kind, "classes": kind.classes}
    what = {"classes": f"{kind.classes} classes", "binary": "yes or no", "values": "values"}[kind.kind]
    notes.ok(f"{what}, all in range; outputs are {kind.output}, as the loss takes them")
    return notes.verdict()


def _labels(notes: Notes, part: str, labels: torch.Tensor, sizes: set[int]) -> None:
    if not labels.numel():
        return
    low, high, classes = int(labels.min()), int(labels.max()), max(sizes)
    if low < 0 or high >= classes:
        start = "; labels seem to start at 1: subtract 1" if low == 1 and high == classes else ""
        remedy = f"give the model {high + 1} outputs, or correct the labels{start}"
        notes.fail(f"{part}: labels from {low} to {high}, but the model has {classes} outputs", remedy)


def _agree(notes: Notes, context: Context, kind: Fit, output: torch.Tensor) -> None:
    """Softmax twice, none at all, one value per sample against a column of them."""
    if kind.kind in ("classes", "binary") and kind.wants and kind.output != kind.wants:
        remedy = f"return {kind.wants} from the model, or take the loss for {kind.output}"
        text = f"outputs are {kind.output}, the loss takes {kind.wants}"
        if kind.wants == "scores" and kind.output == "log-probabilities":
            return notes.ok("log-softmax twice, which changes nothing")
        last = any(s.layer == found.layers[-1].name for found, _ in traces(context) for s in found.saturated[-1:]
                   if found.layers)  # fmt: skip
        sure = kind.kind == "classes" or kind.wants == "probabilities" or last
        (notes.fail if sure else notes.unsure)(text, remedy)
    target = leaves(context.few(64)[1])[0]
    if kind.kind in ("values", "binary") and output.shape != target.shape and output.ndim != target.ndim:
        with torch.no_grad():
            as_is = _quiet(context, output, target)
            fitted = _quiet(context, output.reshape(target.shape), target)
        if abs(as_is - fitted) > 1e-4 * max(abs(as_is), abs(fitted), 1e-12):
            text = f"outputs {listed([str(tuple(output.shape))])} against targets {tuple(target.shape)}: the loss"
            notes.fail(
                f"{text} compares every output with every target", "give both one shape, as by output.squeeze(1)"
            )


def _quiet(context: Context, output: torch.Tensor, target: torch.Tensor) -> float:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of the very thing
        return float(context.task.loss(output, target))
