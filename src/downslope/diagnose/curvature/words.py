"""What a critical point is said to be, in plain words with figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .evidence import Gain, GradientTest, Witness

if TYPE_CHECKING:
    from .checks import Examined
    from .point import CriticalPoint


def moving(tested: GradientTest) -> str:
    if tested.p_value is not None and tested.noise is not None:
        return (
            f"the gradient's norm is {tested.norm:.3g}, where noise alone would give {tested.noise:.2g} "
            f"(p = {tested.p_value:.2g})"
        )
    where = f"a critical point, if there is one here, is {tested.distance:.2g} away"
    return f"the gradient's norm is {tested.norm:.3g}; by the curvature {where}"


def no_way_down(tested: GradientTest, radius: float) -> str:
    return (
        f"the gradient's norm is {tested.norm:.3g}, but the loss does not fall against it at any distance from "
        f"{radius * 4.0**-7:.1g} to {64 * radius:.2g}: kinks, or a loss whose gradient is not its own"
    )


def unconfirmed(found: Witness) -> str:
    where = "other data do not confirm" if found.other_data else "the loss itself does not confirm"
    return f"at this noise: the search found a direction of negative curvature that {where}: {found}"


def too_few(products: int, excluded: float, scale: float) -> str:
    return (
        f"{products} products exclude no curvature above -{excluded:.2g}, and the largest is {scale:.2g}; "
        "give more products"
    )


def saddle(every: bool, follow: Gain, descend: Gain | None) -> str:
    text = f"following the direction of negative curvature changes the loss by {follow}"
    if every:
        text = f"the curvature is negative in every direction; {text}"
    if descend is None:
        return f"{text}; there is no gradient to follow"
    better = "the better of the two" if follow.change.value < descend.change.value else "the gradient is the better one"
    return f"{text}, following the gradient by {descend}: {better}"


def none_found(exhausted: bool, short: float | None) -> str:
    if exhausted:
        return "the whole space was searched: to second order the loss rises in every direction"
    more = "" if short is None else f"; it would take more products to exclude -{short:.2g}"
    return f"a search that found none does not prove a minimum{more}"


def flat(plateau: bool, radius: float) -> str:
    if plateau:
        return f"a plateau: gradient, curvature and the change of the loss over {radius:.2g} are all rounding"
    return (
        "the smallest curvature is zero as far as can be told, so second order does not decide; the loss did not fall "
        f"at {radius:.2g} along that direction and 8 random ones"
    )


def flat_but_falls(best: Gain) -> str:
    return (
        "the smallest curvature is zero as far as can be told, so second order does not decide; but the loss falls "
        f"beside this point, by {best}: this is not a minimum"
    )


def kink(seen: Examined, best: Gain | None, tried: int, reach: float) -> str:
    what = (
        "the gradient is nan or infinite right here, where the loss is finite"
        if seen.broken
        else f"the gradient jumps by {2 * seen.jump:.2g} right here"
    )
    beside = (
        f"the loss falls beside it, by {best}"
        if best is not None
        else f"the loss did not fall at {reach:.2g} along {tried} directions to both sides"
    )
    return f"a kink: {what}, so curvature has no meaning; {beside}"


def text(point: CriticalPoint) -> str:
    """The whole report."""
    below = f"-{point.tau:.2g}" if point.tau else "0"
    lines = [f"{point.outcome.replace('-tau', below)}: {point.why}"]
    tested = point.gradient
    if tested is not None:
        noise = "" if tested.noise is None else f", noise {tested.noise:.2g}, p = {tested.p_value:.2g}"
        lines.append(f"gradient: {tested.norm:.3g}{noise} ({tested.test})")
    if point.smallest is not None and point.largest is not None:
        spent = f"{point.products} products" + (", nothing left to search" if point.exhausted else "")
        lines.append(
            f"curvature: from {point.smallest:.3g} to {point.largest:.3g}, noise {point.noise:.1g}; {spent}; "
            f"{point.way} ({point.way_why})"
        )
    if point.tau is not None and not point.exhausted:
        lines.append(f"confidence: {point.confidence:.0%} that none lies below -{point.tau:.2g}, over random starts")
    if point.witness is not None:
        lines.append(f"direction: {'certified' if point.witness.certified else 'not certified'}; {point.witness}")
    for name, best in (("along the direction", point.follow), ("against the gradient", point.descend)):
        if best is not None:
            lines.append(f"{name} the loss changes by {best}")
    lines += [f"check, {check}" for check in point.checks]
    lines += [f"note: {note}" for note in point.notes]
    return "\n".join(lines)
