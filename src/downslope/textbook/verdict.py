"""From checks to a verdict with its reason in words."""

from __future__ import annotations

from dataclasses import dataclass

from .checks import MET, MISSED, Checked
from .claim import Claim, Evidence

HOLDS, LIMITS, NOT_HERE = "holds", "holds with limits", "does not show here"
VERDICTS = (HOLDS, LIMITS, NOT_HERE)


@dataclass(frozen=True)
class Verdict:
    """`verdict` is one of VERDICTS, `reason` says why, `core` and `reach` what became of each check."""

    verdict: str
    reason: str
    core: tuple[Checked, ...]
    reach: tuple[Checked, ...]


def judge(claim: Claim, evidence: Evidence) -> Verdict:
    """Holds where all checks are met, with limits where all of the core are, and else it does not show here."""
    core = tuple(check(evidence.measures) for check in claim.core)
    reach = tuple(check(evidence.measures) for check in claim.reach)
    failed, short = _unmet(core), _unmet(reach)
    if failed:
        seen = tuple(one for one in core + reach if one.outcome == MET)
        all_the_same = f" Seen all the same: {_words(seen)}." if seen else ""
        return Verdict(NOT_HERE, f"Of what decides it, not seen: {_words(failed)}.{all_the_same}", core, reach)
    if short:
        return Verdict(LIMITS, f"What decides it was seen ({_words(core)}), but not: {_words(short)}.", core, reach)
    return Verdict(HOLDS, f"Seen: {_words(core + reach)}.", core, reach)


def _unmet(found: tuple[Checked, ...]) -> tuple[Checked, ...]:
    return tuple(one for one in found if one.outcome != MET)


def _words(found: tuple[Checked, ...]) -> str:
    tail = {MET: "", MISSED: "", "open": ", too close to tell"}
    return "; ".join(f"{one.expected} [{one.found}{tail[one.outcome]}]" for one in found)
