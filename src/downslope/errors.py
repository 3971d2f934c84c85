"""The errors that a user can cause. Each message names the thing, what was found, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DownslopeError(Exception):
    """The base of all errors that downslope raises on purpose; the command line prints them without a traceback."""


class FormulaError(DownslopeError, TypeError):
    """A formula that cannot be read or traced."""


class SettingError(DownslopeError, ValueError):
    """A setting out of its range, unknown, or in conflict with another."""


class StateError(DownslopeError, ValueError):
    """An optimizer state or checkpoint that does not fit."""


class RunError(DownslopeError, ValueError):
    """A run that cannot start or go on: an unknown task, a folder that is in the way or cannot be written."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean ...?` for an unknown name, or all known names when none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known are: {', '.join(known)}"
