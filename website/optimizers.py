"""A page for each class of `downslope.optim`, and the gallery of all: what the code itself knows of them."""

from __future__ import annotations

import ast
import re
from functools import cache
from html import escape
from typing import Any

from downslope.backends.latex import legend, rows
from downslope.cli.show import ways
from downslope.compiler.formula import Formula, read
from downslope.compiler.graph import Graph
from downslope.compiler.ops import WHOLE
from downslope.compiler.trace import trace
from downslope.errors import DownslopeError
from downslope.formulas import VECTORS
from downslope.landscape.trajectories import for_matrices
from downslope.optim.classes import CLASSES, TORCH
from downslope.playground.mathml import mathml
from downslope.playground.page import gallery
from downslope.race.spaces import space_of
from downslope.report.stages import bill

from .beale import ground, path, picture, thumbnail

__all__ = ["ground", "linked", "navigation", "pages"]

# The families, by the file of the formula; one that is not here goes by its file's name.
FAMILIES = {
    "sgd": "Descent and momentum",
    "adagrad": "Rates from squares",
    "adam": "Adam and after",
    "variants": "Adam, rearranged",
    "bounded": "Adam, held in bounds",
    "sign": "Signs",
    "layerwise": "Norms of tensors",
    "matrix": "Matrices",
    "precondition": "Matrices from both sides",
    "factored": "Rows and columns",
    "free": "Step lengths found on the way",
    "averaging": "Averages",
}


def page_of(name: str) -> str:
    return f"optimizers/{name.lower()}.md"


@cache
def families() -> dict[str, list[str]]:
    """Title -> the classes of a family, in the order of FAMILIES."""
    found: dict[str, list[str]] = {title: [] for title in FAMILIES.values()}
    for name, made in CLASSES.items():
        file = made.formula.function.__module__.rsplit(".", 1)[-1]
        found.setdefault(FAMILIES.get(file, file.replace("_", " ").capitalize()), []).append(name)
    return {title: names for title, names in found.items() if names}


def navigation() -> list[dict[str, Any]]:
    return [{title: [{name: page_of(name)} for name in names]} for title, names in families().items()]


def pages() -> dict[str, str]:
    """Markdown of the gallery and of each page, by where it stands."""
    return {"optimizers/index.md": _gallery(), **{page_of(name): _page(name) for name in CLASSES}}


def linked(text: str) -> str:
    """Names of classes in code style, made links to their pages."""
    names = "|".join(sorted(CLASSES, key=len, reverse=True))
    return re.sub(rf"(?<!\[)`({names})`(?!\])", lambda m: f"[`{m[1]}`]({page_of(m[1])})", text)


# The gallery


def _gallery() -> str:
    parts = [
        "# Optimizers\n",
        f"{len(CLASSES)} classes in `downslope.optim`, each with its formula, source, cost and path on Beale's "
        "function, in the colour that it has in every picture. What they have in common is on "
        "[a page of its own](../optimizers.md).\n",
    ]
    for title, names in families().items():
        parts.append(f"## {title}\n")
        cards = "".join(_card(name) for name in names)
        parts.append(f'<div class="cards">{cards}</div>\n')
    return "\n".join(parts)


def _card(name: str) -> str:
    formula = CLASSES[name].formula
    badge = '<span class="badge">as in torch</span>' if name in TORCH else ""
    said = re.sub(r",? ?(arXiv:\d+\.\d+|doi:[^\s,;:]+)", "", formula.doc.split("\n")[0])
    return (
        f'<a class="card" href="{name.lower()}.html">{thumbnail(name)}'
        f"<b>{name}</b>{badge}<small>{escape(said)}</small></a>"
    )


# A page


