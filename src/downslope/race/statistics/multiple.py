"""Many comparisons at once."""

from __future__ import annotations

from collections.abc import Sequence

METHOD = "Holm 1979, Scandinavian Journal of Statistics 6(2)"


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """The p-values adjusted by Holm's steps, in the order given: the smallest times their number, and so on.

    Deciding where the adjusted p is at most 0.05 makes a single false decision in at most 5 % of races, whatever the
    comparisons have to do with each other and however many of the optimizers are equal. A comparison that cannot be
    made (None) counts among their number and stays None. Source: Holm 1979.
    """
    adjusted: list[float | None] = [None] * len(ps)
    so_far = 0.0
    for rank, place in enumerate(sorted((i for i, p in enumerate(ps) if p is not None), key=lambda i: ps[i] or 0.0)):
        so_far = max(so_far, min(1.0, (len(ps) - rank) * (ps[place] or 0.0)))
        adjusted[place] = so_far
    return adjusted
