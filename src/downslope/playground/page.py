"""The page: formulas and surfaces as JavaScript, the front end's files, and the words, in one HTML file.

The files in `page/` are plain scripts and one style sheet, put together here: there is nothing to build or to fetch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..backends.javascript import HELPERS, covers, function, identifier
from ..backends.latex import rows
from ..compiler.formula import Formula, read
from ..compiler.functions import Symbol, _node
from ..compiler.graph import Graph, tensor
from ..compiler.plan import plan
from ..compiler.trace import trace
from ..errors import RunError
from ..formulas import FORMULAS
from ..landscape.surface import Surface
from ..landscape.surfaces import SURFACES
from ..report.colours import style
from ..version import __version__
from .derivative import derivative
from .mathml import mathml

PAGE = Path(__file__).parent / "page"
SCRIPTS = (
    "words.js",
    "model.js",
    "schedules.js",
    "explain.js",
    "draw.js",
    "map.js",
    "charts.js",
    "cards.js",
    "main.js",
)


def gallery() -> dict[str, str]:
    """Formula -> label of each optimizer that works on vectors, in the order of their colours."""
    from ..optim import OPTIMIZERS
    from ..report.colours import ORDER

    made = sorted(OPTIMIZERS.items(), key=lambda item: ORDER.index(item[0]) if item[0] in ORDER else len(ORDER))
    whole = {key for key, each in made if not covers(trace(each.formula))}
    return {each.formula.name: each.__name__ for key, each in made if key not in whole}


def page(own: Iterable[Formula] = ()) -> str:
    """The playground as one HTML text, with the user's own formulas first in its list."""
    optimizers = [_optimizer(formula, formula.name, own=True) for formula in own]
    taken = {each["key"] for each, _ in optimizers}
    optimizers += [_optimizer(read(FORMULAS[key]), label) for key, label in gallery().items() if key not in taken]
    surfaces = [_surface(surface) for surface in SURFACES.values()]
    data = {
        "version": __version__,
        "optimizers": [each for each, _ in optimizers],
        "surfaces": [each for each, _ in surfaces],
    }
    steps = ",\n".join(f"{json.dumps(each['key'])}: {source}" for each, source in optimizers)
    heights = ",\n".join(f"{json.dumps(each['name'])}: {source}" for each, source in surfaces)
    script = "\n".join(
        [
            '"use strict";\n(() => {',
            *HELPERS.values(),
            f"const DATA = {json.dumps(data)};",
            f"const STEPS = {{{steps}}};",
            f"const HEIGHTS = {{{heights}}};",
            *(_file(name) for name in SCRIPTS),
            "})();",
        ]
    )
    parts = {"STYLE": _file("style.css"), "SCRIPT": script.replace("</", "<\\/").replace("<!--", "<\\!--")}
    text = _file("index.html")
    for name, part in parts.items():
        text = text.replace(f"/*{name}*/", part)
    return text


def write(folder: Path, own: Iterable[Formula] = ()) -> Path:
    """The page as `index.html` in a folder, which is made. Raises RunError if it cannot be written."""
    text = page(own)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(
            f"{folder}: the playground cannot be written ({error.strerror}); choose a folder of yours"
        ) from None
    return folder / "index.html"


def _file(name: str) -> str:
    return (PAGE / name).read_text(encoding="utf-8")


# Optimizers


def _optimizer(formula: Formula, label: str, own: bool = False) -> tuple[dict[str, Any], str]:
    """What the page knows of an optimizer, and the JavaScript of its step, which also stores each line's value."""
    graph = trace(formula)
    plan(graph)
    lines = [(symbol, value, n) for symbol, value, n in rows(graph)]
    kept = {f"line.{i}": n for i, (_, _, n) in enumerate(lines) if n.args}
    watched = replace(graph, outputs={**graph.outputs, **kept})
    alone = graph.scalar_states
    known = {
        "key": formula.name,
        "label": label,
        "own": own,
        "about": formula.doc.split("\n")[0],
        "style": style(label.lower())._asdict(),
        "settings": _settings(formula.settings),
        "states": {name: value for name, value in graph.states.items() if name not in alone},
        "numbers": {name: value for name, value in graph.states.items() if name in alone},
        "lines": [_line(i, symbol, value, f"line.{i}" in kept) for i, (symbol, value, _) in enumerate(lines)],
    }
    return known, function(watched)


def _settings(settings: Mapping[str, float | tuple[float, ...]]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, default in settings.items():
        items = enumerate(default) if isinstance(default, tuple) else [(None, default)]
        flat |= {name if i is None else f"{name}[{i}]": float(value) for i, value in items}
    return flat


def _line(place: int, symbol: str, value: str, kept: bool) -> dict[str, Any]:
    left, right = mathml(symbol), mathml(value)
    math = f'<math displaystyle="true">{left}<mo>=</mo>{right}</math>'
    return {"math": math, "symbol": f"<math>{left}</math>", "value": f"line.{place}" if kept else None}


# Surfaces


def _surface(surface: Surface) -> tuple[dict[str, Any], str]:
    """What the page knows of a surface, and two functions: its heights, and its heights with their gradient."""
    known = {
        "name": surface.name,
        "formula": surface.formula,
        "source": surface.source,
        "domain": surface.domain,
        "minima": surface.minima,
        "saddles": surface.saddles,
        "start": surface.start,
        "steps": surface.steps,
        "noise": surface.noise,
        "log": surface.log,
        "classic": {key: _settings(value) for key, value in surface.classic.items()},
    }
    height, slopes = graphs(surface.function, surface.name)
    return known, f"{{height: {function(height)},\nslopes: {function(slopes)}}}"


def graphs(surface: Callable[[Any, Any], Any], name: str) -> tuple[Graph, Graph]:
    """A function of x and y as the graph of its heights, and as that of its heights and slopes."""
    x, y = tensor("x"), tensor("y")
    value = _node(surface(Symbol(x), Symbol(y)))
    states: dict[str, float | str] = {"x": "p", "y": "p"}
    still = {"x": x, "y": y}
    only = Graph(identifier(name), states, {}, False, {"p": value, **still})
    slopes = {"dx": derivative(value, x), "dy": derivative(value, y)}
    return only, replace(only, outputs={**only.outputs, **slopes})
