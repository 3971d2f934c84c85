"""The result: what is known of a point."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from . import words
from .checks import Check
from .evidence import Gain, GradientTest, Witness

NOT_STATIONARY = "not stationary yet"
SADDLE = "saddle"
MAXIMUM = "maximum"
NONE_FOUND = "no curvature below -tau found"
CANNOT_TELL = "cannot tell"

OUTCOMES = {
    NOT_STATIONARY: "the gradient stands out of its noise: there is somewhere to go without any curvature",
    SADDLE: "a direction of negative curvature, certified by curvature and by the loss itself, on other data if any",
    MAXIMUM: "a saddle whose every direction falls: the whole space was searched",
    NONE_FOUND: "no curvature below -tau, with the products spent and the confidence; this is not a proof of a minimum",
    CANNOT_TELL: "at this noise, or because a premise fails, which is said",
}
"""What a critical point can turn out to be, and what it means."""


@dataclass(frozen=True)
class CriticalPoint:
    """What is known of a point. `print` it for plain words.

    `outcome` is a key of OUTCOMES and `why` its reason in words. `direction` is a list of tensors shaped as
    `parameters`, of length 1 over all of them, along which the loss falls: None where none is certified. `follow` is
    what the loss gains along it and `descend` what it gains against the gradient, each at its best distance. No
    curvature lies below -`tau`, with probability `confidence` over the random start of the search. `flat`: second order
    does not decide."""

    outcome: str
    why: str
    loss: float
    gradient: GradientTest | None = None
    smallest: float | None = None
    largest: float | None = None
    noise: float = 0.0
    tau: float | None = None
    confidence: float = 0.99
    products: int = 0
    exhausted: bool = False
    flat: bool = False
    witness: Witness | None = None
    follow: Gain | None = None
    descend: Gain | None = None
    direction: list[Tensor] | None = field(default=None, repr=False)
    parameters: tuple[Tensor, ...] = field(default=(), repr=False)
    radius: float = 0.0
    way: str = "none"
    way_why: str = ""
    checks: tuple[Check, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return words.text(self)
