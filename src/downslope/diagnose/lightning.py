"""A callback for Lightning that watches a fit."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import Callback

from .finding import Report
from .watch import Watch, watch


class LightningWatch(Callback):
    """`Trainer(callbacks=[LightningWatch()])`: watches every fit, prints at its end if something is wrong.

    `budget` as in `downslope.watch`; `report` holds the last fit's Report, in the first of several processes. Of more
    than one optimizer the first is watched. The validation loss is the metric called `monitor`; by default one whose
    name has val and loss in it."""

    def __init__(self, budget: float = 0.02, monitor: str | None = None):
        self.budget, self.monitor = budget, monitor
        self.report: Report | None = None
        self.seen: Watch | None = None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.optimizers:
            self.seen = watch(_forwarding(pl_module), trainer.optimizers[0], budget=self.budget)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        if self.seen is None or trainer.sanity_checking:
            return
        metrics = trainer.callback_metrics
        names = [self.monitor] if self.monitor else [name for name in metrics if "val" in name and "loss" in name]
        if names and names[0] in metrics:
            self.seen.validation(metrics[names[0]])

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._end()

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._end()

    def _end(self) -> None:
        if self.seen is None:
            return
        seen, self.seen = self.seen, None
        if seen.leads:
            self.report = seen.report()
            if self.report.findings:
                print(self.report)
        seen.close()


def _forwarding(module: Any) -> Any:
    """What the steps call: the module itself if it has a forward of its own, else its only child with parameters."""
    from lightning.pytorch import LightningModule

    if type(module).forward is not LightningModule.forward:
        return module
    inner = [child for child in module.children() if next(child.parameters(), None) is not None]
    return inner[0] if len(inner) == 1 else module
