"""The history that findings judge: every step's loss and rate, and samples of what costs more to look at."""

from __future__ import annotations

import math
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

KEPT = 400
"""Samples kept of a kind; past that every other one of the older half is dropped, so that a long run stays small."""


@dataclass
class Parameter:
    """What is known of one parameter: where it stands, what follows it, how it began."""

    name: str
    kind: str  # weight, bias, norm, embedding, other
    shape: tuple[int, ...]
    trained: bool  # is in the optimizer
    asks: bool  # requires_grad
    order: int = -1  # of its first use in a forward pass; -1: not seen in the graph of the loss
    follows: str = ""  # relu, tanh, sigmoid, batchnorm, norm, softmax, factor: what its output goes through next
    std: float = 0.0  # at the start
    mean: float = 0.0
    alike: bool = False  # its rows were equal at the start
    decay: float = 0.0
    decoupled: bool = False

    @property
    def fan_in(self) -> int:
        return math.prod(self.shape[1:]) if len(self.shape) > 1 else 1


@dataclass
class Sample:
    """One step, closely: norms by parameter, in the order of Signals.parameters."""

    step: int
    loss: float
    lr: float
    grad: Any  # numpy arrays; nan where there was no gradient
    weight: Any
    update: Any
    before_clip: float  # the gradient's norm after backward, and as the optimizer got it
    after_clip: float
    along: float  # the gradient's product with the update, over that of their norms
    stale: float  # largest g^2 / v over parameters with a second moment, in the mean; nan without


@dataclass
class LossSeen:
    """One loss, read off its graph: its kind, what the model said and was to say."""

    step: int
    kind: str  # classes, binary, values, absolute, unknown
    form: str  # what the loss takes: classes (scores), likelihood, binary (scores), probability, values, absolute
    loss: float
    classes: int = 0
    predicted: Counter[int] = field(default_factory=Counter)
    wanted: Counter[int] = field(default_factory=Counter)
    same: float = math.nan  # chance that two targets of this batch are equal
    per_sample: bool = False  # one target for each sample
    accuracy: float = math.nan
    before: tuple[str, ...] = ()  # what the scores went through last, nearest the loss first
    spread: float = math.nan  # variance of the values wanted
    mean: float = math.nan
    broadcast: bool = False
    weights: tuple[float, ...] = ()  # of the classes in the loss, where it has any
    summed: bool = False  # over the targets, not averaged


@dataclass
class LayerSeen:
    """One layer in one forward pass: the size of its inputs and outputs, how far samples differ, lost slopes."""

    size: float
    spread: float
    flat: float  # share of values where the activation that follows has no slope left
    inputs: float
    spread_in: float = math.nan


@dataclass
class NormSeen:
    """One batch norm in one forward pass: its batch statistics and the running ones."""

    step: int
    values: int  # a channel's in the batch
    samples: int
    mean: Any
    var: Any
    running_mean: Any
    running_var: Any
    momentum: float | None


@dataclass
class InputSeen:
    """What the first layer gets: overall size, mean over deviation, ratio of its features' scales."""

    rms: float
    mean: float
    std: float
    ratio: float
    layer: str


