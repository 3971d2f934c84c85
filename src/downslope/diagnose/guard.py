"""Stands between what looks on and the loop: what fails is switched off and noted, what it costs is charged."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .budget import Budget
from .signals import Signals

PROBES = {"losses": 0.2, "norms": 0.35, "layers": 0.15, "ring": 0.15}
"""Parts of the budget; the rest is what following the loop itself costs, about 20 us a step."""
NOTES = 20


class Guard:
    """The budget and the notes of one watch; `plan` says which probes look at the step under way."""

    def __init__(self, allowed: float, signals: Signals, end: Callable[[], None]):
        self.budget, self.signals, self._end = Budget(allowed, PROBES), signals, end
        self.notes: list[str] = []
        self.plan = dict.fromkeys(PROBES, True)
        self.paused = self.closed = False
        self.idle = False  # this step is not followed: that alone would cost more than the budget

    def timed(self, what: Callable[..., None], always: bool = False) -> Callable[..., None]:
        """Adds its time to the overhead; nothing that fails in it reaches the loop. Rests in idle steps."""

        def run(*args: Any) -> None:
            if self.paused or self.closed or (self.idle and not always):
                return
            began = time.perf_counter()
            try:
                what(*args)
            except Exception as error:
                self.failed(what.__name__.strip("_"), error)
            self.budget.spent += time.perf_counter() - began

        return run

    def probe(self, name: str, what: Callable[..., Any], *args: Any) -> Any:
        """Run a part of a probe and charge it; if it fails the probe is switched off."""
        began = time.perf_counter()
        try:
            return what(*args)
        except Exception as error:
            self.budget.accounts[name].on = self.plan[name] = False
            self.failed(name, error)
            return None
        finally:
            self.budget.pay(name, time.perf_counter() - began)

    def failed(self, name: str, error: Exception) -> None:
        """Note it; what fails three times outside of the probes ends the watch."""
        note = f"{name} failed at step {self.signals.steps} ({type(error).__name__}: {error}) and is switched off"
        if name not in PROBES:
            self.signals.counts["failed"] += 1
            if self.signals.counts["failed"] >= 3:
                note = f"watching ended at step {self.signals.steps}: {type(error).__name__}: {error}"
                self._end()
        self.note(note)

    def note(self, words: str) -> None:
        if words not in self.notes and len(self.notes) < NOTES:
            self.notes.append(words)

    def next_step(self, norms: bool, ring: bool) -> None:
        """A step has ended: what may look at the next one. Norms and the ring may be in the middle of something."""
        for name, on in self.plan.items():
            if on and not (name == "ring" and ring):
                self.budget.looked(name)
        self.plan = {name: self.budget.may(name) for name in PROBES}
        self.plan["norms"] = self.plan["norms"] or (norms and self.budget.accounts["norms"].on)
        self.plan["ring"] = self.plan["ring"] or ring
        self.rest()

    def rest(self) -> None:
        """Whether the next step is followed at all."""
        self.idle = not self.budget.follows()
        self.budget.tick()
