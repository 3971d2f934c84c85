"""A file of one line a case, so that a run that was cut off goes on where it stopped.

Each line carries a checksum of the sources that made it: lines of other sources are passed over and kept."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WORDS = ("__main__.py", "figures.py", "journal.py", "page.py", "remarks.py")
"""What only writes up a result and does not change it."""


def fingerprint() -> str:
    """Of the watch's sources and of the benchmark's: a result holds for these alone."""
    import downslope.diagnose

    home = Path(downslope.diagnose.__file__).parent
    files = sorted([*home.rglob("*.py"), *(file for file in HERE.rglob("*.py") if file.name not in WORDS)])
    text = b"".join(file.name.encode() + file.read_bytes() for file in files)
    return hashlib.sha256(text).hexdigest()[:12]


def read(path: Path, mark: str) -> dict[str, dict[str, Any]]:
    """The lines that hold, by case; a last line that was cut off does not count."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if entry.get("sources") == mark:
            found[entry["case"]] = entry
    return found


def add(path: Path, entry: dict[str, Any], mark: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(finite({**entry, "sources": mark})) + "\n")


def finite(value: Any) -> Any:
    """JSON has no word for nan."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
