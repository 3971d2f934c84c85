"""What courses say about training networks, each an experiment on a bundled task with a verdict."""

from __future__ import annotations

from .claim import Claim, Evidence
from .registry import CHAPTERS, by_name, slugs
from .run import Finished, run, run_all

__all__ = ["CHAPTERS", "Claim", "Evidence", "Finished", "by_name", "run", "run_all", "slugs"]