class Signals:
    """Everything that a watch has seen. Steps count from 0, as of the watch."""

    def __init__(self) -> None:
        self.parameters: list[Parameter] = []
        self.loss = array("d")  # nan where none was seen
        self.lr = array("d")
        self.batch = array("l")
        self.samples: list[Sample] = []
        self.losses: list[LossSeen] = []
        self.layers: list[tuple[int, dict[str, LayerSeen]]] = []
        self.norms: dict[str, deque[NormSeen]] = {}
        self.inputs: list[InputSeen] = []
        self.dead: dict[str, deque[Any]] = {}  # rows of a weight whose gradient was zero, of the last samples
        self.alive: dict[str, int] = {}  # the last step at which most rows of a weight had a gradient
        self.validation: list[tuple[int, float]] = []
        self.recent: deque[dict[str, Any]] = deque(maxlen=32)  # the last steps, for a spike's post-mortem
        self.spikes: list[dict[str, Any]] = []
        self.dots: list[tuple[int, int, float, float, float]] = []  # step, batch, g.g', |g|^2, |g'|^2 of a pair
        self.facts: dict[str, Any] = {}  # what was seen once: events of the loop, structure of the optimizer
        self.counts: Counter[str] = Counter()
        self.not_finite: dict[str, Any] | None = None
        self.trial: Any = None  # forks a few runs with other learning rates: see probes/trial.py; None: cannot
        self.again: Any = None  # makes the run again at other learning rates: see again.py; None: cannot
        self.neighbours: Any = None  # answers by the nearest neighbours: see again.py; None: cannot
        self.at_once: Any = None  # forks with steps on several batches at once: see remedies.py; None: cannot
        self.edge: Any = None  # the curvature that the optimizer feels over its limit: see asked.py; None: cannot
        self.inquest: Any = None  # replays the spike of a step: see forensics.py; None: cannot

    @property
    def steps(self) -> int:
        return len(self.loss)

    def add(self, where: list[Any], what: Any) -> None:
        """Append, and thin out the older half when it has grown too long."""
        where.append(what)
        if len(where) > KEPT:
            half = len(where) // 2
            del where[2:half:2]  # the first ones stay

    def remember_dead(self, name: str, rows: Any) -> None:
        """Which rows of a weight got no gradient at this sample."""
        self.dead.setdefault(name, deque(maxlen=10)).append(rows)
        if rows.mean() <= 0.5:
            self.alive[name] = self.steps

    def clipped_to(self) -> float | None:
        """The norm that the loop clips gradients to before the step; None if it does not, or to no one bound."""
        found = [x.after_clip for x in self.samples if x.before_clip > 1.001 * x.after_clip]
        if len(found) < max(3, len(self.samples) // 50) or max(found) > 1.01 * min(found):
            return None
        return median(found)

    # ---- numbers that several findings use

    def finite(self) -> list[float]:
        """The losses that were seen and are finite."""
        return [x for x in self.loss if math.isfinite(x)]

    def start(self) -> float:
        """The loss that the run began with: the first, or the median of the first few if that is lower."""
        found = self.finite()
        return min(found[0], median(found[: max(1, min(5, len(found) // 20))])) if found else math.nan

    def end(self, share: float = 0.1) -> float:
        """The median of the last tenth, 5 steps or more."""
        found = self.finite()
        return median(found[-max(5, int(share * len(found))) :]) if found else math.nan

    def blocks(self, count: int = 10) -> list[float]:
        """Medians of so many equal parts of the run."""
        found = self.finite()
        size = len(found) // count
        if size < 1:
            return []
        return [median(found[len(found) - (i + 1) * size : len(found) - i * size]) for i in reversed(range(count))]

    def noise(self) -> float:
        """The standard deviation of one step's loss about its course: from differences of neighbours, in the median."""
        found = self.finite()
        found = found[len(found) // 2 :]
        steps = [abs(b - a) for a, b in pairwise(found)]
        return 1.05 * median(steps) if steps else math.nan  # 1 / (0.6745 sqrt 2)

    def kind(self) -> str:
        """Of the loss: classes, binary, values or unknown."""
        return Counter(seen.kind for seen in self.losses).most_common(1)[0][0] if self.losses else "unknown"

    def wanted(self) -> Counter[int]:
        """How often each class was the target, of all samples."""
        return sum((seen.wanted for seen in self.losses), Counter())

    def ignorance(self) -> float:
        """The loss of knowing the frequencies of the targets and nothing else; nan where that is unknown.

        Entropy of the classes; variance of the values (for a mean square)."""
        kind = self.kind()
        if kind in ("classes", "binary"):
            wanted = self.wanted()
            total = sum(wanted.values())
            return -sum(n / total * math.log(n / total) for n in wanted.values()) if total else math.nan
        if kind == "values" and self.losses:
            within = mean([seen.spread for seen in self.losses if math.isfinite(seen.spread)])
            means = [seen.mean for seen in self.losses if math.isfinite(seen.mean)]
            between = mean([(m - mean(means)) ** 2 for m in means]) if means else 0.0
            return within + between
        return math.nan

    def weights(self) -> list[int]:
        """Places of the weight matrices that are trained, in the order of their use."""
        found = [i for i, p in enumerate(self.parameters) if p.kind == "weight" and p.trained and p.order >= 0]
        return sorted(found, key=lambda i: self.parameters[i].order)

    def late(self, share: float = 0.5) -> list[Sample]:
        """The samples of the last part of the run."""
        return [s for s in self.samples if s.step >= (1 - share) * self.steps]


def mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def steady_factor(lr: Sequence[float]) -> bool:
    """Is the learning rate the same all along, to rounding?"""
    found = [x for x in lr if math.isfinite(x)]
    return not found or max(found) <= min(found) * (1 + 1e-9)
