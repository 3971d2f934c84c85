"""Trials that train together: parameters stacked, one forward, backward and optimizer step for all."""

from __future__ import annotations

from .check import Way, way
from .run import run_batch
from .size import can_batch

__all__ = ["Way", "can_batch", "run_batch", "way"]
