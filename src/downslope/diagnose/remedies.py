"""Does the remedy help? Short forked runs with the remedy of a finding and without it, on the same batches.

What a short run can show is tried: a missing zero_grad put in, the second softmax left out, weights drawn anew, inputs
normalised, a clip taken away, batches mixed. What it cannot (another model, more data, a schedule) is left open."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .finding import Finding
from .findings.settings import SHRUNK
from .forks import Change
from .probes.batch import Known, joined, mapped
from .probes.trial import LEAST, LIMIT, MORE, REPEATS, Trial, score_of, take
from .signals import Signals
from .whatif import Outcome, Verdict, mean_loss

LONGEST = 200
"""Steps of a fork that is to show what weight decay does."""
FOUND_BY_FORKS = ("lr-too-high", "lr-too-low", "batch-too-small")

Try = Callable[[Finding, Trial, Signals], Verdict | None]


def tried(finding: Finding, trial: Trial, s: Signals) -> Finding:
    """The finding with what forked runs say of its remedy, which they confirm or withdraw."""
    if finding.symptom in FOUND_BY_FORKS and finding.tried is not None:
        return replace(finding, helped=True)  # it is found by that
    ask = TRIALS.get(finding.symptom)
    if ask is None or finding.tried is not None:
        return finding
    found = ask(finding, trial, s)
    if found is None:
        return finding
    without, *others = found.outcomes
    best = min(others, key=_mean)
    came = "; ".join(f"{o.change.name}: {_words(o)}" for o in others)
    said = f"in {found.steps} steps {came}; without: {_words(without)}"
    if _better(best, without):
        return replace(finding, tried=said, helped=True, confidence=max(finding.confidence, 0.95))
    if _better(without, best):
        return replace(finding, tried=f"{said}: it did worse", helped=False, confidence=0.85 * finding.confidence)
    return replace(finding, tried=f"{said}: that cannot be told apart")


def _better(a: Outcome, b: Outcome) -> bool:
    """In every repeat, and by a tenth; Student's interval over three repeats is wide where one loss is huge."""
    return all(x < y for x, y in zip(a.losses, b.losses)) and _mean(a) < 0.9 * _mean(b)


def _mean(outcome: Outcome) -> float:
    return mean_loss(outcome.losses)


def _words(outcome: Outcome) -> str:
    value = _mean(outcome)
    return f"loss {value:.3g}" if math.isfinite(value) else "diverged"


# ---- the loop and the loss


