"""What a judgement says: findings, worst first, with evidence, cause and remedy; none when all is well."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Finding:
    """One thing that is wrong with a run.

    `symptom` is a slug of SYMPTOMS; `verdict` says in a sentence what was found, `since_step` since when; `confidence`
    from 0 to 1 is how often such evidence meant that, as its author judges; `evidence` holds the figures and short
    series for a picture; `cause` is the most likely one, `alternatives` what else it could be or what came of it;
    `remedy` what to try, `tried` what a forked run said of it (None: none was made). `severe`: training is broken, or
    will not arrive; else it costs something."""

    symptom: str
    verdict: str
    cause: str
    remedy: str
    since_step: int | None = None
    confidence: float = 0.9
    severe: bool = True
    evidence: Mapping[str, Any] = field(default_factory=dict)
    alternatives: tuple[str, ...] = ()
    tried: str | None = None

    def __str__(self) -> str:
        since = "" if self.since_step is None else f" (since step {self.since_step})"
        lines = [f"{self.symptom}: {self.verdict}{since}", f"  cause:  {self.cause}"]
        if self.alternatives:
            lines.append(f"  or:     {'; '.join(self.alternatives)}")
        lines.append(f"  try:    {self.remedy}")
        if self.tried:
            lines.append(f"  tried:  {self.tried}")
        return "\n".join([*lines, f"  sure:   {self.confidence:.0%}"])


@dataclass
class Report:
    """What was found in a run: findings, worst first; what watching cost; notes on what could not be seen.

    `overhead` is the time of all probes over that of the steps without them, `budget` what it was allowed.
    """

    findings: list[Finding]
    steps: int = 0
    overhead: float = 0.0
    budget: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """1 if a finding is severe, else 0."""
        return int(any(finding.severe for finding in self.findings))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def as_json(self) -> dict[str, Any]:
        """Everything; numbers that JSON has no word for are null."""
        return _finite({**asdict(self), "exit_code": self.exit_code})  # type: ignore[no-any-return]

    def to_json(self) -> str:
        return json.dumps(self.as_json(), indent=2)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Report:
        """The report that `as_json` gave."""
        rest = {name: found[name] for name in ("steps", "overhead", "budget", "notes")}
        findings = [Finding(**{**each, "alternatives": tuple(each["alternatives"])}) for each in found["findings"]]
        return cls(findings, **rest)

    def __str__(self) -> str:
        cost = f"{self.steps} steps watched, at {self.overhead:.1%} of their time (budget {self.budget:.1%})"
        said = [str(each) for each in self.findings] or ["Nothing is wrong as far as can be seen."]
        return "\n\n".join([*said, "\n".join([cost, *(f"note: {note}" for note in self.notes)])])


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return value.item() if hasattr(value, "item") else str(value)
