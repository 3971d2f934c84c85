"""Where training stands: not stationary, at a saddle, where no negative curvature was found, or nobody can tell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from . import words
from .checks import Examined, examine
from .evidence import BOTH, DOWNHILL, Gain, Mean, gain, mean_of, test_gradient, witness
from .lanczos import MEMORY, End, Lanczos, search
from .objective import Objective
from .point import CANNOT_TELL, MAXIMUM, NONE_FOUND, NOT_STATIONARY, SADDLE, CriticalPoint
from .products import Products
from .read import BATCHES, check_positive, check_products, check_share, read, run_guarded
from .spectrum import RADIUS, noise_of

Known = dict[str, Any]
"""Fields of the result that are known so far."""
FLAT = 1e-3
"""Curvature within this share of the largest counts as flat, unless a direction below is certified: the default tau."""


@dataclass(frozen=True)
class _Asked:
    """What was asked for, through the whole examination."""

    budget: int
    tau: float | None
    confidence: float
    radius: float
    memory: float
    generator: torch.Generator


def critical_point(
    what: Any,
    model: Any = None,
    data: Any = None,
    *,
    held_out: Any = None,
    products: int = 200,
    tau: float | None = None,
    confidence: float = 0.99,
    radius: float | None = None,
    train: bool = False,
    batches: int = BATCHES,
    seed: int = 0,
    memory: float = MEMORY,
) -> CriticalPoint:
    """Whether this is a critical point of the loss, and of which kind, as far as can be told.

    `what` is a downslope Task; or a loss function of (output, target) with `data=` (a DataLoader, batches, or one pair
    of tensors); or a function of nothing that returns the loss; or a list of such functions, one for each batch.
    `model` is a module, or a parameter or list of them. `held_out` is data as `data`; without it the data are halved,
    if they can be: where negative curvature is found in all of it, one half is searched again and the other certifies.
    `products` is the budget of Hessian-vector products, `tau` the curvature that is to be excluded (default 1e-3 of the
    largest), `radius` the scale of a step (default 1 % of the parameters' length, at least 0.01). Batch norm and
    dropout are in evaluation mode unless `train`. At most `batches` batches are read, once.

    Everything is left as it was, bit for bit: parameters, gradients, buffers, modes, random states. Costs about
    `products` times 1 to 4 gradients over the data, and 8 bytes for each parameter and product, up to `memory` bytes.
    Raises SettingError for what cannot be read, RunError if the loss cannot be evaluated; whatever is found is a value.
    """
    who = "critical_point"
    for name, value in {"tau": tau, "radius": radius, "memory": memory}.items():
        check_positive(name, value, who)
    check_share("confidence", confidence, who)
    check_products(products, who)
    objective = read(what, model, data, train=train, batches=batches, who=who)
    other = None
    if held_out is not None:
        of_data = data is not None or callable(getattr(what, "make_data", None))
        loss, kept_out = (getattr(what, "loss", what), held_out) if of_data else (held_out, None)
        other = read(loss, objective.model or objective.parameters, kept_out, train=train, batches=batches, who=who)
        other = other.pieces or other
    generator = torch.Generator().manual_seed(seed)
    with objective.opened():
        run_guarded(objective, who)
        r = radius or RADIUS * max(1.0, objective.length)
        asked = _Asked(products, tau, confidence, r, memory, generator)
        found = _judge(objective, other, asked)
    if found.direction is None:
        return found
    return replace(found, direction=[d.to(p.dtype) for d, p in zip(found.direction, objective.parameters)])


def _judge(objective: Objective, other: Objective | None, asked: _Asked) -> CriticalPoint:
    seen = examine(objective, asked.generator, asked.radius)
    base: Known = {
        "loss": seen.value, "confidence": asked.confidence, "parameters": objective.parameters, "radius": asked.radius,
        "checks": seen.checks, "notes": objective.notes,
    }  # fmt: skip
    if seen.broken or seen.jump:
        return _kink(objective, seen, asked, base)
    found = seen.products
    if seen.failed or found is None:
        return CriticalPoint(CANNOT_TELL, f"{seen.failed}", **base)
    base |= {"way": found.way.name, "way_why": found.why}
    tested, gradient = test_gradient(
        objective, found, asked.generator, confidence=asked.confidence, resolution=seen.resolution, radius=asked.radius
    )
    base |= {"gradient": tested}
    if not tested.stationary:
        descend = _downhill(objective, gradient, seen, asked)
        base |= {"descend": descend}
        if descend.change.value < 0:
            return CriticalPoint(NOT_STATIONARY, words.moving(tested), **base)
        return CriticalPoint(CANNOT_TELL, words.no_way_down(tested, asked.radius), **base)
    return _curvature(objective, other, found, gradient, seen, asked, base)


def _downhill(check: Objective, gradient: Tensor, seen: Examined, asked: _Asked) -> Gain:
    along = -gradient / torch.linalg.vector_norm(gradient)
    return gain(check, along, asked.radius, seen.resolution, DOWNHILL)


def _curvature(
    objective: Objective, other: Objective | None, found: Products, gradient: Tensor, seen: Examined, asked: _Asked,
    base: Known,
) -> CriticalPoint:  # fmt: skip
    """The search over all the data, and what its end says."""
    lanczos = _search(found, asked)
    if not len(lanczos.basis) or not lanczos.finite:
        return CriticalPoint(CANNOT_TELL, "a Hessian-vector product is nan or infinite", **base)
    low, high = lanczos.ends()
    scale = max(abs(low.value), abs(high.value))
    noise = noise_of(lanczos, objective)
    unseen = 4 * seen.resolution / asked.radius**2  # curvature that no loss at r could show
    every = lanczos.exhausted and high.value < -noise
    base |= {
        "smallest": low.value, "largest": high.value, "noise": noise, "products": lanczos.products,
        "exhausted": lanczos.exhausted,
    }  # fmt: skip
    wanted = asked.tau if asked.tau is not None else FLAT * scale
    check = other or objective
    if low.value < -noise and scale > unseen:
        if other is None and objective.halves is not None:  # a direction is checked on data it was not found on
            part, check = objective.halves
            again = _search(found.on(part), asked)
            base |= {"products": lanczos.products + again.products}
            low_there, noise_there = again.ends()[0], noise_of(again, part)
        else:
            low_there, noise_there = low, noise
        looked = witness(
            found, check, low_there.vector, low_there.value, other_data=check is not objective, radius=asked.radius,
            resolution=seen.resolution, noise=noise_there, confidence=asked.confidence,
        )  # fmt: skip
        base |= {"witness": looked}
        if looked.certified:
            return _certified(check, low_there, every, gradient, seen, asked, base)
        if low.value < -max(wanted, noise):
            return CriticalPoint(CANNOT_TELL, words.unconfirmed(looked), **base)
    excluded = max(0.0, -low.value) + lanczos.gap(asked.confidence) + noise
    if not excluded < max(scale, unseen):
        return CriticalPoint(CANNOT_TELL, words.too_few(lanczos.products, excluded, scale), tau=excluded, **base)
    flat = abs(low.value) <= max(noise, unseen, 0.0 if lanczos.exhausted else wanted)
    base |= {"tau": excluded, "flat": flat}
    if not flat:
        short = asked.tau if asked.tau is not None and excluded > asked.tau else None
        return CriticalPoint(NONE_FOUND, words.none_found(lanczos.exhausted, short), **base)
    return _flat(objective, low, scale <= unseen, seen, asked, base)


def _search(found: Products, asked: _Asked) -> Lanczos:
    part = found.objective
    lanczos = Lanczos(found, part.random(asked.generator), asked.generator, asked.memory)
    search(lanczos, asked.budget, lambda l: _enough(l, part, asked))
    return lanczos


def _enough(lanczos: Lanczos, part: Objective, asked: _Asked) -> bool:
    """A good witness is there, or what was to be excluded is."""
    low, high = lanczos.ends()
    noise = noise_of(lanczos, part)
    if low.value < -4 * noise and low.residual < 0.1 * abs(low.value):
        return lanczos.products >= min(10, lanczos.size)
    scale = max(abs(low.value), abs(high.value))
    wanted = asked.tau if asked.tau is not None else FLAT * scale
    return max(0.0, -low.value) + lanczos.gap(asked.confidence) + noise <= wanted


def _certified(
    check: Objective, low: End, every: bool, gradient: Tensor, seen: Examined, asked: _Asked, base: Known
) -> CriticalPoint:
    follow = gain(check, low.vector, asked.radius, seen.resolution, BOTH, (1, -1))
    descend = _downhill(check, gradient, seen, asked) if bool(gradient.any()) else None
    direction = check.shaped(low.vector * follow.sign)
    why = words.saddle(every, follow, descend)
    outcome = MAXIMUM if every else SADDLE
    return CriticalPoint(outcome, why, follow=follow, descend=descend, direction=direction, **base)


def _flat(check: Objective, low: End, plateau: bool, seen: Examined, asked: _Asked, base: Known) -> CriticalPoint:
    """Second order does not decide: the loss itself is asked, along the flattest direction and random ones."""
    best, vector = _falls(check, [low.vector, *_randoms(check, asked)], seen, asked)
    level = plateau and all(abs(m.value) <= 2 * seen.resolution for m in _around(check, low.vector, asked, seen))
    if best is None:
        return CriticalPoint(NONE_FOUND, words.flat(level, asked.radius), **base)
    why = words.flat_but_falls(best)
    return CriticalPoint(NONE_FOUND, why, follow=best, direction=check.shaped(vector * best.sign), **base)


def _kink(objective: Objective, seen: Examined, asked: _Asked, base: Known) -> CriticalPoint:
    """No derivatives here: what the loss does beside the point is all that can be said."""
    reach = asked.radius / 10
    tried = _randoms(objective, asked)
    if seen.products is not None:  # what double backward takes for the gradient and for the lowest curvature
        gradient = objective.whole_gradient()
        tried += [gradient / torch.linalg.vector_norm(gradient)] if bool(gradient.any()) else []
        lanczos = Lanczos(seen.products, objective.random(asked.generator), asked.generator, asked.memory)
        lanczos.advance(20)
        tried += [lanczos.ends()[0].vector] if len(lanczos.basis) else []
    tried += (
        [v for v in torch.eye(objective.size, dtype=torch.float64).to(objective.device)] if objective.size <= 8 else []
    )
    best, vector = _falls(objective, tried, seen, asked, reach)
    if best is None:
        return CriticalPoint(CANNOT_TELL, words.kink(seen, None, len(tried), reach), **base)
    direction = objective.shaped(vector * best.sign)
    why = words.kink(seen, best, len(tried), reach)
    return CriticalPoint(NOT_STATIONARY, why, follow=best, direction=direction, **base)


def _randoms(objective: Objective, asked: _Asked) -> list[Tensor]:
    return [objective.random(asked.generator) for _ in range(8)]


def _around(check: Objective, vector: Tensor, asked: _Asked, seen: Examined) -> Iterator[Mean]:
    here = check.values()
    for sign in (1, -1):
        yield mean_of(check, check.values(vector * (sign * asked.radius)) - here, seen.resolution)


def _falls(
    check: Objective, tried: list[Tensor], seen: Examined, asked: _Asked, radius: float | None = None
) -> tuple[Gain | None, Tensor]:
    """The direction and sign in which the loss falls most at a radius, if it falls beyond noise in any.

    So many are tried that the level of each is the asked one over their number."""
    r = radius or asked.radius
    here = check.values()
    level = 1 - (1 - asked.confidence) / (2 * len(tried))
    best: Gain | None = None
    which = tried[0]
    for vector in tried:
        for sign in (1, -1):
            change = mean_of(check, check.values(vector * (sign * r)) - here, seen.resolution)
            falls = math.isfinite(change.value) and change.below_zero(level)
            if falls and (best is None or change.value < best.change.value):
                best, which = Gain(change, r, sign), vector
    return best, which
