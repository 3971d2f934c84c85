"""race.png: the learning curves and the accuracy over the learning rate, side by side."""

from __future__ import annotations

import io

from ..race import Result
from ..training.extras import need
from .pictures import Runner, runners

DASH = {"solid": "-", "dash": (0, (5, 2)), "dot": (0, (1, 1.5)), "dashdot": (0, (5, 2, 1, 2))}
MARKER = {"circle": "o", "square": "s", "diamond": "D", "triangle-up": "^"}
GREYS = {"text": "#24292f", "faint": "#6e7781", "grid": "#e3e6ea"}


def png(result: Result) -> bytes:
    """The picture as PNG, 1600 x 720 pixels on white."""
    need("matplotlib", extra="race", job="race.png")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), dpi=160, facecolor="white", layout="constrained")
    everyone = runners(result)
    left, right = figure.subplots(1, 2)
    _curves(left, everyone)
    _rates(right, everyone, result)
    handles, labels = left.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            labels,
            loc="outside upper center",
            ncols=min(len(labels), 7),
            frameon=False,
            labelcolor=GREYS["text"],
            handlelength=1.8,
        )
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _curves(axes, everyone: list[Runner]) -> None:
    for runner in everyone:
        line = runner.curves["train_loss"]
        colour, dash = runner.style.colour, DASH[runner.style.dash]
        axes.plot(line.x, line.mean, color=colour, linestyle=dash, linewidth=1.8, label=runner.name)
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.13, linewidth=0)
    if any(value > 0 for runner in everyone for value in runner.curves["train_loss"].mean):
        axes.set_yscale("log")
    _dress(axes, "Training loss at the chosen settings", "epoch", "loss, mean and range over seeds")


def _rates(axes, everyone: list[Runner], result: Result) -> None:
    ordered = [runner for name in result.plan.optimizers for runner in everyone if runner.name == name]
    for row, runner in enumerate(ordered):
        colour, dash, marker = runner.style.colour, DASH[runner.style.dash], MARKER[runner.style.marker]
        line = runner.rates
        axes.plot(line.x, line.mean, color=colour, linestyle=dash, linewidth=1.6, marker=marker, markersize=3)
        if runner.best_lr is not None and runner.best_score is not None:
            best = [runner.best_score]
            axes.plot([runner.best_lr], best, marker=marker, markersize=8, mec=colour, mfc="white", mew=1.8, zorder=3)
        height = 0.02 + 0.2 * (row + 0.5) / len(ordered)
        for rate, count, runs in runner.diverged:
            share = count / runs
            axes.plot(
                [rate], [height], marker="x", markersize=3 + 2.5 * share, color=colour, mew=0.7 + share,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
    axes.set_xscale("log")
    axes.text(0.012, 0.012, "× diverged", transform=axes.transAxes, color=GREYS["faint"], fontsize=9)
    word = result.plan.monitor
    _dress(axes, f"Validation {word} over the learning rate", "learning rate", word)


def _dress(axes, title: str, x: str, y: str) -> None:
    axes.set_title(title, fontsize=11, color=GREYS["text"], loc="left", pad=8)
    axes.set_xlabel(x, color=GREYS["faint"])
    axes.set_ylabel(y, color=GREYS["faint"])
    axes.grid(color=GREYS["grid"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=GREYS["faint"], which="both", length=0, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)
