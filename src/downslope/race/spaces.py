"""Where each optimizer's settings are looked for: the one table of search spaces, with the source of each range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import SettingError
from .trial import Setting, rounded

HALF_WIDTH = 2.0
"""Decades of learning rates to both sides of the centre. Eight Halton points over four decades find as good a rate as a
grid in half decades; a best rate at an edge moves the edge."""

ALGOPERF = "AlgoPerf's baselines (Dahl et al. 2023, arXiv:2306.07179)"


@dataclass(frozen=True)
class Dimension:
    """One setting and the range it is looked for in.

    `low` and `high` are values. `scale` says what is spread evenly: "log" the logarithm of the value, "one minus" the
    logarithm of 1 - value, as for momentum, "linear" the value itself; "choices" takes one of a list. With `whole`
    values are rounded. `rank` says from which number of trials on it is looked for: 1 always, 2 from 10 trials, 3 from
    25; 0 is what the user asked for.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    scale: str = "log"
    rank: int = 1
    whole: bool = False
    choices: tuple[Setting, ...] = ()
    source: str = ""

    def at(self, u: float) -> Setting:
        """The value at a place from 0 to 1."""
        if self.scale == "choices":
            return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]
        low, high = (TO[self.scale](bound) for bound in (self.low, self.high))
        value = BACK[self.scale](low + (high - low) * u)
        return int(min(max(round(value), self.low), self.high)) if self.whole else rounded(value)

    def place(self, value: float) -> float:
        """Where a value lies, 0 at `low` and 1 at `high`, on the dimension's own scale."""
        low, high, here = (TO[self.scale](x) for x in (self.low, self.high, value))
        return (here - low) / (high - low) if high != low else 0.5

    def beyond(self, side: str, decades: float = 1.0) -> Dimension:
        """The stretch that follows an edge, "low" or "high", on a log scale."""
        if side == "low":
            return replace(self, low=rounded(self.low / 10**decades), high=self.low)
        return replace(self, low=self.high, high=rounded(self.high * 10**decades))

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "choices": list(self.choices)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Dimension:
        return cls(**{**saved, "choices": tuple(saved["choices"])})


TO = {"log": math.log, "one minus": lambda x: -math.log1p(-x), "linear": lambda x: x}
BACK = {"log": math.exp, "one minus": lambda y: -math.expm1(-y), "linear": lambda y: y}

Space = tuple[Dimension, ...]


def momentum(name: str, low: float, high: float, source: str, rank: int = 2) -> Dimension:
    """A setting of which 1 - value is searched on a log scale; `low` and `high` are values."""
    return Dimension(name, low, high, "one minus", rank, source=source)


BETA1 = momentum("betas[0]", 0.5, 0.98, f"{ALGOPERF}: AdamW's 1 - beta1 from 0.02 to 0.5")
BETA2 = momentum(
    "betas[1]", 0.8, 0.9995, "Schmidt et al. 2021, arXiv:2007.01547: 0.8 to 1; AlgoPerf's winners: 0.63 to 0.999", 3
)
EPS = Dimension("eps", 1e-10, 1e-3, rank=3, source="Choi et al. 2019, arXiv:1910.05446: Adam's, its lower half")
COUPLED = Dimension("weight_decay", 1e-7, 1e-3, rank=2, source=f"{ALGOPERF}: 1e-7 to 5e-5; ResNets take 1e-4 to 5e-4")
DECOUPLED = Dimension("weight_decay", 5e-3, 1.0, rank=2, source=f"{ALGOPERF}: AdamW's")
HEAVY = momentum("momentum", 0.7, 0.995, f"{ALGOPERF}: 1 - momentum from 5e-3 to 0.3")
CONSTANT = Dimension(
    "schedule",
    scale="choices",
    rank=0,
    choices=("constant",),
    source="schedule-free rules are made for a constant rate",
)
ADAM = (BETA1, COUPLED, BETA2, EPS)

