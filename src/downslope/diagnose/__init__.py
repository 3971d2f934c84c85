"""What is wrong with a training run, why, and what to do.

`watch` looks on as any loop trains and reports `Finding`s, `SYMPTOMS` says which there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy

if TYPE_CHECKING:
    from .finding import Finding, Report
    from .findings import SYMPTOMS
    from .lightning import LightningWatch
    from .trainer import TrainerWatch
    from .watch import Watch, watch

__all__ = ["SYMPTOMS", "Finding", "LightningWatch", "Report", "TrainerWatch", "Watch", "watch"]

# Where a name lives; imported when it is asked for, so that the command line answers before torch is there.
_HOME = {
    "SYMPTOMS": "findings",
    "Finding": "finding",
    "LightningWatch": "lightning",
    "Report": "finding",
    "TrainerWatch": "trainer",
    "Watch": "watch",
}

__getattr__, __dir__ = lazy(__name__, _HOME)
