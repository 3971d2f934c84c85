"""Pieces of a report's page: the skeleton, swatches, buttons, code with its copy button. All text is escaped here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from typing import Any

from .colours import Style

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<script>{data}</script>
{scripts}
</body>
</html>
"""

DASH = {
    "solid": "", "dash": "7 3", "dot": "2 2", "dashdot": "7 3 2 3", "longdash": "11 4", "longdashdot": "11 3 2 3",
}  # fmt: skip
SHAPE = {
    "circle": '<circle cx="13" cy="6" r="4"/>',
    "square": '<rect x="9" y="2" width="8" height="8"/>',
    "diamond": '<path d="M13 1 18 6 13 11 8 6z"/>',
    "triangle-up": '<path d="M13 1 18 10 8 10z"/>',
    "triangle-down": '<path d="M13 11 18 2 8 2z"/>',
    "pentagon": '<path d="M13 1 18 4.6 16 10.5 10 10.5 8 4.6z"/>',
}


def page(title: str, body: str, data: Mapping[str, Any], scripts: Iterable[str], *, charts: bool = True) -> str:
    """A whole page that needs nothing else. `body` is HTML, `data` what the scripts draw, by the names they know; a
    page whose pictures stand still has no `charts`."""
    given = "\n".join(f"const {name} = {inline(value)};" for name, value in data.items())
    every = ("charts.js", "controls.js", *scripts) if charts else scripts
    text = "\n".join(f"<script>{resource(name)}</script>" for name in every)
    return PAGE.format(title=escape(title), style=resource("style.css"), body=body, data=given, scripts=text)


def resource(name: str) -> str:
    return (files(__package__) / "page" / name).read_text(encoding="utf-8")


def inline(value: Any) -> str:
    """JSON that cannot end the script it stands in; six digits draw the same picture as seventeen."""
    return json.dumps(rounded(value), allow_nan=False).replace("<", "\\u003c").replace("\u2028", "\\u2028")


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value


def swatch(look: Style) -> str:
    dash = f' stroke-dasharray="{DASH[look.dash]}"' if DASH[look.dash] else ""
    line = f'<path d="M0 6h26" fill="none" stroke="{look.colour}" stroke-width="2"{dash}/>'
    return f'<svg width="26" height="12" aria-hidden="true" fill="{look.colour}">{line}{SHAPE[look.marker]}</svg>'


def named(label: str, look: Style) -> str:
    return f'<span class="named">{swatch(look)}{whole(label)}</span>'


def whole(text: str, most: int = 24) -> str:
    """Text that is not broken over lines, if it is short enough for that."""
    return f"<span{_kind('one' if len(text) <= most else '')}>{escape(text)}</span>"


def kept(text: str) -> str:
    """Text whose figures stay with their signs on one line: `p = .003`, `0.97 ± 0.01`."""
    for sign in ("=", "±"):
        text = text.replace(f" {sign} ", f"\u00a0{sign}\u00a0")
    return text


def button(name: str, words: str, pressed: bool, mark: str = "") -> str:
    return (
        f'<button type="button" data-name="{escape(name)}" aria-pressed="{str(pressed).lower()}">{mark}{escape(words)}'
        "</button>"
    )


def choice(name: str, label: str, options: Mapping[str, str]) -> str:
    """Buttons of which one is pressed, the first to begin with."""
    buttons = "".join(button(key, words, i == 0) for i, (key, words) in enumerate(options.items()))
    return f'<span class="choice" id="{name}" role="group" aria-label="{escape(label)}">{buttons}</span>'


def legend(names: Iterable[tuple[str, str, Style]]) -> str:
    """The row of switches, one for each optimizer: name, label, style."""
    buttons = "".join(button(name, label, True, swatch(look)) for name, label, look in names)
    every = '<button type="button" data-all hidden>show all</button>'
    return f'<nav id="legend" aria-label="optimizers shown in the charts">{buttons}{every}</nav>'


def section(title: str, note: str, content: str) -> str:
    told = f'<p class="note">{note}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{told}{content}</section>"


def code(text: str, wrap: bool = False) -> str:
    kind = ' class="wrap"' if wrap else ""
    return (
        f'<div class="code"><pre tabindex="0"{kind}><code>{escape(text.rstrip())}</code></pre>'
        '<button type="button" class="copy">copy</button></div>'
    )


def listed(items: Iterable[str], kind: str) -> str:
    inside = "".join(f"<li>{escape(kept(item))}</li>" for item in items)
    return f'<ul class="{kind}">{inside}</ul>' if inside else ""


def table(kind: str, heads: Iterable[tuple[str, str]], rows: Iterable[str]) -> str:
    """`heads` are (words, class)."""
    top = "".join(f'<th scope="col"{_kind(css)}>{escape(words)}</th>' for words, css in heads)
    return f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{"".join(rows)}</tbody></table>'


def cell(content: str, kind: str = "", label: str = "") -> str:
    """`content` is HTML; the `label` is shown on narrow screens, where a table has no head."""
    named = f' data-label="{escape(label)}"' if label else ""
    return f"<td{_kind(kind)}{named}>{content}</td>"


def _kind(css: str) -> str:
    return f' class="{css}"' if css else ""


class Ruler:
    """Where values lie between the ends of a strip, in percent; `low` and `high` may be None and are then left out."""

    def __init__(self, values: Iterable[float | None]) -> None:
        found = [value for value in values if value is not None and math.isfinite(value)] or [0.0, 1.0]
        low, high = min(found), max(found)
        room = 0.04 * (high - low) or 0.5
        self.low, self.high = low - room, high + room

    def at(self, value: float) -> float:
        return min(max(100 * (value - self.low) / (self.high - self.low), 0.0), 100.0)

    def strip(
        self,
        colour: str,
        mean: float,
        low: float | None,
        high: float | None,
        *,
        points: Iterable[float] = (),
        zero: bool = False,
        hollow: bool = False,
    ) -> str:
        """A bar for the interval, a dot for the mean, thin lines for the points."""
        inside = f'<s style="left:{self.at(0.0):.2f}%"></s>' if zero else ""
        if low is not None and high is not None:
            left, right = sorted((self.at(low), self.at(high)))
            inside += f'<i style="left:{left:.2f}%;width:{max(right - left, 0.5):.2f}%"></i>'
        inside += "".join(f'<u style="left:{self.at(value):.2f}%"></u>' for value in points)
        kind = ' class="hollow"' if hollow else ""
        inside += f'<b{kind} style="left:{self.at(mean):.2f}%"></b>'
        return f'<span class="strip" style="--c:{colour}" aria-hidden="true">{inside}</span>'
