"""Notices when the loss jumps far above its level, and keeps what came before."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..signals import Signals
from . import norms
from .ring import Ring

SPIKE = 6.0
"""Deviations from the loss's recent mean, and half of that mean: a spike. Losses of batches are skewed; at 6, none in
healthy runs of the tests."""
MOST = 20


class Spikes:
    """The running level of the loss, by which a spike is told."""

    def __init__(self, signals: Signals, ring: Ring | None):
        self.signals, self.ring = signals, ring
        self.level, self.square = math.nan, 0.0  # running mean, and mean square of differences

    def see(self, value: float, batch: Callable[[], int]) -> None:
        """The loss of the step that has ended."""
        s = self.signals
        at = len(s.loss)
        step: dict[str, Any] = {"step": at, "loss": value}
        if s.samples and s.samples[-1].step == at:
            last = s.samples[-1]
            step |= {
                "gradient": last.before_clip,
                "update": norms.total(last.update),
                "updates": last.update,
                "staleness": last.stale,
            }
        if math.isfinite(value):
            level, square = self.level, self.square
            off = value - level  # nan at first
            if off > 0.5 * abs(level) and at > 30 and off > SPIKE * math.sqrt(square):
                self._spiked(step, batch())
            known = off == off
            self.level = level + 0.1 * off if known else value
            self.square = square + 0.1 * ((off * off if known else 0.0) - square)
        s.recent.append(step)

    def _spiked(self, step: dict[str, Any], batch: int) -> None:
        if len(self.signals.spikes) < MOST:
            self.signals.spikes.append(
                {**step, "usual": self.level, "before": list(self.signals.recent), "batch": batch}
            )
        if self.ring is not None:
            self.ring.spiked(step["step"], step["loss"], self.level)