MEASURED = "measured on digits with 16 rates from 1e-5 to 300"
LIKE_ADAM = "as Adam: a step of about the rate in each coordinate"
LIKE_DESCENT = "as plain descent: its step is about the rate times the gradient"
LIKE_SIGNS = "every coordinate moves by the whole rate, as in Lion"
BY_NORM = "a step of about the rate times the parameter's norm"

# The middle of the learning rates as a power of ten, why, and the other settings.
TABLE: dict[str, tuple[float, str, Space]] = {
    "sgd": (-0.5, f"best at 0.3, {MEASURED}", (COUPLED,)),
    "qhm": (
        -0.5,
        "its step is an average of gradients, as long as plain descent's",
        (
            momentum("momentum", 0.7, 0.999, "Ma & Yarats 2019, arXiv:1810.06801: 0.999 is theirs"),
            COUPLED,
            Dimension("nu", 0.3, 1.0, "linear", 3, source="the same: 0.7 is theirs, 0 is plain descent, 1 momentum"),
        ),
    ),
    "asgd": (-0.5, "plain descent with an average beside it", (COUPLED,)),
    "momentum": (-1.5, "the velocity sums about 10 gradients, so a tenth of plain descent", (HEAVY, COUPLED)),
    "nag": (-1.5, "as momentum", (HEAVY, COUPLED)),
    "adagrad": (-1.5, f"best at 0.03, {MEASURED}", (COUPLED, EPS)),
    "rootmeansquare": (-1.5, "divides by the root mean square of all gradients so far, as Adagrad", (COUPLED, EPS)),
    "adadelta": (
        0.5,
        f"best between 1 and 10, {MEASURED}",
        (
            momentum("rho", 0.8, 0.99, "Zeiler 2012, arXiv:1212.5701, tables 1 and 2: 0.9 to 0.99"),
            COUPLED,
            Dimension("eps", 1e-8, 1e-2, rank=3, source="the same: 1e-8 to 1e-2"),
        ),
    ),
    "adam": (-2.5, f"best between 3e-3 and 3e-2, {MEASURED}", ADAM),
    "amsgrad": (-2.5, LIKE_ADAM, ADAM),
    "adamw": (-2.5, LIKE_ADAM, (BETA1, DECOUPLED, BETA2, EPS)),
    "adamax": (-2.5, LIKE_ADAM, ADAM),
    "nadam": (
        -2.5,
        LIKE_ADAM,
        (momentum("betas[0]", 0.5, 0.996, f"{ALGOPERF}: NAdamW's 1 - beta1 down to 4e-3"), COUPLED, BETA2, EPS),
    ),
    "radam": (-2.5, LIKE_ADAM, ADAM),
    "adabelief": (
        -2.5,
        LIKE_ADAM,
        (
            BETA1,
            COUPLED,
            BETA2,
            Dimension("eps", 1e-16, 1e-8, rank=3, source="its paper's 1e-8 to its package's 1e-16"),
        ),
    ),
    "adan": (
        -2.5,
        LIKE_ADAM,
        (
            momentum("betas[0]", 0.9, 0.99, "Xie et al. 2022, arXiv:2208.06677: 0.98 and near it"),
            Dimension("weight_decay", 5e-3, 1.0, rank=2, source="the same: 0.02; AdamW's range"),
            momentum("betas[2]", 0.9, 0.999, "the same: 0.99", 3),
            EPS,
        ),
    ),
    "adopt": (
        -2.5,
        LIKE_ADAM,
        (BETA1, COUPLED, momentum("betas[1]", 0.9, 0.99995, "arXiv:2411.02853: 0.9999", 3), EPS),
    ),
    "ademamix": (
        -2.5,
        LIKE_ADAM,
        (
            BETA1,
            Dimension("weight_decay", 5e-3, 1.0, rank=2, source="AdamW's, as Pagliardini et al. 2024 take it"),
            momentum("betas[2]", 0.99, 0.9999, "Pagliardini et al. 2024, arXiv:2409.03137: 0.999 to 0.9999", 3),
            EPS,
        ),
    ),
    "qhadam": (
        -2.5,
        LIKE_ADAM,
        (momentum("betas[0]", 0.8, 0.999, "Ma & Yarats 2019, arXiv:1810.06801: 0.995 is theirs"), COUPLED, BETA2, EPS),
    ),
    "yogi": (
        -2.0,
        "Zaheer et al. 2018: 1e-2, ten times their Adam",
        (BETA1, COUPLED, BETA2, Dimension("eps", 1e-8, 1e-1, rank=3, source="the same: 1e-3 is theirs")),
    ),
    "rmsprop": (
        -2.5,
        f"best at 3e-3, {MEASURED}",
        (momentum("alpha", 0.8, 0.999, "Hinton's lecture: 0.9; torch: 0.99"), COUPLED, EPS),
    ),
    "lion": (
        -3.5,
        "Chen et al. 2023, arXiv:2302.06675: 3 to 10 times below AdamW",
        (
            BETA1,
            Dimension("weight_decay", 5e-2, 10.0, rank=2, source="the same: as many times above AdamW's"),
            momentum("betas[1]", 0.9, 0.999, "the same: 0.99", 3),
        ),
    ),
    "signum": (
        -3.5,
        LIKE_SIGNS,
        (momentum("momentum", 0.5, 0.99, "Bernstein et al. 2018, arXiv:1802.04434: 0.9"), COUPLED),
    ),
    "muon": (
        -2.0,
        "Liu et al. 2025, arXiv:2502.16982: with steps as long as AdamW's it shares its rates; best at 1e-2 on digits",
        (
            HEAVY,
            Dimension("weight_decay", 5e-3, 1.0, rank=2, source="the same: 0.0125 to 0.05; torch: 0.1"),
        ),
    ),
    "schedulefreeadamw": (
        -2.5,
        "1 to 10 times AdamW's (Defazio et al. 2024, arXiv:2405.15682); 1e-3 to 5e-3 won AlgoPerf",
        (CONSTANT, momentum("betas[0]", 0.8, 0.99, "the same: 0.9, 0.95 to 0.98 for long runs"), DECOUPLED, BETA2, EPS),
    ),
    "schedulefreesgd": (
        0.5,
        "10 to 50 times plain descent's (Defazio et al. 2024, arXiv:2405.15682)",
        (CONSTANT, momentum("momentum", 0.8, 0.99, "the same: 0.9, 0.95 to 0.98 for long runs"), COUPLED),
    ),
    # Younger rules. Their own numbers where the paper searches some, else those of the rule that they change.
    "sgdw": (-1.5, "as momentum", (HEAVY, DECOUPLED)),
    "aggmo": (
        -1.5,
        "the mean of three velocities, the slowest a sum of 100 gradients; Lucas et al. 2019 search about 0.1",
        (momentum("betas[2]", 0.9, 0.999, "Lucas et al. 2019, arXiv:1804.00325: 0.99 to 0.999"), COUPLED),
    ),
    "accsgd": (
        -1.5,
        "its long step is a thousand times the rate, its short one plain descent's",
        (
            Dimension("kappa", 1e2, 1e4, rank=2, source="Kidambi et al. 2018, arXiv:1803.05591: 1e4, 1e5; code: 1e3"),
            COUPLED,
            Dimension("xi", 2.0, 10.0, rank=3, source="the same: 2.5 to 10, at most the root of the smallest kappa"),
        ),
    ),
    "pid": (-2.0, "the integral, five times momentum's velocity, is the longest part of its step", (HEAVY, COUPLED)),
    "pnm": (-0.5, "its step is an average of gradients, as long as plain descent's", (COUPLED,)),
    "rmsproptf": (
        -3.0,
        "as RMSprop, times the 10 gradients that its momentum sums",
        (HEAVY, COUPLED, momentum("alpha", 0.8, 0.999, "TensorFlow: 0.9", 3)),
    ),
    "madgrad": (
        -2.0,
        "its authors' default, which they ask to sweep: no other rule's rate compares",
        (momentum("momentum", 0.5, 0.98, "Defazio & Jelassi 2021, arXiv:2101.11075: 0.9"), COUPLED),
    ),
    "kate": (-2.0, "Choudhury et al. 2024, arXiv:2403.02648: 1e-5 to 1 for a fixed horizon", (COUPLED,)),
    "ftrl": (
        -1.0,
        "McMahan et al. 2013: within a factor of 2 of Adagrad's",
        (
            Dimension("lambda_2", 1e-7, 1e-3, rank=2, source="its weight decay; the range of others'"),
            Dimension("beta", 0.1, 10.0, rank=3, source="McMahan et al. 2013: 1"),
        ),
    ),
    "smorms3": (-2.5, "an upper bound, where Adam's is the step", (COUPLED,)),
    "nadamw": (-2.5, LIKE_ADAM, (BETA1, DECOUPLED, BETA2, EPS)),
    "laprop": (-2.5, LIKE_ADAM, (BETA1, COUPLED, BETA2)),
    "adapnm": (-2.5, LIKE_ADAM, ADAM),
    "adamd": (-2.5, LIKE_ADAM, ADAM),
    "adamatan2": (-2.5, LIKE_ADAM, (BETA1, COUPLED, BETA2)),
    "adax": (-2.5, LIKE_ADAM, (BETA1, COUPLED)),
    "adabound": (
        -2.5,
        LIKE_ADAM,
        (
            BETA1,
            Dimension("final_lr", 1e-2, 1.0, rank=2, source="Luo et al. 2019, arXiv:1902.09843: 0.1, as SGD's"),
            COUPLED,
            BETA2,
        ),
    ),
    "amsbound": (-2.5, LIKE_ADAM, (BETA1, COUPLED, BETA2, EPS)),
    "adamod": (
        -2.5,
        LIKE_ADAM,
        (
            BETA1,
            COUPLED,
            momentum("gamma", 0.99, 0.9999, "Ding et al. 2019, arXiv:1910.12249: 0.999 to 0.9999", 3),
            EPS,
        ),
    ),
    "padam": (
        -1.0,
        "Chen et al. 2018, arXiv:1806.06763: 0.1, between momentum's and Adam's",
        (
            BETA1,
            Dimension("partial", 0.05, 0.45, "linear", 2, source="the same: 1/8 to 1/4, 1/2 is AMSGrad"),
            COUPLED,
            BETA2,
        ),
    ),
    "diffgrad": (-2.5, LIKE_ADAM, ADAM),
    "signsgd": (-3.5, LIKE_SIGNS, (COUPLED,)),
    "tiger": (
        -3.5,
        LIKE_SIGNS,
        (
            momentum("beta", 0.9, 0.99, "Su 2023, github.com/bojone/tiger: 0.965"),
            Dimension("weight_decay", 5e-2, 10.0, rank=2, source="Lion's, whose rates it has"),
        ),
    ),
    "grams": (-2.5, LIKE_ADAM, (BETA1, DECOUPLED, BETA2, EPS)),
    "ano": (-3.0, "1e-4, its default, to 1e-3 (Kegreisz 2025, arXiv:2508.18258)", (BETA1, COUPLED, BETA2)),
    "powersign": (-0.5, LIKE_DESCENT, (COUPLED,)),
    "addsign": (-0.5, LIKE_DESCENT, (COUPLED,)),
    "lars": (
        0.5,
        f"{BY_NORM} times the trust coefficient 1e-3 and the 10 steps that momentum sums",
        (HEAVY, Dimension("weight_decay", 1e-5, 1e-2, rank=2, source="You et al. 2017, arXiv:1708.03888: 5e-4")),
    ),
    "lamb": (-2.0, f"{BY_NORM}; You et al. 2020, arXiv:1904.00962: about 1e-3 to 1e-2", (BETA1, DECOUPLED, BETA2, EPS)),
    "novograd": (
        -2.0,
        "Ginsburg et al. 2019, arXiv:1905.11286: 1e-2; its momentum sums 20 normalised gradients",
        (
            momentum("betas[0]", 0.8, 0.98, "the same: 0.95"),
            Dimension("weight_decay", 1e-4, 1e-1, rank=2, source="the same: 1e-3 to 4e-3"),
            momentum("betas[1]", 0.2, 0.999, "the same: 0.25 to 0.98", 3),
        ),
    ),
    "fromage": (-2.0, f"{BY_NORM}; Bernstein et al. 2020, arXiv:2002.03432: 1e-2", ()),
    "adamnorm": (-2.5, LIKE_ADAM, ADAM),
    "stableadamw": (-2.5, LIKE_ADAM, (BETA1, DECOUPLED, BETA2, EPS)),
    "mars": (
        -2.5,
        LIKE_ADAM,
        (
            BETA1,
            DECOUPLED,
            Dimension("gamma", 5e-3, 0.1, rank=3, source="Yuan et al. 2024, arXiv:2411.10438: 0.025, of 0.005 to 0.1"),
        ),
    ),
    "rprop": (-2.5, "only the first step; a rule for whole batches", ()),
}


