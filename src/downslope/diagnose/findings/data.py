"""The data: scale of the inputs, order of the samples, labels that say nothing, one answer to all."""

from __future__ import annotations

import math
from collections import Counter
from statistics import median

from ..finding import Finding
from ..signals import Signals, mean
from .fit import answered, drowned, neighbours_know
from .rate import ratio

RMS = (1e-2, 20.0)
OFFSET = 10.0
RATIO = 300.0
"""He and Glorot assume inputs of unit variance; a factor k in the inputs is one of k^2 in the first layer's gradient.
Images of 0 to 16 (root mean square 7.8) train, those of 0 to 255 do badly. One-hot features differ by 30 at most."""


def inputs(s: Signals) -> Finding | None:
    """What the first linear or convolutional layer gets, unless a norm follows it at once."""
    seen = [i for i in s.inputs if math.isfinite(i.rms)]
    if not seen:
        return None
    layer = seen[0].layer
    known = next((p for p in s.parameters if p.name.rpartition(".")[0] == layer and p.kind == "weight"), None)
    if known is None or known.follows in ("batchnorm", "norm"):
        return None
    makers = [p.order for p in s.parameters if p.kind in ("norm", "embedding") and p.order >= 0]
    if any(known.order < 0 or order < known.order for order in makers):
        return None  # a norm or an embedding made them
    rms = median(i.rms for i in seen)
    offset = median(abs(i.mean) / i.std if i.std > 0 else math.inf for i in seen)
    scales = median(i.ratio for i in seen)
    said = []
    if not RMS[0] <= rms <= RMS[1]:
        said.append(f"their root mean square is {rms:.3g}")
    if offset > OFFSET and rms > 0:
        said.append(f"their mean is {offset:.3g} deviations from 0")
    if scales > RATIO and rms > 2.0:
        said.append(f"their features differ {scales:.3g} times in scale")
    if not said:
        return None
    return Finding(
        "inputs-unnormalised",
        f"the inputs are not normalised: {', '.join(said)}",
        "raw units go into the first layer: its gradient is out of proportion to the others, and one learning rate "
        "cannot suit both",
        "subtract the training mean and divide by the deviation, feature by feature",
        since_step=0,
        confidence=0.85,
        severe=s.end() > 0.5 * s.start(),
        evidence={"rms": rms, "mean_over_std": offset, "feature_ratio": scales},
    )


def sorted_data(s: Signals) -> Finding | None:
    """Two samples of a batch have the same label far more often than two samples of the run."""
    seen = [x for x in s.losses if x.per_sample and x.wanted and sum(x.wanted.values()) >= 4 and math.isfinite(x.same)]
    if len(seen) < 10:
        return None
    pooled = sum((x.wanted for x in seen), Counter[int]())
    total = sum(pooled.values())
    chance = sum((n / total) ** 2 for n in pooled.values())
    within = mean([x.same for x in seen])
    if len(pooled) < 2 or chance > 0.9:
        return None
    error = math.sqrt(mean([(x.same - within) ** 2 for x in seen]) / len(seen))
    # halfway from chance to certainty: augmented or grouped batches stay well below
    if within < chance + 0.5 * (1 - chance) or within - 5 * error < chance:
        return None
    return Finding(
        "sorted-data",
        f"two samples of one batch share their label with {within:.0%}, two of the run with {chance:.0%}",
        "the data are in the order of their labels and not shuffled: each batch undoes what others taught",
        "shuffle the training data (DataLoader(shuffle=True))",
        since_step=seen[0].step,
        confidence=0.95,
        evidence={"within": within, "chance": chance},
    )


def labels(s: Signals) -> Finding | None:
    """The loss stays that of knowing nothing, or is learned by heart while the validation loss never comes below that;
    and in runs made again samples that are held out are answered no better than by the commonest class."""
    nothing = s.ignorance()
    if s.kind() not in ("classes", "binary") or not nothing > 0.05 or s.steps < 100 or drowned(s):
        return None
    scored = [v for at, v in s.validation if at > 0.3 * s.steps]
    never = len(scored) >= 2 and len(s.validation) >= 3 and min(v for _, v in s.validation) > 0.98 * nothing
    by_heart = never and s.end() < 0.97 * nothing and median(scored) > 1.01 * nothing
    blocks = s.blocks()
    rests = bool(blocks) and min(blocks) > 0.93 * nothing and max(blocks[3:]) < 1.3 * nothing
    moved = [r for r in (ratio(x, s) for x in s.samples) if math.isfinite(r)]
    if not (by_heart or (rests and moved and max(median(moved[:30]), median(moved[-30:])) > MOVES)):
        return None
    made = s.again((1.0, 0.1)) if s.again is not None else None
    if made is not None:
        made = s.again((10.0,)) if not by_heart else made
        if neighbours_know(s) or any(
            answered(s, *made.right(factor)) or made.held(factor) < 0.97 * nothing for factor in made.runs
        ):
            return None
        return _labels(s, nothing, "samples that are held out are not answered better than by chance", 0.9)
    if by_heart:
        return _labels(s, nothing, "what is learned of the training data says nothing of the validation data", 0.85)
    found = s.trial(START) if s.trial is not None and not _pulls(s) else None
    if found is None:
        return None
    best = min((min(o.losses) for o in found.outcomes), default=math.nan)
    if not best > 0.9 * nothing:
        return None
    return _labels(s, nothing, "no learning rate, 100 times lower to 10 times higher, does better", 0.7)