def _page(name: str) -> str:
    made = CLASSES[name]
    formula: Formula = made.formula
    first, *rest = formula.doc.split("\n\n")
    parts = [f"# {name}\n", f"{_prose(first)}\n"]
    if name in TORCH:
        parts.append(
            f"A drop-in for `torch.optim.{name}`: its arguments, defaults, results, and checkpoints both ways.\n"
        )
    parts.append(_use(name))
    parts += _formula(formula, "##")
    parts += _settings(name)
    parts += _cost(formula)
    if rest:
        parts += ["## What to know\n", *(f"{_prose(each)}\n" for each in rest)]
    parts += _beale(name)
    others = ways(made)
    titles = {f: f"With {', '.join(f'`{k}={v!r}`' for k, v in changes.items())}" for f, changes in others.items()}
    titles |= {VECTORS[function]: "For vectors" for function in others if function in VECTORS}
    for function, title in titles.items():
        if function is not formula.function:
            other = read(function)
            parts.append(f"## {title}\n")
            parts += [f"{_prose(each)}\n" for each in other.doc.split("\n\n")]
            parts += _formula(other, "###")
            parts += _cost(other, "###")
    return "\n".join(parts)


def _use(name: str) -> str:
    rate = CLASSES[name].setting_defaults.get("lr")
    layer = "Linear(8, 4, bias=False)" if for_matrices(CLASSES[name], {}) else "Linear(8, 4)"
    given = f", lr={rate!r}" if isinstance(rate, int | float) else ""
    return (
        f"```python\nimport torch\nfrom downslope.optim import {name}\n\nmodel = torch.nn.{layer}\n"
        f"optimizer = {name}(model.parameters(){given})\n```\n"
    )


def _graph(formula: Formula) -> Graph | None:
    try:
        return trace(formula)
    except DownslopeError:  # a rule that is torch code from end to end has no graph to write down
        return None


def _formula(formula: Formula, level: str) -> list[str]:
    parts, graph = [f"{level} Formula\n"], _graph(formula)
    if graph is not None:
        lines = "".join(
            f'<mtr><mtd class="left">{mathml(symbol)}</mtd><mtd><mo>=</mo></mtd>'
            f'<mtd class="right">{mathml(value)}</mtd></mtr>'
            for symbol, value, _ in rows(graph)
        )
        table = f'<mtable displaystyle="true">{lines}</mtable>'
        parts.append(f'<div class="formula" tabindex="0"><math display="block">{table}</math></div>\n')
    parts.append("As it stands in the code, and as it is run:\n")
    parts.append(f"```python\n{_code(formula)}\n```\n")
    return parts


def _code(formula: Formula) -> str:
    """The source without its docstring, which is on the page already."""
    source = formula.source.rstrip()
    body = ast.parse(source).body[0].body[0]  # type: ignore[attr-defined]
    if isinstance(body, ast.Expr) and isinstance(body.value, ast.Constant):
        lines = source.split("\n")
        del lines[body.lineno - 1 : body.end_lineno]
        return "\n".join(lines)
    return source


def _settings(name: str) -> list[str]:
    made = CLASSES[name]
    graph = _graph(made.formula)
    symbols = legend(graph) if graph is not None else {}
    try:
        ranges = {each.name: each for each in space_of(name.lower(), made)}
    except DownslopeError:
        ranges = {}
    lines = ["## Settings\n", "| setting | in the formula | default | looked for in races |", "|---|---|---|---|"]
    plain = {k: v for k, v in made.setting_defaults.items() if k not in COMMON}
    for setting, default in plain.items():
        items = enumerate(default) if isinstance(default, tuple) else [(None, default)]
        for i, value in items:
            key = setting if i is None else f"{setting}[{i}]"
            symbol = symbols.get(key, "")
            shown = "" if not symbol or "mathrm" in symbol else f"<math>{mathml(symbol)}</math>"
            found = ranges.get(key)
            looked = "" if found is None else _range(found)
            lines.append(f"| `{key}` | {shown} | `{value!r}` | {looked} |")
    lines += ["", "Every optimizer also takes [clipping, decay, an average and more](../optimizers.md"
              "#what-every-optimizer-takes), and any setting may be a [schedule](../schedules.md).\n"]  # fmt: skip
    return lines


# What every class takes, said on one page for all.
COMMON = {"foreach", "maximize", "capturable", "differentiable", "fused", "decoupled_weight_decay"}


def _range(dimension: Any) -> str:
    if dimension.scale == "choices":
        return ", ".join(f"`{each}`" for each in dimension.choices)
    words = {"log": "log scale", "one minus": "log scale of 1 − value", "linear": "linear"}
    return f"{dimension.low:.2g} to {dimension.high:.4g}, {words[dimension.scale]}"


