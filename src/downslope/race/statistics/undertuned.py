"""Rules that contain others: with enough tuning they cannot lose to what they contain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

CHOI = "Choi et al. 2019, arXiv:1910.05446"
MA = "Ma & Yarats 2019, arXiv:1810.06801"
FORMULA = "by its formula"


class Inclusion(NamedTuple):
    """`general` becomes `special` by the setting `via`; `how` says at which value, `source` who showed it.

    `asked` inclusions hold only where that setting was part of the race: by default it is off."""

    general: str
    special: str
    via: str
    how: str
    source: str
    asked: bool = False


INCLUSIONS = (
    Inclusion("momentum", "sgd", "momentum", "momentum=0", CHOI),
    Inclusion("nag", "sgd", "momentum", "momentum=0", CHOI),
    Inclusion("sgd", "momentum", "momentum", "momentum above 0", FORMULA, asked=True),
    Inclusion("qhm", "sgd", "nu", "nu=0", MA),
    Inclusion("qhm", "momentum", "nu", "nu=1", MA),
    Inclusion("qhm", "nag", "nu", "nu=momentum", MA),
    Inclusion("rmsprop", "sgd", "eps", "a large eps", CHOI),
    Inclusion("rmsprop", "momentum", "momentum", "a large eps and momentum", CHOI, asked=True),
    Inclusion("adagrad", "sgd", "eps", "a large eps", FORMULA),
    Inclusion("rootmeansquare", "sgd", "eps", "a large eps", FORMULA),
    Inclusion("adadelta", "sgd", "eps", "a large eps", FORMULA),
    Inclusion("asgd", "sgd", "lambd", "lambd=0 and alpha=0", FORMULA),
    Inclusion("adam", "momentum", "eps", "a large eps", CHOI),
    Inclusion("amsgrad", "momentum", "eps", "a large eps", FORMULA),
    Inclusion("adamax", "momentum", "eps", "a large eps", FORMULA),
    Inclusion("yogi", "momentum", "eps", "a large eps", FORMULA),
    Inclusion("adopt", "momentum", "eps", "a large eps", FORMULA),
    Inclusion("nadam", "nag", "eps", "a large eps", CHOI),
    Inclusion("qhadam", "adam", "nus[0]", "nus=(1, 1)", MA),
    Inclusion("adamw", "adam", "weight_decay", "weight_decay=0", FORMULA),
    Inclusion("ademamix", "adamw", "alpha", "alpha=0", FORMULA),
    Inclusion("sgdw", "momentum", "weight_decay", "weight_decay=0", FORMULA),
    Inclusion("aggmo", "momentum", "betas[2]", "equal betas", FORMULA),
    Inclusion("pid", "sgd", "integral", "integral=0 and derivative=0", FORMULA),
    Inclusion("powersign", "sgd", "base", "base=1", FORMULA),
    Inclusion("padam", "amsgrad", "partial", "partial=1/2", FORMULA),
    Inclusion("adamod", "adam", "gamma", "gamma=0", FORMULA),
    Inclusion("adabound", "adam", "gamma", "a tiny gamma", FORMULA),
    Inclusion("signum", "signsgd", "momentum", "momentum=0", FORMULA),
    Inclusion("tiger", "signum", "weight_decay", "weight_decay=0", FORMULA),
    Inclusion("lion", "tiger", "betas[0]", "equal betas", FORMULA),
)
# These decay the weights beside the step; a rule whose decay goes through the gradient is no special case of them.
DECOUPLED = frozenset({"adamw", "ademamix", "lion", "adan", "muon", "sgdw", "tiger"})


def contains(general: str, special: str, asked: frozenset[str] = frozenset()) -> tuple[Inclusion, ...]:
    """The steps by which one rule becomes the other, shortest first found; empty where it does not contain it.

    `asked` are the settings of the general rule that the race varies or fixes.
    """
    ways: list[tuple[Inclusion, ...]] = [()]
    seen = {general}
    while ways:
        way = ways.pop(0)
        here = way[-1].special if way else general
        for step in INCLUSIONS:
            if step.general != here or step.special in seen or (step.asked and (way or step.via not in asked)):
                continue
            if step.special == special:
                return (*way, step)
            seen.add(step.special)
            ways.append((*way, step))
    return ()


def undertuned(
    loser: str, winner: str, lost_by: float, *, searched: frozenset[str], decay: Mapping[str, float | None]
) -> str | None:
    """Why a decided loss says that the loser is not tuned well enough, in words that follow "it"; None if it does not.

    `searched` are the settings of the loser that the race varies, `decay` the weight decay that each of the two races
    with, None for none. The loss must be decided: chance alone loses to a special case half of the time.
    """
    way = contains(loser, winner, searched)
    if not way or (loser in DECOUPLED and winner not in DECOUPLED and decay.get(winner)):
        return None
    steps = ", then ".join(f"{step.special} at {step.how}" for step in way) if len(way) > 1 else f"at {way[0].how}"
    source = f"; {way[-1].source}" if way[-1].source != FORMULA else ""
    return (
        f"contains {winner} ({steps}{source}) and cannot lose to it once it is tuned, "
        f"yet lost by {lost_by:.2g}; {_advice(loser, way, searched)}"
    )


def _advice(loser: str, way: Sequence[Inclusion], searched: frozenset[str]) -> str:
    """What would bring the loser to the settings at which it is the winner. Of the later steps only eps is a setting of
    the loser's own for certain."""
    own = [step.via for i, step in enumerate(way) if i == 0 or step.via in ("eps", "weight_decay")]
    left = [via for via in dict.fromkeys(own) if via not in searched]
    if not left:
        return f"give it more trials, or a wider range of {' and '.join(dict.fromkeys(own))}"
    told = f"{' and '.join(left)} {'was' if len(left) == 1 else 'were'} not searched: "
    if "eps" in left:  # the range that more trials search ends far below a large one
        return f"{told}--search {loser}.eps=1e-8:1 looks for a large eps"
    return f"{told}more trials search more settings"