def _zeroed(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    piled = lambda model, optimizer, batch: take(model, optimizer, [batch], trial.clip, zero=False)  # noqa: E731
    return trial.compare([Change("with zero_grad", step=trial.step)], start=True, step=piled)


def _once(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    """The loss of the scores is that of the logarithm of what came out of softmax."""
    if not trial.ready:
        return None
    kept = trial.recent
    mended = lambda m, o, batch: take(m, o, [batch], trial.clip, loss=_of_probabilities)  # noqa: E731
    score = lambda m: score_of(m, kept, _of_probabilities)  # noqa: E731
    return trial.compare([Change("without the first", step=mended)], start=True, score=score)


def _of_probabilities(model: nn.Module, batch: Known) -> torch.Tensor:
    out = batch.scores(model)
    if batch.kind == "classes":
        logs = out.clamp(min=1e-12).log()
        return F.nll_loss(logs.movedim(batch.dim, 1) if logs.ndim > 1 else logs, batch.targets)
    return F.binary_cross_entropy(out, batch.targets)


# ---- weights and parameters


def _drawn(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    follows = {p.name: p.follows for p in s.parameters if p.kind == "weight"}
    return trial.compare([Change("weights drawn by He or Xavier", edit=partial(_draw, follows))], start=True)


@torch.no_grad()
def _draw(follows: dict[str, str], model: nn.Module, optimizer: Any) -> None:
    for name, p in model.named_parameters():
        if name in follows and p.ndim > 1:
            if follows[name] in ("relu", "gelu", "silu", "leaky_relu"):
                nn.init.kaiming_normal_(p, nonlinearity="relu")
            else:
                nn.init.xavier_normal_(p)
        elif name.endswith("bias"):
            p.zero_()


def _rectified(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    """ReLUs for sigmoids and tanhs, with He's start; only where each of these is a module after a weight, none of them
    a gate or the output's."""
    found = [s.parameters[i] for i in s.weights()]
    bent = [p.name for p in found if p.follows in ("sigmoid", "tanh")]
    if not bent or found[-1].name == bent[-1] or len(_bends(trial.model)) != len(bent):
        return None
    follows = {p.name: "relu" if p.name in bent else p.follows for p in found}

    def change(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for parent, name in _bends(model):
            setattr(parent, name, nn.ReLU())
        _draw(follows, model, optimizer)

    return trial.compare([Change("ReLUs with He's start", edit=change)], start=True)


def _bends(model: nn.Module) -> list[tuple[nn.Module, str]]:
    kinds = (nn.Sigmoid, nn.Tanh)
    return [(m, name) for m in model.modules() for name, child in m._modules.items() if isinstance(child, kinds)]


def _given(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    names = f.evidence.get("parameters")
    if names is None:  # the model does not have them, and neither has its copy by name
        return None

    def give(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.add_param_group({"params": [model.get_parameter(name) for name in names]})

    return trial.compare([Change("with all parameters", edit=give)], start=True)


# ---- data


def _normalised(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    if not trial.ready or not trial.batches[0].tensors[0].is_floating_point():
        return None
    kept = trial.recent
    first = [batch.tensors[0].detach().float() for batch in kept]
    every = torch.cat(first) if len({t.shape[1:] for t in first}) == 1 else first[0]
    axes = [i for i in range(every.ndim) if i != 1]
    mean, std = every.mean(axes, keepdim=True), every.std(axes, keepdim=True).clamp(min=1e-6 * float(every.std()))

    def changed(batch: Known) -> Known:
        seen = iter(range(len(batch.tensors)))
        one = lambda t: ((t - mean) / std).to(t.dtype) if next(seen) == 0 else t  # noqa: E731
        args, kwargs = mapped((batch.args, batch.kwargs), one)
        return replace(batch, args=args, kwargs=kwargs)

    mended = lambda m, o, batch: take(m, o, [changed(batch)], trial.clip)  # noqa: E731
    score = lambda m: score_of(m, [changed(batch) for batch in kept])  # noqa: E731
    return trial.compare([Change("with normalised inputs", step=mended, score=score)], start=True)


def _mixed(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    """The batches that are kept, their samples dealt out anew."""
    if not trial.ready:
        return None
    whole = joined(trial.recent)
    if whole is None:
        return None
    size, count = trial.batches[0].samples, whole.samples
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).tolist()
    dealt = [whole.rows(order[i : i + size]) for i in range(0, count - size + 1, size)]
    turn = iter(range(10**9))

    def mended(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Known) -> float:
        shuffled = dealt[next(turn) % len(dealt)]
        assert shuffled is not None
        return take(model, optimizer, [shuffled], trial.clip)

    return trial.compare([Change("mixed over the last batches", step=mended)], start=True)


def _larger(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    """Steps on the mean over eight batches, and a lower rate."""
    return at_once(trial, Change("lr x 0.1", lr_factor=0.1))


def at_once(trial: Trial, *more: Change) -> Verdict | None:
    """Steps on the mean over eight batches against steps on one; first as it is, then eight at once, then `more`.

    Trained on two of three batches that are kept and scored on the third, so that nothing is gained by heart."""
    if not trial.ready:
        return None
    kept = trial.recent
    train = [batch for i, batch in enumerate(kept) if i % 3]
    count = min(8, len(train))

    def step(many: int, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Known) -> float:
        at = next(i for i, each in enumerate(kept) if each is batch)
        return take(model, optimizer, [train[(at + i) % len(train)] for i in range(many)], trial.clip)

    eight = Change(f"{count} batches at once", step=partial(step, count))
    each = max(1e-9, trial.seconds * REPEATS * (1 + count + len(more)))
    score = lambda m: score_of(m, kept[::3])  # noqa: E731
    steps = int(min(MORE, max(LEAST, LIMIT / each)))
    return trial.compare([eight, *more], step=partial(step, 1), score=score, steps=steps)


# ---- settings


def _unclipped(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    high = sorted(f.evidence["norms"])[int(0.9 * len(f.evidence["norms"]))]
    changes = [
        Change("not clipped", max_norm=math.inf, step=trial.unclipped),
        Change(f"clipped to {high:.3g}", max_norm=high, step=trial.unclipped),
    ]
    return trial.compare(changes)


def _undecayed(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    """Without decay on what has one dimension, from the first weights, for as long as decay alone needs to pull a gain
    of 1 down to what is found; where a fork can take so many steps."""
    gains = f.evidence["gain"]
    pull = trial.top * max(p.decay for p in s.parameters if p.name in gains)
    steps = math.ceil(-math.log(SHRUNK) / pull) if pull > 0 else LONGEST + 1
    if steps > LONGEST:
        return None

    def split(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for group in list(optimizer.param_groups):
            flat = [p for p in group["params"] if p.ndim < 2]
            group["params"] = [p for p in group["params"] if p.ndim > 1]
            if flat:
                optimizer.add_param_group({**group, "params": flat, "weight_decay": 0.0})

    return trial.compare([Change("no decay on norms and biases", edit=split)], start=True, steps=steps)


def _calmer(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    def down(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        for group in optimizer.param_groups:
            group["maximize"] = False

    if s.facts.get("maximize"):
        return trial.compare([Change("minimised", edit=down)], start=True)
    return trial.compare([Change("lr x 0.1", lr_factor=0.1), Change("clipped to 1", max_norm=1.0)], start=True)


def _off_the_flat(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    top = max((x for x in s.lr if math.isfinite(x)), default=1e-3)
    own = lambda model: torch.optim.Adam(model.parameters(), min(1e-3, top))  # noqa: E731
    return trial.compare([Change("lr x 10", lr_factor=10.0), Change("Adam", optimizer=own)])


def _slower(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    return trial.compare([Change("lr x 0.1", lr_factor=0.1), Change("lr x 0.01", lr_factor=0.01)])


def _slower_start(f: Finding, trial: Trial, s: Signals) -> Verdict | None:
    if f.evidence["paid"]:
        return None  # no rate mends the loss's weights, which forks know nothing of
    changes: Sequence[Change] = [Change("lr x 0.1", lr_factor=0.1), Change("lr x 0.01", lr_factor=0.01)]
    return trial.compare(changes, start=True)


TRIALS: dict[str, Try] = {
    "gradients-not-zeroed": _zeroed,
    "softmax-twice": _once,
    "init-constant": _drawn,
    "init-too-large": _drawn,
    "init-too-small": _drawn,
    "dead-relu": _drawn,
    "saturated-units": _drawn,
    "parameters-not-in-optimizer": _given,
    "inputs-unnormalised": _normalised,
    "sorted-data": _mixed,
    "batch-too-small": _larger,
    "weight-decay-on-norms": _undecayed,
    "vanishing-gradients": _rectified,
    "clipping-always": _unclipped,
    "loss-exploding": _calmer,
    "exploding-gradients": _calmer,
    "plateau": _off_the_flat,
    "stuck-large-gradients": _slower,
    "one-class": _slower_start,
}
"""By symptom. The learning rates and spikes have been tried when they are found."""
