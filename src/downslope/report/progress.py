"""A training run on the terminal: a bar that moves, or one line an epoch where that cannot be."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .table import rate, say

REDRAW = 0.1  # seconds


class TrainProgress:
    """A callback of a run, or of several: of those that train together the bar shows the first that is not done."""

    def __init__(self, console: Console, title: str):
        self.console, self.title = console, title
        self.bar: Progress | None = None
        self._drawn = self._begun = time.perf_counter()
        self._samples = 0
        self._seen = (0, 0)  # epoch and samples in it, at the last drawing
        self._score = ""
        self._shown: Any = None  # the loop that the bar shows
        self._epoch_begun: dict[int, float] = {}  # by loop

    def on_start(self, loop: Any) -> None:
        if self.title:
            say(self.console, self.title)
            self.title = ""
        if loop.epoch or loop.batch:
            say(self.console, f"{_of(loop)}going on after step {loop.step}")
        self._epoch_begun[id(loop)] = time.perf_counter()
        if self._shown is not None and not self._shown.ended:
            return
        self.stop()
        self._shown = loop
        if self.console.file.isatty() and not self.console.is_dumb_terminal:
            self.bar = Progress(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(bar_width=None if self.console.width >= 100 else 10),
                MofNCompleteColumn(),
                TextColumn("{task.fields[words]}"),
                TimeRemainingColumn(compact=True),
                console=self.console,
                transient=True,
            )
            batches = loop.data.train.count_batches(loop.batch_size)
            total = None if batches is None else batches * loop.epochs
            done = loop.epoch * (batches or 0) + loop.batch
            self.row = self.bar.add_task("", total=total, completed=done, epoch=self._epoch(loop), words="")
            self.batches = batches
            self.bar.start()
        self._seen = (loop.epoch, loop.samples)
        self._drawn = time.perf_counter()

    def on_step(self, loop: Any) -> None:
        if self.bar is None:
            return
        if loop is not self._shown:
            if not self._shown.ended:
                return
            self._shown = loop
        now = time.perf_counter()
        if now - self._drawn < REDRAW:
            return
        epoch, before = self._seen
        gone = loop.samples - before if epoch == loop.epoch else loop.samples
        speed = gone / (now - self._drawn)
        self._drawn, self._seen = now, (loop.epoch, loop.samples)
        words = f"loss {loop.loss:.4g}{self._score}  lr {_lr(loop)}  {speed:,.0f}/s"
        done = loop.epoch * (self.batches or 0) + loop.batch
        self.bar.update(self.row, completed=done, epoch=self._epoch(loop), words=words)

    def on_record(self, loop: Any, record: dict[str, Any]) -> None:
        if record.get("validation_loss") is not None:
            self._score = f"  {_score(record)}"
        if record["event"] in ("epoch", "evaluation"):
            now = time.perf_counter()
            speed = loop.samples / max(now - self._epoch_begun[id(loop)], 1e-9)
            line = [
                f"{_of(loop)}epoch {self._epoch(loop)}",
                f"step {record['step']}",
                f"loss {_number(record['train_loss'])}",
            ]
            if record.get("validation_loss") is not None:
                line.append(f"validation loss {_number(record['validation_loss'])}")
            if record.get("validation_metric") is not None:
                line.append(f"metric {record['validation_metric']:.4f}")
            line += [f"lr {_lr(loop)}", f"{speed:,.0f} samples/s"]
            say(self.console, "  ".join(line))
            if record["event"] == "epoch":
                self._epoch_begun[id(loop)] = now

    def on_end(self, loop: Any) -> None:
        if loop is self._shown:
            self.stop()

    def stop(self) -> None:
        """Take the bar away; also after an error."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
        self._shown = None

    def _epoch(self, loop: Any) -> str:
        return f"{min(loop.epoch + 1, loop.epochs)}/{loop.epochs}"


def print_result(console: Console, result: Any) -> None:
    """How the run ended, in one or two lines, and where it is written down."""
    if result.diverged_at is not None:
        say(console, f"diverged at step {result.diverged_at}: the loss is not finite; try a lower lr, or max_norm")
    elif not result.interrupted:
        end = result.records[-1]
        if end["event"] == "ensemble":
            return _print_members(console, result, end)
        weights = {"last": "last", "best": f"best, of step {end.get('best_step')}", "average": "averaged"}
        for part in ("validation", "test"):
            if end.get(f"{part}_loss") is not None:
                metric = end[f"{part}_metric"]
                score = f"loss {end[f'{part}_loss']:.4g}" + (f", metric {metric:.4f}" if metric is not None else "")
                say(console, f"{part}: {score}  ({weights[end['weights']]} weights)")
    if result.folder is not None:
        say(console, str(result.folder))


def _print_members(console: Console, result: Any, end: dict[str, Any]) -> None:
    how = "together" if result.config.together == "yes" else "one after the other"
    say(console, f"{end['members']} members, trained {how}")
    for part in ("validation", "test"):
        if end.get(f"{part}_loss") is None:
            continue
        rows = [*((f"member {n}", s) for n, s in enumerate(end[f"{part}_single"]))]
        rows.append(("averaged", {"loss": end[f"{part}_loss"], "metric": end[f"{part}_metric"]}))
        for name, score in rows:
            metric = "" if score["metric"] is None else f", metric {score['metric']:.4f}"
            say(console, f"{part}, {name}: loss {score['loss']:.4g}{metric}")
    if result.folder is not None:
        say(console, str(result.folder))


def _of(loop: Any) -> str:
    return f"{loop.name}  " if loop.name else ""


def _score(record: dict[str, Any]) -> str:
    metric = record.get("validation_metric")
    return f"validation {record['validation_loss']:.4g}" if metric is None else f"metric {metric:.4f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _lr(loop: Any) -> str:
    lr = loop.optimizer.param_groups[0].get("lr")
    return "-" if lr is None else rate(float(lr))
