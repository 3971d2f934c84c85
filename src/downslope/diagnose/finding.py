"""What a judgement says: findings, worst first, with evidence, cause and remedy; none when all is well."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Picture:
    """What a finding rests on, to be drawn small: lines over steps, or bars by name.

    `lines` are points by name, `bars` values by name; `marks` are steps and `levels` values that stand out, in words;
    `log` for a logarithmic scale of the values."""

    title: str
    lines: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)
    marks: Sequence[tuple[float, str]] = ()
    levels: Sequence[tuple[float, str]] = ()
    log: bool = False


@dataclass
class Finding:
    """One thing that is wrong with a run.

    `symptom` is a slug of SYMPTOMS; `verdict` says in a sentence what was found, `since_step` since when; `confidence`
    from 0 to 1 is how often such evidence meant that, as its author judges; `evidence` holds the figures and
    `picture` what to draw of them; `cause` is the most likely one, `alternatives` what else it could be or what came of
    it; `remedy` what to try, `tried` what a forked run said of it (None: none was made), `helped` whether it was better
    beyond doubt (None: not known). `severe`: training is broken, or will not arrive; else it costs something."""

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
    helped: bool | None = None
    picture: Picture | None = None

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

    def save(self, folder: str | Path, title: str | None = None) -> Path:
        """Write findings.json and report.html, one offline page, into a folder, which is made; the page's path."""
        # what draws stands after this on the road: it is asked for by name, and only when something is to be drawn
        written: Path = import_module("downslope.report.findings").write(self, Path(folder), title)
        return written

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Report:
        """The report that `as_json` gave."""
        rest = {name: found[name] for name in ("steps", "overhead", "budget", "notes")}
        return cls([_read(each) for each in found["findings"]], **rest)

    def __str__(self) -> str:
        cost = f"{self.steps} steps watched, at {self.overhead:.1%} of their time (budget {self.budget:.1%})"
        said = [str(each) for each in self.findings] or ["Nothing is wrong as far as can be seen."]
        return "\n\n".join([*said, "\n".join([cost, *(f"note: {note}" for note in self.notes)])])


def _read(found: Mapping[str, Any]) -> Finding:
    picture = found.get("picture")
    known = None if picture is None else Picture(**picture)
    return Finding(**{**found, "alternatives": tuple(found["alternatives"]), "picture": known})


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return _finite(value.tolist()) if hasattr(value, "tolist") else str(value)
