"""How often each probe may look, so that all together cost no more than their budget; and what they did cost."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

GRACE, FIRST, EARLY, REPAID = 0.1, 0.015, 0.04, 10.0
"""On credit at the start, when most goes wrong: FIRST seconds and a part EARLY of the loop's, GRACE seconds at most;
paid back by the time that the loop has taken REPAID seconds."""
END, KEPT = 0.05, 0.25
"""Seconds that are kept back for the report at the end, and the part of the budget that they are at most."""
LONGEST = 64
"""Steps that are rested in one go at most."""


@dataclass
class Account:
    """One probe: its part of the budget, what it has spent, what a look costs (an average that forgets). Not the first
    one, which also loads what it needs: that is charged to the watch as a whole."""

    share: float
    spent: float = 0.0
    before: float = 0.0  # the last look
    cost: float = 0.0
    looks: int = 0
    on: bool = True


class Budget:
    """Time spent on watching against the time of the loop. A budget of 1 or more looks at every step."""

    def __init__(self, allowed: float, shares: dict[str, float]):
        self.allowed, self.accounts = allowed, {name: Account(share) for name, share in shares.items()}
        self.timed = 0.0  # all of the watch, probes included, as far as a clock inside it sees
        self.spent = 0.0  # all that it costs
        self.last = time.perf_counter()
        self.grace = min(GRACE, allowed * REPAID / 2)  # what is allowed must pay it back
        self.count = 0
        self.steps = 0.0  # seconds of the loop, those of the watch included
        self.due = 0.0  # on the clock: no probe may look before

    def begin(self, spent: float = 0.0) -> None:
        """The loop starts; making the watch has taken so long."""
        self.timed = self.spent = self.steps = spent
        self.last = time.perf_counter()

    def tick(self, count: int = 1) -> None:
        """So many steps have ended since the last time."""
        now = time.perf_counter()
        self.steps += now - self.last
        self.last = now
        self.count += count

    def away(self, seconds: float) -> None:
        """So much of the time since the last tick was not the loop's: a report was asked for."""
        self.last += seconds
        self.due += seconds

    @property
    def own(self) -> float:
        """Seconds of the loop without the watch."""
        return max(0.0, self.steps - self.timed)

    @property
    def seconds(self) -> float:
        """Of a step of the loop, on average; validation and whatever else stands between is in it."""
        return self.own / max(1, self.count)

    def pay(self, name: str, seconds: float) -> None:
        self.accounts[name].spent += seconds

    def looked(self, name: str) -> None:
        account = self.accounts[name]
        account.looks += 1
        if account.looks == 1:
            account.spent = 0.0
            return
        cost = account.spent - account.before
        account.cost += cost if account.looks == 2 else 0.2 * (cost - account.cost)
        account.before = account.spent

    def rest(self) -> int:
        """How many steps must not be followed at all, until what is overspent has been earned."""
        missing = self.spent - self.fund
        if missing <= 0 or self.allowed >= 1:
            return 0
        return min(LONGEST, math.ceil(missing / max(1e-9, self.allowed * self.seconds)))

    def may(self, name: str) -> bool:
        """May a probe look at the next step?"""
        account = self.accounts[name]
        return account.on and (self.allowed >= 1 or account.looks == 0 or self._missing(account) <= 0)

    def _missing(self, account: Account) -> float:
        """What the fund lacks for another look."""
        return (account.spent + account.cost) / account.share - self.fund

    def plan(self) -> dict[str, bool]:
        """Which probes may look at the next step; where none may, `due` says until when that is so."""
        found = {name: self.may(name) for name in self.accounts}
        if not any(found.values()):
            least = min((self._missing(a) for a in self.accounts.values() if a.on), default=math.inf)
            self.due = self.last + least / (self.allowed + EARLY)  # as fast as the fund can grow
        return found

    @property
    def fund(self) -> float:
        """Seconds that may have been spent by now."""
        own = self.own
        earned = self.allowed * own
        credit = min(self.grace, FIRST + EARLY * own) * max(0.0, 1.0 - own / REPAID)
        return earned - min(END, KEPT * earned) + credit

    @property
    def overhead(self) -> float:
        """Time of the watch over the time of the loop without it."""
        return self.spent / self.own if self.own > 0 else 0.0
