"""Curvature of a loss, honestly: products, extreme eigenvalues, trace, density, and what kind of point this is."""

from __future__ import annotations

from .critical import critical_point
from .point import OUTCOMES, CriticalPoint
from .precondition import Stability, stability
from .spectrum import Extremes, density, extremes, trace

__all__ = [
    "OUTCOMES",
    "CriticalPoint",
    "Extremes",
    "Stability",
    "critical_point",
    "density",
    "extremes",
    "stability",
    "trace",
]
