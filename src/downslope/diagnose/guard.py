"""Stands between what looks on and the loop: what fails is switched off and noted, what it costs is charged."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .budget import Budget
from .signals import Signals

PROBES = {"losses": 0.18, "norms": 0.28, "layers": 0.12, "ring": 0.12}
"""Parts of the budget; the rest is for following the loop itself."""
CHARGED = 1.7
"""Times what a clock around it sees: what runs after a look finds the caches emptied. Measured on the digits CNN, where
steps are short; at 31 ms a step it is 1.2."""
NOTES = 20

_clock = time.perf_counter


class Guard:
    """The budget and the notes of one watch; `plan` says which probes look at the step under way."""

    def __init__(self, allowed: float, signals: Signals, end: Callable[[], None]):
        self.budget, self.signals, self._end = Budget(allowed, PROBES), signals, end
        self.notes: list[str] = []
        self.plan = dict.fromkeys(PROBES, True)
        self.looks = True  # does any probe look at this step?
        self._rests = 0
        self.resting = 0  # so many steps are not followed: that alone would cost more than the budget
        self.paused = self.closed = False

    def timed(self, what: Callable[..., None], always: bool = False) -> Callable[..., None]:
        """Adds its time to the overhead; nothing that fails in it reaches the loop. Rests in steps that are not
        followed, unless `always`."""
        budget = self.budget

        def run(*args: Any) -> None:
            if self.paused or self.closed or (self.resting and not always):
                return
            began = _clock()
            try:
                what(*args)
            except Exception as error:
                self.failed(what.__name__.strip("_"), error)
            taken = _clock() - began
            budget.timed += taken
            budget.spent += CHARGED * taken

        return run

    def probe(self, name: str, what: Callable[..., Any], *args: Any) -> Any:
        """Run a part of a probe and charge it; if it fails the probe is switched off."""
        began = _clock()
        try:
            return what(*args)
        except Exception as error:
            self.budget.accounts[name].on = self.plan[name] = False
            self.failed(name, error)
            return None
        finally:
            self.budget.pay(name, CHARGED * (_clock() - began))

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

    def next_step(self, norms: bool, ring: bool, few: bool) -> None:
        """A step has ended: what may look at the next one. Norms and the ring may be in the middle of something."""
        budget, plan = self.budget, self.plan
        if self.looks:
            for name, on in plan.items():
                if on and not (name == "ring" and ring):
                    budget.looked(name)
        budget.tick()
        if norms or ring or budget.last >= budget.due:
            self.plan = plan = budget.plan()
            plan["norms"] = plan["norms"] or (norms and budget.accounts["norms"].on)
            plan["ring"] = plan["ring"] or ring
        elif self.looks:
            self.plan = plan = dict.fromkeys(PROBES, False)
        self.looks = few or True in plan.values()
        if not (norms or ring or few):
            self._rest()

    def rested(self) -> None:
        """The rest is over, if it was long enough."""
        self.wake()
        self._rest()

    def wake(self) -> None:
        """Rest no longer."""
        if self._rests:
            self.budget.tick(self._rests - self.resting)
        self._rests = self.resting = 0

    def _rest(self) -> None:
        self.resting = self._rests = self.budget.rest()