def space_of(name: str, made: Any) -> Space:
    """Where an optimizer's settings are looked for: its row of the table, or ranges around its own defaults.

    `made` is its class. Raises SettingError for one without a default learning rate."""
    defaults = dict(getattr(made, "setting_defaults", {}))
    if name in TABLE and made.__module__ == "downslope.optim":  # a user's own of the same name is another one
        middle, source, rest = TABLE[name]
        return (_rates(middle, source), *rest)
    rate = defaults.get("lr")
    if not isinstance(rate, int | float) or not rate > 0:
        raise SettingError(f"{name}: has no default learning rate to look around; give its setting `lr` a default")
    found = [_rates(math.log10(rate), f"two decades around its own default {rate:g}")]
    for setting, default in defaults.items():
        if isinstance(default, tuple):
            found += [d for i, x in enumerate(default) if (d := _around(f"{setting}[{i}]", x, 2 if i == 0 else 3))]
        elif setting != "lr" and (d := _around(setting, default, 2)):
            found.append(d)
    return tuple(sorted(found, key=lambda d: d.rank))


def _rates(middle: float, source: str) -> Dimension:
    return Dimension("lr", rounded(10 ** (middle - HALF_WIDTH)), rounded(10 ** (middle + HALF_WIDTH)), source=source)


def _around(setting: str, default: Any, rank: int) -> Dimension | None:
    """The range around a default that is called as such settings are; None for any other."""
    if not isinstance(default, int | float) or isinstance(default, bool):
        return None
    if setting == "weight_decay":
        return COUPLED if default == 0 else DECOUPLED
    if setting.startswith(("beta", "momentum", "rho")) and 0 < default < 1:
        low, high = max(0.0, 1 - 5 * (1 - default)), 1 - (1 - default) / 5
        return momentum(setting, rounded(low), rounded(high), f"1 - {setting} within 5 times its default", rank)
    if setting == "eps" and default > 0:
        return Dimension(setting, rounded(default / 100), rounded(default * 1e4), rank=3, source="around its default")
    return None


def by_trials(space: Space, trials: int) -> Space:
    """The dimensions that so many trials pay for: the learning rate alone below 10, momentum and weight decay from 10,
    the rest from 25 on (Godbole et al. 2023, the deep-learning tuning playbook)."""
    rank = 1 if trials < 10 else 2 if trials < 25 else 3
    return tuple(d for d in space if d.rank <= rank)
