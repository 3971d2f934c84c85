"""Small pictures as inline SVG, without scripts: lines over steps, and bars by name. Colours are the page's own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from ..diagnose.finding import Picture

WIDE, HIGH = 560, 150
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 8, 22
NAME, ROW = 200, 20  # of a bar
TURNS = ("one", "two", "three")
"""Classes of style.css, by the order of the lines."""
Point = tuple[float, float]


def svg(picture: Picture) -> str:
    """The picture; its title is read out by screen readers."""
    return _bars(picture) if picture.bars else _lines(picture)


def _scaled(values: Sequence[float], log: bool) -> tuple[float, float]:
    """Ends of a scale; of a logarithmic one in decades."""
    found = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    if log:
        found = [math.log10(v) for v in found]
    if not found:
        return 0.0, 1.0
    low, high = min(found), max(found)
    if not log and low > 0 and low < 0.5 * high:
        low = 0.0
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - (0.0 if low == 0 and not log else room), high + room


def _lines(picture: Picture) -> str:
    lines = {name: [(float(x), float(y)) for x, y in points] for name, points in picture.lines.items() if points}
    every = [point for points in lines.values() for point in points]
    log = picture.log and all(y > 0 for _, y in every)
    low, high = _scaled([y for _, y in every] + [v for v, _ in picture.levels], log)
    first, last = min(x for x, _ in every), max(x for x, _ in every)
    span = (last - first) or 1.0

    def across(x: float) -> float:
        return LEFT + (x - first) / span * (WIDE - LEFT - RIGHT)

    def up(y: float) -> float:
        at = (math.log10(y) if log else y) if y > 0 or not log else low
        return HIGH - BOTTOM - (at - low) / (high - low) * (HIGH - TOP - BOTTOM)

    parts = [f'<line class="axis" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{HIGH - BOTTOM}" y2="{HIGH - BOTTOM}"/>']
    for value in _ticks(low, high, log):
        y = up(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for x, where in ((first, "start"), (last, "end")):
        anchor = f'x="{across(x):.1f}" y="{HIGH - 6}" text-anchor="{where}"'
        parts.append(f'<text class="tick" {anchor}>{"step " if where == "start" else ""}{x:g}</text>')
    for value, words in picture.levels:
        y = up(value)
        parts.append(f'<line class="mark" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        shown = f'x="{WIDE - RIGHT}" y="{y - 4:.1f}" text-anchor="end"'
        parts.append(f'<text class="small faint" {shown}>{escape(words)}</text>')
    for x, words in picture.marks:
        at = across(min(max(x, first), last))
        anchor = "end" if at > WIDE / 2 else "start"
        parts.append(f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{HIGH - BOTTOM}"/>')
        beside = f'x="{at + (-5 if anchor == "end" else 5):.1f}" y="{TOP + 10}" text-anchor="{anchor}"'
        parts.append(f'<text class="small faint" {beside}>{escape(words)}</text>')
    for turn, points in zip(TURNS, lines.values()):
        if len(points) == 1:
            parts.append(
                f'<circle class="turn {turn}" cx="{across(points[0][0]):.1f}" cy="{up(points[0][1]):.1f}" r="3"/>'
            )
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        parts.append(f'<polyline class="line turn {turn}" points="{path}"/>')
    return _figure(picture, HIGH, parts, list(lines))


def _ticks(low: float, high: float, log: bool) -> list[float]:
    """Three or four round values inside."""
    if log:
        inside = range(math.ceil(low), math.floor(high) + 1)
        if len(inside) < 2:
            return [10**at for at in (low + 0.15 * (high - low), high - 0.15 * (high - low))]
        return [10.0**e for e in inside[:: max(1, len(inside) // 4)]]
    raw = (high - low) / 3
    unit = 10 ** math.floor(math.log10(raw))
    step = next(unit * k for k in (1, 2, 5, 10) if unit * k >= raw)
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _bars(picture: Picture) -> str:
    values: Mapping[str, float] = picture.bars
    log = picture.log and all(v > 0 for v in values.values())
    low, high = _scaled(list(values.values()), log)
    if not log:
        low = min(0.0, low)
    tall = ROW * len(values) + 8
    parts = []
    for i, (name, value) in enumerate(values.items()):
        y = 4 + ROW * i
        share = ((math.log10(value) if log else value) - low) / (high - low) if math.isfinite(value) else 0.0
        wide = max(0.0, share) * (WIDE - NAME - 70)
        shown = name if len(name) <= 30 else f"…{name[-29:]}"
        parts.append(f'<text x="{NAME - 8}" y="{y + 14}" text-anchor="end">{escape(shown)}</text>')
        parts.append(f'<rect class="turn one" x="{NAME}" y="{y + 3}" width="{wide:.1f}" height="{ROW - 6}" rx="2"/>')
        parts.append(f'<text class="tick" x="{NAME + wide + 6:.1f}" y="{y + 14}">{value:.3g}</text>')
    return _figure(picture, tall, parts, [])


def _figure(picture: Picture, tall: int, parts: list[str], names: list[str]) -> str:
    keys = "".join(
        f'<span class="key"><svg width="18" height="8" aria-hidden="true"><path class="line turn {turn}" d="M0 4h18"/>'
        f"</svg>{escape(name)}</span>"
        for turn, name in zip(TURNS, names)
    )
    scale = ", logarithmic" if picture.log else ""
    return (
        f'<figure class="chart small"><figcaption>{escape(picture.title)}{scale}{keys if len(names) > 1 else ""}'
        f'</figcaption><svg viewBox="0 0 {WIDE} {tall}" role="img" aria-label="{escape(picture.title)}">'
        f"{''.join(parts)}</svg></figure>"
    )
