"""Directions in the space of parameters: random and filter-normalised, principal components, Hessian eigenvectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import RunError
from .network import Network


@dataclass(frozen=True)
class Plane:
    """A plane through the space of parameters: `center` + a * `across` + b * `along`, each flat of size P, drawn for a
    and b in `box` = ((a low, a high), (b low, b high)). `path` (T, 2) are coordinates of a trajectory in it. `note`
    says in words what it is, `names` label the axes, `labels` names points (label, a, b)."""

    name: str
    center: Tensor
    across: Tensor
    along: Tensor
    box: tuple[tuple[float, float], tuple[float, float]]
    names: tuple[str, str]
    note: str
    path: Tensor | None = None
    labels: tuple[tuple[str, float, float], ...] = ()


def filter_normalised(network: Network, generator: torch.Generator) -> Tensor:
    """A random direction in which every filter is as long as the network's own (Li et al. 2018, arXiv:1712.09913, 4).

    Gaussian; of each parameter of two or more dimensions, every row of its first dimension (a filter of a convolution,
    a neuron's weights) is scaled to the norm of the network's row. Parameters of one dimension, biases and those of
    normalisations, do not move, as with the authors' `--xignore biasbn`."""
    parts = []
    for parameter in network.model.parameters():
        drawn = torch.randn(parameter.shape, dtype=torch.float64, generator=generator)
        if parameter.ndim <= 1:
            parts.append(torch.zeros(parameter.numel(), dtype=torch.float64))
            continue
        rows, own = drawn.flatten(1), parameter.detach().double().flatten(1).cpu()
        lengths = own.norm(dim=1, keepdim=True) / (rows.norm(dim=1, keepdim=True) + 1e-10)
        parts.append((rows * lengths).reshape(-1))
    return torch.cat(parts).to(network.point)


def random_plane(network: Network, seed: int = 0, radius: float = 1.0) -> Plane:
    """Two filter-normalised random directions around the network; at 1 each filter has moved by its own length."""
    generator = torch.Generator().manual_seed(seed)
    across, along = (filter_normalised(network, generator) for _ in range(2))
    if not bool(across.any() and along.any()):
        raise RunError(
            f"{network.task.name}: all its parameters have one dimension (or are 0), which filter-normalised "
            "directions leave where they are; draw the trajectory or the Hessian's eigenvectors instead"
        )
    box = ((-radius, radius), (-radius, radius))
    note = "filter-normalised random directions (Li et al. 2018); 1 moves each filter by its own length"
    return Plane("random", network.point, across, along, box, ("first direction", "second direction"), note)


def trajectory_plane(network: Network, weights: Tensor) -> Plane:
    """The two principal components of a training trajectory (T, P) around its end, with the trajectory in it.

    Of the differences to the last point, as Li et al. 2018, section 7. The directions have length 1. A random walk too
    shows smooth curves with much variance explained in its first components (Antognini & Sohl-Dickstein 2018,
    arXiv:1806.08805), so the share is a fact of the picture, no proof of low dimension. Costs T² P. Raises RunError for
    a trajectory of fewer than three different points."""
    differences = (weights - weights[-1]).double()
    values, vectors = torch.linalg.eigh(differences @ differences.T)
    if len(weights) < 3 or float(values[-2]) <= 1e-12 * float(values[-1]):
        raise RunError(f"{network.task.name}: the trajectory does not span a plane; train for more steps")
    axes = differences.T @ vectors[:, [-1, -2]]
    axes = axes / axes.norm(dim=0)
    path = differences @ axes
    share = (values[[-1, -2]] / values.sum()).tolist()
    lows, highs = path.min(0).values, path.max(0).values
    spare = 0.25 * (highs - lows).max()
    box = tuple((float(low - spare), float(high + spare)) for low, high in zip(lows, highs))
    note = (
        f"the principal components of the {len(weights)} recorded points of the training run, which explain "
        f"{share[0]:.0%} and {share[1]:.0%} of their variance; a random walk would show much too"
    )
    across, along = axes.T.to(network.point)
    names = (f"first component ({share[0]:.0%})", f"second component ({share[1]:.0%})")
    return Plane("trajectory", network.point, across, along, box, names, note, path)  # type: ignore[arg-type]


def hessian_plane(network: Network, radius: float | None = None, products: int = 100, seed: int = 0) -> Plane:
    """The eigenvectors of the largest and the smallest Hessian eigenvalue of the same loss, of length 1.

    By Lanczos with up to `products` Hessian-vector products (`downslope.diagnose.curvature.extremes`). The radius is a
    tenth of the parameters' length unless given. Raises RunError where the curvature cannot be had."""
    from ..diagnose.curvature import extremes

    model = network.model.requires_grad_(True)
    try:
        found = extremes(network.task.loss, model, list(network.batches), products=products, tolerance=1e-2, seed=seed)
    finally:
        model.requires_grad_(False)
    if found.largest is None or found.smallest is None:
        raise RunError(f"{network.task.name}: no Hessian eigenvectors: {found.why}")
    across, along = (_turned(end.vector).to(network.point) for end in (found.largest, found.smallest))
    reach = radius if radius is not None else 0.1 * float(network.point.norm())
    big, small = found.largest.value, found.smallest.value
    note = f"Hessian eigenvectors of eigenvalues {big:.3g} and {small:.3g} ({found.products} products)"
    names = (f"of the largest eigenvalue, {big:.3g}", f"of the smallest, {small:.3g}")
    return Plane("hessian", network.point, across, along, ((-reach, reach), (-reach, reach)), names, note)


def _turned(vector: Tensor) -> Tensor:
    """An eigenvector and its opposite are the same; that whose largest component is positive."""
    return vector if vector[vector.abs().argmax()] > 0 else -vector


def plane_through(network: Network, first: Tensor, second: Tensor, third: Tensor, **of: Any) -> Plane:
    """The plane of three points, the first at (0, 0), the second at (d, 0); axes of length 1 (Garipov et al. 2018)."""
    across = (second - first).double()
    length = float(across.norm())
    if length == 0:
        raise RunError(f"{network.task.name}: the two solutions are the same point")
    across = across / length
    along = (third - first).double()
    aside = float(along @ across)
    along = along - aside * across
    up = float(along.norm())
    if up <= 1e-9 * length:  # on one line: any direction will do
        along, aside, up = (
            torch.randn(len(along), dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
            0,
            0,
        )
        along = along - (along @ across) * across
        along = along / along.norm()
    else:
        along = along / up
    tall = max(up, 0.5 * length)
    low, high = min(0.0, aside), max(length, aside)
    box = ((low - 0.2 * length, high + 0.2 * length), (-0.3 * tall, 1.2 * tall))
    across, along = across.to(first), along.to(first)
    return Plane(center=first, across=across, along=along, box=box, labels=(("bend", aside, up),), **of)
