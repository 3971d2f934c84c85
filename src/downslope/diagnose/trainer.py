"""A callback for Hugging Face's Trainer that watches its training."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from .finding import Report
from .watch import Watch, watch


class TrainerWatch(TrainerCallback):  # type: ignore[misc]
    """`Trainer(callbacks=[TrainerWatch()])`: watches train(), prints at its end if something is wrong.

    `budget` as in `downslope.watch`; `report` holds the last run's Report, in the first of several processes.
    Evaluations tell the validation loss."""

    def __init__(self, budget: float = 0.02):
        self.budget = budget
        self.report: Report | None = None
        self.seen: Watch | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        optimizer = given["optimizer"]
        self.seen = watch(given["model"], getattr(optimizer, "optimizer", optimizer), budget=self.budget)

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **given: Any) -> None:
        if self.seen is not None and metrics and "eval_loss" in metrics:
            self.seen.validation(metrics["eval_loss"])

    def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        if self.seen is None:
            return
        seen, self.seen = self.seen, None
        if seen.leads:
            self.report = seen.report()
            if self.report.findings:
                print(self.report)
        seen.close()