def same_batches(s: Signals) -> Finding | None:
    """Every process of several has had the same batches, by their fingerprints at the steps that all tell of."""
    same, of = s.facts.get("same_batches", (0, 0))
    if of < 3 or same < of:
        return None
    return Finding(
        "same-batches",
        f"all processes trained on the same batches, at each of the {of} steps that were compared",
        "each process draws from the whole data with the same seed, so that the others add nothing",
        "DataLoader(sampler=DistributedSampler(data)), and sampler.set_epoch(epoch) in each epoch",
        since_step=0,
        confidence=0.95,
        severe=False,
        evidence={"same": same, "of": of},
    )


def _pulls(s: Signals) -> bool:
    """Do the gradients of neighbouring batches agree? Then there is something to learn, however slow it goes."""
    cosines = [d / math.sqrt(a * b) for step, _, d, a, b in s.dots if step > s.steps / 2 and 0 < a * b < math.inf]
    return len(cosines) >= 3 and mean(cosines) > 0.1


START = ("start", 0.01, 0.1, 1.0, 10.0)


MOVES = 1e-4
"""Update over weight, a tenth of what is usual: below that it is the rate that is to be judged, not the data."""


def _labels(s: Signals, nothing: float, evidence: str, sure: float) -> Finding:
    return Finding(
        "labels-unlearnable",
        f"the loss is that of knowing nothing ({nothing:.3g}): {evidence}",
        "labels are shuffled against the inputs, or the inputs do not hold what is asked for",
        "look at single samples with their labels, just before the model; are inputs and labels shuffled alike?",
        since_step=0,
        confidence=sure,
        evidence={"ignorance": nothing, "train": s.end(), "validation": [v for _, v in s.validation][-5:]},
    )


def _paid(s: Signals, wrong: float) -> bool:
    """Is the loss lower than so many wrong answers can be? A wrong answer costs ln 2 at least, in a plain mean."""
    return 0 <= s.end() < 0.8 * wrong * math.log(2)


def _weighs(s: Signals, wanted: Counter[int]) -> int | None:
    """The class that has nearly all of the loss's weight, weights times samples, and not nearly all of the samples."""
    weights = s.losses[-1].weights
    shares = {c: n * weights[c] for c, n in wanted.items() if c < len(weights)}
    if len(shares) < 2 or not sum(shares.values()) > 0:
        return None
    most = max(shares, key=shares.__getitem__)
    heavy = shares[most] / sum(shares.values()) > WEIGHS and wanted[most] / sum(wanted.values()) < 0.9
    return most if heavy else None


WEIGHS = 0.98


def _weighed(s: Signals, heavy: int, said: Counter[int], wanted: Counter[int]) -> Finding:
    share, is_ = said[heavy] / sum(said.values()), wanted[heavy] / sum(wanted.values())
    return Finding(
        "one-class",
        f"class {heavy} is predicted for {share:.0%} of the samples and is the target of {is_:.0%}; in the loss it has "
        "nearly all of the weight",
        "class weights that leave the other classes none: the loss does not care what is said of them",
        "class weights near total / (classes x count), or none",
        since_step=0,
        confidence=0.9,
        evidence={"predicted": share, "wanted": is_, "weights": list(s.losses[-1].weights), "paid": True},
    )


def one_class(s: Signals) -> Finding | None:
    """The model gives one answer to all, though targets have several, and not nearly all are that one."""
    late = [x for x in s.losses if x.step > 0.6 * s.steps and x.kind in ("classes", "binary") and x.predicted]
    if len(late) < 5 or s.steps < 100:
        return None
    said = sum((x.predicted for x in late), Counter[int]())
    wanted = sum((x.wanted for x in late), Counter[int]())
    top, share = wanted.most_common(1)[0][0], wanted.most_common(1)[0][1] / sum(wanted.values())
    if len(wanted) < 2 or sum(said.values()) < 100:
        return None
    most = said.most_common(1)[0][1] / sum(said.values())
    heavy = _weighs(s, wanted)
    if heavy is not None and said[heavy] > 2 * wanted[heavy]:
        return _weighed(s, heavy, said, wanted)
    # knowing nothing says the commonest class, too: it is the loss's standing still that makes it a finding
    if most < (0.97 if share < 0.6 else 0.999) or (share > 0.6 and s.end() < 0.97 * s.start()) or share > 0.98:
        return None
    blocks, answer = s.blocks(), said.most_common(1)[0][0]
    if answer == top and blocks and blocks[5] - blocks[-1] > 0.01 * s.start():
        return None  # the commonest class first, others later: the loss still falls
    paid = _paid(s, most - wanted[answer] / sum(wanted.values()))
    if paid:
        cause = "the loss pays for that answer: it weighs its class far above the others"
        remedy = "class weights (or pos_weight) near total / (classes x count), at most; or sample the classes evenly"
    elif share < 0.6:
        cause = "the output does not depend on the input any more"
        remedy = "look for dead or saturated units and for a learning rate that was too high at the start"
    else:
        cause = f"class {top} drowns the others"
        remedy = f"look at what came before this; weigh or resample the classes if one is {share:.0%} of all"
    return Finding(
        "one-class",
        f"class {answer} is predicted for all samples; it is the target of {wanted[answer] / sum(wanted.values()):.0%}",
        cause,
        remedy,
        confidence=0.75,
        evidence={"predicted": most, "commonest": share, "paid": paid},
    )
