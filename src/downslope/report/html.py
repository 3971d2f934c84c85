"""report.html: verdict, leaderboard and pictures of a race in one file that needs nothing else."""

from __future__ import annotations

import json
import math
from html import escape
from typing import Any

from ..race import Result
from ..training.extras import need
from ..version import __version__
from .colours import Style, style
from .page import PAGE, SCRIPT, STYLE
from .pictures import CURVES, Line, Runner, runners
from .table import cells

SHOWN = "train_loss"  # the curve shown first

DASH = {"solid": "", "dash": "7 3", "dot": "2 2", "dashdot": "7 3 2 3"}
SHAPE = {
    "circle": '<circle cx="13" cy="6" r="4"/>',
    "square": '<rect x="9" y="2" width="8" height="8"/>',
    "diamond": '<path d="M13 1 18 6 13 11 8 6z"/>',
    "triangle-up": '<path d="M13 1 18 10 8 10z"/>',
}


def html(result: Result) -> str:
    """The page, about 4.9 MB: nearly all of it is plotly.js, so that it works offline and in ten years."""
    need("plotly", extra="race", job="report.html")
    from plotly.offline import get_plotlyjs

    plan, board = result.plan, result.board
    everyone = runners(result)
    title = f"{plan.task}: {len(plan.optimizers)} optimizers, {board['finished']} runs"
    if not board["complete"]:
        title += f" of {board['trials_expected']}"
    parts = {
        "title": escape(title),
        "style": STYLE,
        "verdict": escape(result.verdict),
        "rows": "\n".join(_row(row) for row in board["rows"]),
        "method": escape(board["method"]),
        "legend": "".join(_button(name, name, True, _swatch(style(name))) for name in plan.optimizers),
        "choice": "".join(_button(name, words, name == SHOWN) for name, words in CURVES.items()),
        "settings": "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in _settings(result).items()),
        "script": SCRIPT,
        "data": _inline({
            "names": CURVES,
            "shown": SHOWN,
            "runners": [_data(runner, plan.optimizers.index(runner.name)) for runner in everyone],
        }),
        "plotly": get_plotlyjs(),
    }  # fmt: skip
    page = PAGE
    for name, content in parts.items():  # plotly last, so that nothing is looked for in it
        page = page.replace(f"[[{name}]]", content)
    return page


def _row(row: dict[str, Any]) -> str:
    accuracy, best, width, diverged, seconds = (escape(cell) for cell in cells(row))
    name = f"{_swatch(style(row['optimizer']))}{escape(row['optimizer'])}"
    rest = {"lr": best, "width": width, "diverged": diverged, "seconds": seconds}
    tail = "".join(f'<td data-name="{label}">{cell}</td>' for label, cell in rest.items())
    return f"<tr><td>{row['rank']}</td><td>{name}</td><td>{accuracy}</td>{tail}</tr>"


def _button(name: str, words: str, pressed: bool, swatch: str = "") -> str:
    state = str(pressed).lower()
    return f'<button data-name="{escape(name)}" aria-pressed="{state}">{swatch}{escape(words)}</button>'


def _swatch(look: Style) -> str:
    line = (
        f'<path d="M0 6h26" fill="none" stroke="{look.colour}" stroke-width="2" stroke-dasharray="{DASH[look.dash]}"/>'
    )
    return f'<svg width="26" height="12" aria-hidden="true" fill="{look.colour}">{line}{SHAPE[look.marker]}</svg>'


def _data(runner: Runner, row: int) -> dict[str, Any]:
    best = [] if runner.best_lr is None else [runner.best_lr]
    return {
        "name": runner.name,
        **runner.style._asdict(),
        "row": row,
        "curves": {what: _line(line) for what, line in runner.curves.items()},
        "rates": _line(runner.rates),
        "best": {"x": best, "y": [runner.best_score for _ in best]},
        "diverged": {
            "x": [lr for lr, _, _ in runner.diverged],
            "share": [count / runs for _, count, runs in runner.diverged],
            "text": [f"{count} of {runs} diverged" for _, count, runs in runner.diverged],
        },
    }


def _line(line: Line) -> dict[str, list[float | None]]:
    return {
        "x": list(line.x),
        **{part: [_digits(value) for value in getattr(line, part)] for part in ("mean", "low", "high")},
    }


def _digits(value: float) -> float | None:
    """Six digits draw the same picture as seventeen; what is not positive has no place on a log axis."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _settings(result: Result) -> dict[str, str]:
    plan = result.plan
    return {
        "task": plan.task,
        "budget": plan.budget or f"{plan.trials} trials to search with, {plan.seeds} to confirm with, each",
        "epochs": str(plan.epochs),
        "batch size": str(plan.batch),
        "schedule": plan.schedule,
        "downslope": __version__,
    }


def _inline(value: Any) -> str:
    """JSON that cannot end the script it stands in."""
    return json.dumps(value, allow_nan=False).replace("<", "\\u003c")