def _cost(formula: Formula, level: str = "##") -> list[str]:
    graph = _graph(formula)
    if graph is None:
        return []
    counted, symbols = bill(graph, "float32", "float32"), legend(graph)
    parts = [f"{level} States and cost\n"]
    if graph.states:
        parts += ["| state | in the formula | starts at | kept |", "|---|---|---|---|"]
        for state, start in graph.states.items():
            symbol = f"<math>{mathml(symbols[state])}</math>" if state in symbols else ""
            begins = "the parameter" if start == "p" else f"`{start if isinstance(start, str) else f'{start:g}'}`"
            kept = _size(graph, state)
            parts.append(f"| `{state}` | {symbol} | {begins} | {kept} |")
        parts.append("")
    whole = sorted(set(counted["operations"]) & set(WHOLE))
    passes = f", with {_names(whole)} of whole tensors between the passes" if whole else ""
    if counted["scratch"]:
        passes += f" and {counted['scratch_bytes']} bytes of memory for the time of the step"
    operations = sum(counted["operations"].values())
    large = sum(graph.shape(state) == graph.whole_shape for state in graph.states)
    memory = f"{4 * large} bytes" if large else "nothing"
    if large and not graph.shaped_states:
        fewer = {kept: bill(graph, "float32", kept)["state_bytes"] for kept in ("bfloat16", "int8")}
        memory += f"; {fewer['bfloat16']:.3g} in [bfloat16, {fewer['int8']:.3g} in int8](../precision.md#states)"
    if graph.shaped_states:
        shaped = f"{_names([*graph.shaped_states])} for each tensor"
        memory = f"{memory}, and {shaped}" if large else shaped
    parts.append(
        f"For each float32 parameter a step moves {counted['bytes']} bytes (reads {_names(counted['loads'])}; writes "
        f"{_names(counted['stores'])}{passes}) and computes {operations} operations; {counted['once']} more are "
        f"computed once a step, in double precision. Between steps it keeps {memory}. "
        "[What that means in time](../performance.md).\n"
    )
    return parts


def _size(graph: Graph, state: str) -> str:
    """How much is kept of a state."""
    shape = graph.shape(state)
    if shape == graph.whole_shape:
        return "as large as the parameter"
    sizes = [size for size in shape if size != "1"]
    return f"{' × '.join(sizes)} numbers a tensor" if sizes else "one number a tensor"


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names) if "." not in name)  # without what is scratch


def _beale(name: str) -> list[str]:
    walked = path(name)
    settings = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in walked.settings.items())
    how = {"tried": "a rate found by trying 30", "known of this surface": "settings this surface is known with"}
    alone = (
        " The point is a matrix of one row here; on real matrices it does more."
        if for_matrices(CLASSES[name], walked.settings)
        else ""
    )
    text = (
        f"{len(walked.points) - 1} steps from the ring towards the star at {settings} "
        f"({how.get(walked.chosen, walked.chosen)}).{alone} Two coordinates say little about networks: "
        "[race](../race.md) it on yours."
    )
    key = CLASSES[name].formula.name
    link = ""
    if key in gallery():
        given = "*".join([key, *(f"{k}:{v:.5g}" for k, v in walked.settings.items() if isinstance(v, float))])
        link = f'[Play with it](../play/index.html#s=beale&o={given}){{ .md-button data-live="" }}\n'
    return ["## On Beale's function\n", picture(name), f"\n{text}\n", link]


# Prose


def _prose(text: str) -> str:
    """A docstring's paragraph as Markdown: marks that it would take for its own escaped, papers linked."""
    text = " ".join(text.split())
    parts = re.split(r"(`[^`]*`)", text)
    for i in range(0, len(parts), 2):
        plain = re.sub(r"([*_<>\[\]])", r"\\\1", parts[i])
        plain = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", plain)
        plain = re.sub(r"doi:(10\.[^\s,;]+[^\s,;.])", r"[doi:\1](https://doi.org/\1)", plain)
        parts[i] = re.sub(r"(kellerjordan\.github\.io/posts/muon)", r"[\1](https://\1)", plain)
    return "".join(parts)
