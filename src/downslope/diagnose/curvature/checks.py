"""What must hold before curvature means anything. A check that fails is an outcome in words, never an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .objective import Objective
from .products import Products, products

UNIT = 1e-6
"""A loss smaller than this is rounded as if it were this: changes below UNIT times the rounding unit are none."""


@dataclass(frozen=True)
class Check:
    """One premise: its name, whether it holds, and in words what was measured."""

    name: str
    passed: bool
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.text}"


@dataclass(frozen=True)
class Examined:
    """The checks, the loss, its resolution (what changes of it are rounding), the products unless something forbids
    them, and the size of a jump of the gradient right at this point, if there is one."""

    checks: tuple[Check, ...]
    value: float
    resolution: float
    products: Products | None = None
    jump: float = 0.0
    broken: bool = False  # the gradient is nan or infinite where the loss is finite

    @property
    def failed(self) -> Check | None:
        return next((c for c in self.checks if not c.passed), None)


COARSE = 1e-5
"""Parameters that round coarser than this (bfloat16, float16) hide any curvature."""


def examine(objective: Objective, generator: torch.Generator, radius: float) -> Examined:
    """Run all checks, dearest last, inside `objective.opened()`. Costs about 8 gradients and 4 products."""
    once, twice = objective.values(), objective.values()
    value, again = objective.mean(once), objective.mean(twice)
    checks: list[Check] = []
    if objective.eps > COARSE:
        kinds = ", ".join(sorted({str(p.dtype).removeprefix("torch.") for p in objective.parameters}))
        text = f"the parameters are {kinds}, which rounds curvature away; look at a copy of the model, .float()"
        return Examined((Check("precision", False, text),), value, 0.0)
    resolution = 8 * objective.eps * max(abs(value), UNIT)
    if not bool(torch.isfinite(once).all()):
        bad = int((~torch.isfinite(once)).sum())
        where = f" in {bad} of {len(once)} pieces of the data" if len(once) > 1 else ""
        checks.append(Check("finite", False, f"the loss is {value}{where}"))
        return Examined(tuple(checks), value, resolution)
    apart = float((once - twice).abs().max())
    if apart > 4 * objective.eps * max(abs(value), float(once.abs().max()), UNIT):
        text = f"two evaluations of the loss give {value:.8g} and {again:.8g}"
        checks.append(Check("deterministic", False, _random(objective, text)))
        return Examined(tuple(checks), value, resolution)
    checks.append(Check("deterministic", True, f"two evaluations of the loss give {value:.6g}, {_same(apart)}"))
    resolution = max(resolution, 4 * apart)
    gradient = objective.whole_gradient()
    if not bool(torch.isfinite(gradient).all()):
        bad = int((~torch.isfinite(gradient)).sum())
        text = f"the loss is {value:.6g}, but {bad} of {objective.size} elements of its gradient are nan or infinite"
        return Examined((*checks, Check("finite", False, text)), value, resolution, broken=True)
    checks.append(Check("finite", True, "loss and gradient are finite"))
    moved = float(torch.linalg.vector_norm(objective.whole_gradient() - gradient))
    if moved > 1e3 * objective.eps * max(float(torch.linalg.vector_norm(gradient)), UNIT):  # the loss may not show it
        text = f"two evaluations of the gradient differ by {moved:.2g}"
        return Examined((*checks, Check("deterministic", False, _random(objective, text))), value, resolution)
    u, v = objective.random(generator), objective.random(generator)
    found = products(objective, u)
    at_u = found(u)
    step, fine, finer = _fine(found, objective, u)
    far = found.whole_difference(u, radius)
    jump = 0.0
    if found.way.exact:
        found, jump, check = _agreement(found, objective, u, at_u, gradient, (step, fine, finer), radius)
        checks.append(check)
        at_u = at_u if found.way.exact else found(u)
    else:
        jump = _jump(fine * step, finer * (step / 8), _slope_noise(objective, gradient, far), radius, far)
    checks.append(_symmetry(found, u, v, at_u))
    text = f"{float(u @ at_u):.3g} at this point and {float(u @ far):.3g} over a step of {radius:.2g}"
    checks.append(Check("scale", True, f"along a random direction the curvature is {text}"))
    return Examined(tuple(checks), value, resolution, found, jump)


def _same(apart: float) -> str:
    return "bit for bit" if apart == 0 else f"within {apart:.1g}"


def _random(objective: Objective, text: str) -> str:
    modules = objective.model.named_modules() if objective.model is not None else ()
    drops = [n for n, m in modules if isinstance(m, nn.modules.dropout._DropoutNd) and m.training and m.p > 0]
    if drops:
        return f"{text}: dropout is on ({', '.join(drops[:3])}); look at the model in evaluation mode, train=False"
    return f"{text}: something in it is random; fix its batch and its random numbers"


def _fine(found: Products, objective: Objective, u: Tensor) -> tuple[float, Tensor, Tensor]:
    """Differences at the step that suits rounding best, and at an eighth of it."""
    step = objective.eps ** (1 / 3) * max(1.0, objective.length)
    return step, found.whole_difference(u, step), found.whole_difference(u, step / 8)


def _slope_noise(objective: Objective, gradient: Tensor, at_u: Tensor) -> float:
    """How far rounding moves a gradient: its own, and that of the position."""
    sizes = float(torch.linalg.vector_norm(gradient)), objective.length * float(torch.linalg.vector_norm(at_u))
    return 30 * objective.eps * max(sum(sizes), UNIT)


def _jump(coarse: Tensor, fine: Tensor, noise: float, radius: float, at_u: Tensor) -> float:
    """The size of a jump of the gradient at the very point: what stays of h D(h) - h H as h shrinks eightfold."""
    wide, near = float(torch.linalg.vector_norm(coarse)), float(torch.linalg.vector_norm(fine))
    stays = near > 0.5 * wide and near > noise
    matters = near / radius > 0.05 * float(torch.linalg.vector_norm(at_u))
    return near if stays and matters else 0.0


def _agreement(
    found: Products,
    objective: Objective,
    u: Tensor,
    at_u: Tensor,
    gradient: Tensor,
    tried: tuple[float, Tensor, Tensor],
    radius: float,
) -> tuple[Products, float, Check]:
    """Double backward against differences. A jump of the gradient, a derivative that is not one, or agreement."""
    step, coarse, fine = tried
    noise = _slope_noise(objective, gradient, at_u)
    jump = _jump((coarse - at_u) * step, (fine - at_u) * (step / 8), noise, radius, at_u)
    size = max(float(torch.linalg.vector_norm(at_u)), 1e-300)
    if jump:
        text = f"the gradient jumps by {2 * jump:.2g} right here: the loss has a kink at this point"
        return found, jump, Check("agreement", True, text)
    apart, h = min((float(torch.linalg.vector_norm(d - at_u)), h) for d, h in ((coarse, step), (fine, step / 8)))
    own = _own_functions(objective)
    allowed = (1e-3 if own else 0.2) * max(size, float(torch.linalg.vector_norm(fine)))
    if apart > allowed and apart * h > noise:
        if not own:
            text = (
                f"differences at a step of {h:.1g} differ by {apart / size:.0%} from double backward: kinks, or steep"
            )
            return found, 0.0, Check("agreement", True, f"{text} higher derivatives, within that step")
        why = f"double backward gives {size:.3g} along a random direction, the gradient itself changes by "
        why += f"{float(torch.linalg.vector_norm(fine)):.3g}: {own} has a wrong second derivative"
        return found.by_differences(why, u), 0.0, Check("agreement", True, f"{why}; differences are taken")
    text = f"double backward and differences at a step of {h:.1g} agree within {apart / size:.1g} of the product"
    return found, 0.0, Check("agreement", True, text)


def _own_functions(objective: Objective) -> str:
    """The names of functions in the first term's graph whose backward is the user's own: torch's can be trusted."""
    open_, seen = [objective.loss(objective.terms[0]).grad_fn], set[Any]()
    names = dict[str, None]()
    while open_:
        node = open_.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, torch.autograd.function.BackwardCFunction) or "CppNode" in node.name():
            names[node.name().removesuffix("Backward")] = None
        open_ += [n for n, _ in node.next_functions]
    return " or ".join(names)


def _symmetry(found: Products, u: Tensor, v: Tensor, at_u: Tensor) -> Check:
    """u.Hv against v.Hu, over what random vectors leave of the product."""
    at_v = found(v)
    defect = abs(float(u @ at_v) - float(v @ at_u))
    size = max(float(torch.linalg.vector_norm(at_u)), float(torch.linalg.vector_norm(at_v)))
    allowed = found.objective.eps**0.5 if found.way.exact else max(1e-3, 30 * found.objective.eps**0.5)
    share = defect / size if size else 0.0
    passed = share <= allowed or not size > 0
    text = f"u.Hv and v.Hu differ by {share:.1g} of the product"
    return Check("symmetry", passed, text if passed else f"{text}; these are no second derivatives of one loss")
