"""How often each probe may look, so that all together cost no more than their budget; and what they did cost."""

from __future__ import annotations

import time
from dataclasses import dataclass

GRACE, REPAID = 0.1, 10.0
"""Seconds on credit at the start, when most goes wrong, and the seconds of the loop over which they are paid back."""


@dataclass
class Account:
    """One probe: its part of the budget, what it has spent, what a look costs (an average that forgets)."""

    share: float
    spent: float = 0.0
    cost: float = 0.0
    looks: int = 0
    on: bool = True


class Budget:
    """Time spent on watching against the time of the loop. A budget of 1 or more looks at every step."""

    def __init__(self, allowed: float, shares: dict[str, float]):
        self.allowed, self.accounts = allowed, {name: Account(share) for name, share in shares.items()}
        self.spent = 0.0  # all of the watch, probes included
        self.began = self.last = time.perf_counter()
        self.grace = GRACE
        self.count = 0
        self.steps = 0.0  # seconds of the loop, those of the watch included

    def begin(self) -> None:
        self.began = self.last = time.perf_counter()

    def tick(self) -> None:
        """A step has ended."""
        now = time.perf_counter()
        self.steps += now - self.last
        self.last = now
        self.count += 1

    @property
    def seconds(self) -> float:
        """Of a step of the loop, on average; validation and whatever else stands between is in it."""
        return max(0.0, self.steps - self.spent) / max(1, self.count)

    def pay(self, name: str, seconds: float) -> None:
        account = self.accounts[name]
        account.spent += seconds

    def looked(self, name: str) -> None:
        account = self.accounts[name]
        account.looks += 1
        account.cost = account.spent / account.looks

    def follows(self) -> bool:
        """May the next step be followed at all? Of steps far below a millisecond, not every one."""
        return self.allowed >= 1 or self.spent <= self.fund

    def may(self, name: str) -> bool:
        """May a probe look at the next step?"""
        account = self.accounts[name]
        if not account.on:
            return False
        if self.allowed >= 1 or account.looks == 0:
            return True
        return account.spent + account.cost <= account.share * self.fund

    @property
    def fund(self) -> float:
        """Seconds that may have been spent by now."""
        own = max(0.0, self.steps - self.spent)
        return self.allowed * own + self.grace * max(0.0, 1.0 - own / REPAID)

    @property
    def overhead(self) -> float:
        """Time of the watch over the time of the loop without it."""
        own = self.steps - self.spent
        return self.spent / own if own > 0 else 0.0
