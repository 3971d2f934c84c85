"""The rows of the data: their order, those that stand on both sides of the split, how often each label comes."""

from __future__ import annotations

from collections import Counter

import torch

from .context import Context
from .scan import Scan
from .verdict import CannotTell, Notes, Verdict, listed

SORTED = (0.2, 0.6)
"""Label changes from row to row over those of a shuffled order: below the first, sorted; below the second, in runs."""
APART = 0.3  # total variation between the labels of two parts, beyond what chance gives
LEAKED = (0.001, 0.01)  # the share of validation inputs that training holds as well
IMBALANCE = 10.0  # the most frequent label over the rarest (SageMaker Debugger's ClassImbalance)
RARE = 20  # rows of a label from which its share is worth a word


def order(context: Context) -> Verdict:
    """Do labels come in runs, and do the parts hold the same labels?"""
    notes = Notes()
    train = _scan(context, "train")
    labels = _labels(train)
    if labels is None or len(labels) < RARE:
        raise CannotTell("the samples have no single label each to look at the order of")
    changes = (labels[1:] != labels[:-1]).double().mean().item()
    shares = _shares(labels)
    expected = 1 - sum(s * s for s in shares.values())
    if not expected:
        text = f"the first {train.rows} rows all have the label {labels[0].item():g}"
        notes.fail(text, "look into data()") if train.complete else notes.unsure(text, "set shuffle=True")
        return notes.verdict()
    ratio = changes / expected
    notes.figures = {"changes_over_expected": ratio}
    text = f"labels change {ratio:.2f} times as often from row to row as in a shuffled order"
    if ratio < SORTED[1] and train.in_order:
        (notes.fail if ratio < SORTED[0] else notes.warn)(f"{text}, and the DataLoader keeps it", "set shuffle=True")
    elif ratio < SORTED[0]:
        notes.warn(f"{text}: stored sorted; harmless while training shuffles", "shuffle once before cutting into parts")
    validation = context.scan("validation")
    other = _labels(validation)
    if validation is not None and other is not None and len(other) and train.complete and validation.complete:
        there = _shares(other)
        apart = sum(abs(shares.get(k, 0) - there.get(k, 0)) for k in {*shares, *there}) / 2
        chance = 0.5 * sum((s * (1 - s) / len(other)) ** 0.5 for s in shares.values())
        new = sorted(f"{k:g}" for k in there.keys() - shares.keys())
        if apart - 2 * chance > APART:
            unseen = f", {listed(new)} never trained on" if new else ""
            text = f"the labels of training and validation differ by {apart:.0%}{unseen}"
            notes.fail(text, "shuffle once before cutting into parts")
        elif new:
            notes.warn(f"validation holds labels that training lacks: {listed(new)}", "cut the parts label by label")
    notes.ok(text)
    return notes.verdict()


def leakage(context: Context) -> Verdict:
    """Inputs that stand in training and in validation or test, bit by bit the same."""
    notes = Notes()
    train = _scan(context, "train")
    if train.hashes is None:
        raise CannotTell("the inputs of a batch cannot be cut into rows to compare")
    seen = Counter(train.hashes)
    inner = sum(n for n in seen.values() if n > 1) / max(1, len(train.hashes))
    compared = []
    for part in ("validation", "test"):
        found = context.scan(part)
        if found is None or not found.hashes:
            continue
        both = sum(h in seen for h in found.hashes)
        share = both / len(found.hashes)
        notes.figures[part] = share
        compared.append(f"{found.reach} of {part}")
        text = f"{both} of {len(found.hashes)} rows of {part} stand in training too ({share:.1%})"
        remedy = "drop duplicates before cutting; cut by source, subject or time"
        if both > 1 and share > LEAKED[1] + 2 * inner:
            notes.fail(text, remedy)
        elif both and share > LEAKED[0] + 2 * inner:
            notes.warn(text, remedy)
        elif both:
            notes.ok(f"{text}, as {inner:.1%} of training rows repeat each other")
    if not compared:
        raise CannotTell("there is no other part to compare with", "return (train, validation) from data()")
    if not train.hashed and not any(notes.figures.values()):
        notes.unsure(f"none found in {train.reach} rows of training; the rest was not read")
    notes.ok(f"{' and '.join(compared)} against {train.reach} of training; {inner:.1%} of those repeat")
    return notes.verdict()


def labels(context: Context) -> Verdict:
    """How uneven the labels are, and what always guessing the commonest scores."""
    notes = Notes()
    train = _scan(context, "train")
    if not train.targets:
        raise CannotTell("the targets are not one tensor")
    values = train.all_values()
    if not _is_label(values):
        x = values.double()
        middle = x.median()
        spread = (x - middle).abs().median().item() * 1.4826
        far = ((x - middle).abs() > 10 * spread).double().mean().item() if spread else 0.0
        notes.figures = {"mean": x.mean().item(), "deviation": x.std(correction=0).item(), "far": far}
        if far > 0.001:
            notes.warn(f"{far:.1%} of the targets lie 10 robust deviations off", "take a robust loss or transform them")
        notes.ok(f"values of mean {x.mean():.3g}, deviation {x.std(correction=0):.3g}")
        return notes.verdict()
    counts = Counter(values.tolist())
    counts.pop(-100, None)
    (most, top), (least, low) = counts.most_common()[0], counts.most_common()[-1]
    share = top / counts.total()
    notes.figures = {"labels": len(counts), "commonest": share, "ratio": top / low}
    text = f"{len(counts)} labels; the commonest, {most:g}, is {share:.0%}"
    single = train.one_per_row() is not None
    if len(counts) == 1 and not train.complete:
        notes.unsure(f"the first {train.rows} targets are {most:g}")
    elif len(counts) == 1:
        notes.fail(f"every target is {most:g}", "look into data(): there is nothing to learn")
    elif single and top / low > IMBALANCE and len(counts) <= 100 and train.complete:
        notes.warn(f"{text}, {top / low:.0f} times the rarest, {least:g} ({low} rows)",
                   "score by balanced accuracy; weight the loss or sample evenly")  # fmt: skip
    notes.ok(f"{text}: always guessing it scores that" if single else f"{text} of all values")
    return notes.verdict()


def _scan(context: Context, part: str) -> Scan:
    found = context.scan(part)
    if found is None or not found.rows:
        raise CannotTell("the targets are not one tensor")
    return found


def _is_label(values: torch.Tensor) -> bool:
    return not values.is_floating_point() or bool(((values == 0) | (values == 1)).all())


def _labels(found: Scan | None) -> torch.Tensor | None:
    one = found.one_per_row() if found else None
    return None if one is None or not _is_label(one) else one


def _shares(labels: torch.Tensor) -> dict[float, float]:
    return {k: n / len(labels) for k, n in Counter(labels.tolist()).items()}
