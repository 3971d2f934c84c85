"""`downslope show`: every stage of a formula, from its paper to its kernel."""

from __future__ import annotations

import json
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .. import user_code
from ..errors import FormulaError, SettingError, nearest

if TYPE_CHECKING:
    from ..compiler.formula import Formula

EXAMPLE = "Example: downslope show adam --as llvm --with clip_norm,decoupled_decay"


class Stage(StrEnum):
    """What can be shown of a formula."""

    formula = "formula"
    graph = "graph"
    latex = "latex"
    llvm = "llvm"
    triton = "triton"
    javascript = "javascript"
    cost = "cost"


class Kind(StrEnum):
    """The types of parameters that run compiled."""

    float32 = "float32"
    float64 = "float64"


class States(StrEnum):
    """The types that states can be kept in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    int8 = "int8"


def show(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="An optimizer, a formula, or one in a file of yours: my_formulas.py:heavy_ball. "
            "Without it: a list of all optimizers.",
        ),
    ] = None,
    stage: Annotated[
        Stage | None,
        typer.Option(
            "--as", metavar="STAGE", help="formula (the default), graph, latex, llvm, triton, javascript or cost."
        ),
    ] = None,
    around: Annotated[
        str,
        typer.Option(
            "--with",
            metavar="A,B,C",
            help="What stands around it: cautious, centralize, lookahead, nesterov_form, grafted, coupled_decay, "
            "decoupled_decay, maximize, clip_value, clip_norm, unscale, average.",
            show_default=False,
        ),
    ] = "",
    dtype: Annotated[
        Kind,
        typer.Option(
            metavar="TYPE", help="Of parameters, for llvm, triton and cost: float32 or float64.", show_default=False
        ),
    ] = Kind.float32,
    states: Annotated[
        States | None,
        typer.Option(
            metavar="TYPE", help="Of states, for llvm and cost: float32, bfloat16 or int8.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a machine to read.")] = False,
) -> None:
    """Show an optimizer, from its paper's formula to its kernel.

    formula: its Python source, with the paper.
    graph: what runs once per step, and what for each element.
    latex: as a paper writes it.
    llvm: the kernel, before it is compiled.
    triton: the same for GPUs, with what is computed once per step.
    javascript: a step for a web page, as in the playground.
    cost: the bytes and operations of a step for each parameter.
    """
    from ..compiler.trace import trace
    from ..compiler.transform import arrange
    from ..report import stages

    console = stages.console()
    if what is None:
        if stage or around:
            raise SettingError("--as and --with need a name, as in `downslope show adam --as graph`")
        rows = catalogue()
        return _print_json(rows) if as_json else stages.print_catalogue(console, rows)

    formula, note = find(what)
    stage = stage or Stage.formula
    wanted = _transforms(around, stage, formula)
    graph = arrange(trace(formula), wanted)
    if states and (stage not in (Stage.llvm, Stage.cost) or dtype is not Kind.float32):
        raise SettingError(f"--states {states}: is for --as llvm and --as cost, and parameters of float32")
    kept = str(states or dtype)
    head = {"name": formula.name, "as": stage, "dtype": dtype, "states_in": kept, "with": sorted(wanted)}
    if stage is Stage.cost:
        bill = head | stages.bill(graph, dtype, kept)
        return _print_json(bill) if as_json else stages.print_bill(console, bill)
    text = formula.source.rstrip() if stage is Stage.formula else stages.text(graph, stage, dtype, kept)
    if as_json:
        return _print_json(head | {"text": text})
    stages.print_code(console, text + (f"\n\n\n# {note}" if note and stage is Stage.formula else ""), stage)


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2))


def _transforms(around: str, stage: Stage, formula: Formula) -> frozenset[str]:
    """The transforms named by `--with`."""
    from ..compiler.transform import TRANSFORMS

    wanted = {name.strip().replace("-", "_") for name in around.split(",") if name.strip()}
    for name in sorted(wanted - TRANSFORMS.keys()):
        raise SettingError(f"--with {around}: no transform is called {name!r}; {nearest(name, TRANSFORMS)}")
    if wanted and stage is Stage.formula:
        raise SettingError(f"--with {around}: changes the graph, not the formula's source; add --as graph")
    decays = sorted(wanted & {"coupled_decay", "decoupled_decay"})
    if len(decays) == 2:
        raise SettingError(f"--with {around}: {' and '.join(decays)} exclude each other; leave one out")
    if decays and "weight_decay" in formula.settings:
        raise SettingError(f"--with {around}: {formula.name} has a weight decay of its own; leave {decays[0]} out")
    return frozenset(wanted)


# Names


def catalogue() -> list[dict[str, Any]]:
    """Every optimizer with the formulas that its settings choose from, the default first."""
    from ..compiler.formula import read
    from ..optim import TORCH
    from ..optim.classes import CLASSES

    def entry(function: Any) -> dict[str, Any]:
        formula = read(function)
        settings = dict(formula.settings)
        return {
            "name": formula.name,
            "paper": formula.doc.split("\n")[0],
            "states": formula.states,
            "settings": settings,
        }

    return [
        {"optimizer": name, "torch": name in TORCH, "formulas": list(map(entry, chosen(made)))}
        for name, made in CLASSES.items()
    ]


def chosen(made: Any) -> list[Any]:
    """The formulas that a class chooses from: those of its defaults, of each of its switches, of momentum, and those
    that it has for vectors."""
    from ..formulas import VECTORS

    found = list(ways(made))
    return found + [VECTORS[function] for function in found if function in VECTORS]


def ways(made: Any) -> dict[Any, dict[str, Any]]:
    """The formulas that a class chooses from, each with the fewest settings that make it that one."""
    from itertools import product

    from ..optim.settings import CHOICES

    defaults = made.setting_defaults
    switches: dict[str, list[Any]] = {name: [*CHOICES[name]] for name in defaults if name in CHOICES}
    for name, value in defaults.items():
        if isinstance(value, bool) or name == "momentum":
            switches[name] = [value, not value if isinstance(value, bool) else 0.9]
    found: dict[Any, dict[str, Any]] = {}
    for values in product(*switches.values()):
        way = dict(zip(switches, values))
        function = made.choose({**defaults, **way})
        changes = {name: value for name, value in way.items() if value != defaults[name]}
        if function not in found or len(changes) < len(found[function]):
            found[function] = changes
    return found


def find(what: str) -> tuple[Formula, str]:
    """The formula of a name or file, and what else there is to know of it."""
    from ..compiler.formula import read
    from ..formulas import FORMULAS
    from ..optim import OPTIMIZERS

    file = re.fullmatch(r"(.+\.py)(?::(.+))?", what)
    if file:
        return _in_file(Path(file[1]), file[2]), ""
    name = _plain(what)
    if name in OPTIMIZERS:
        made = OPTIMIZERS[name]
        others = [function.__name__ for function in chosen(made) if function.__name__ != made.formula.name]
        return made.formula, f"{made.__name__}'s settings may also choose {', '.join(others)}." if others else ""
    for function in FORMULAS.values():
        if _plain(function.__name__) == name:
            return read(function), ""
    known = {*FORMULAS, *(key for key in OPTIMIZERS if key not in map(_plain, FORMULAS))}
    own = "; one of yours is named by its file, as in my_formulas.py:heavy_ball" if re.search(r"[:/\\.]", what) else ""
    raise SettingError(f"no optimizer or formula is called {what!r}; {nearest(what, known)}{own}")


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


# A user's file

MODULE = "_shown"  # the file's name as a module; its own could hide another


def _in_file(path: Path, name: str | None) -> Formula:
    """The formula of a name in a Python file, or the only one there."""
    from ..compiler.formula import read

    found = vars(user_code.run(path, MODULE, FormulaError))
    formulas = _formulas(found)
    if name is None and len(formulas) != 1:
        many = f"holds {', '.join(formulas)}; say which, as in {path}:{next(iter(formulas), '')}"
        none = "holds no formula, a function such as `def momentum(p, g, v=0, *, lr=0.01, beta=0.9)`"
        raise FormulaError(f"{path}: {many if formulas else none}")
    name = name or next(iter(formulas))
    if name not in found:
        raise FormulaError(f"{path}: has no formula {name!r}" + (f"; {nearest(name, formulas)}" if formulas else ""))
    return read(_function(found[name]))


def formulas_of(path: Path) -> list[Formula]:
    """All formulas of a Python file. Raises FormulaError if it cannot be run or holds none."""
    from ..compiler.formula import read

    found = vars(user_code.run(path, MODULE, FormulaError))
    names = _formulas(found)
    if not names:
        raise FormulaError(
            f"{path}: holds no formula, a function such as `def momentum(p, g, v=0, *, lr=0.01, beta=0.9)`"
        )
    return [read(_function(found[name])) for name in names]


def _formulas(found: dict[str, Any]) -> list[str]:
    """The names of a file's own formulas: optimizers made there and functions of p and g, else all its functions."""
    own = {name: value for name, value in found.items() if getattr(value, "__module__", None) == MODULE}
    codes = {name: getattr(_function(value), "__code__", None) for name, value in own.items()}
    sure = {name: code for name, code in codes.items() if code and code.co_varnames[:2] == ("p", "g")}
    once = {code: name for name, code in reversed((sure or codes).items()) if code}  # a formula and its optimizer
    return list(reversed(once.values()))


def _function(value: Any) -> Any:
    """The formula that an optimizer was made of, or the value itself."""
    from ..optim import Optimizer

    return value.formula.function if isinstance(value, type) and issubclass(value, Optimizer) else value
