"""Names in a task file that nobody reads and that are nearly ones that are read: `epochs = 5` for `EPOCHS = 5`."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType

from ..errors import RunError
from .config import ALIASES, NAMES

NEAR = 0.8  # of 1 for the same letters: EPOCH, SIZE, DROPLAST
OPTIONS = frozenset(NAMES) - {"task", "task_settings", "out", "epochs", "batch", "difficulty", "pacing"}
"""What is said of a run, and no task's to set; the last two name functions of the file."""


def check(path: Path, name: str, module: ModuleType, constants: Collection[str], metric: bool) -> None:
    """Raise RunError for such a name, with its line and what is read. A name that the file uses is its own affair.

    `constants` are those that a task file may set, and `metric` says whether it has that function."""
    tree = ast.parse(path.read_bytes())
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    for found, line, function in _made(tree):
        if found in used or found in constants or found.startswith("_"):
            continue
        if function:
            if not metric and difflib.SequenceMatcher(None, found.lower(), "metric").ratio() >= NEAR:
                raise RunError(
                    f"{name}: line {line}: `{found}` is called by nobody; the score is metric(output, target)"
                )
            continue
        value = f"{getattr(module, found, None)!r:.40}"
        option = ALIASES.get(found.lower(), found.lower())
        meant = option.upper() if option.upper() in constants else _near(found.upper(), constants)
        if meant and not hasattr(module, meant):
            raise RunError(f"{name}: line {line}: `{found} = {value}` is read by nobody; write {meant} = {value}")
        if option in OPTIONS:
            raise RunError(
                f"{name}: line {line}: `{found} = {value}` is read by nobody; {option} is an option of a run, not of "
                f"the task: --{option.replace('_', '-')}, train(..., {option}=...) or a line of its TOML file"
            )


def _near(name: str, known: Collection[str]) -> str:
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=NEAR)), "")


def _made(tree: ast.AST) -> Iterator[tuple[str, int, bool]]:
    """Names that a file makes at its top, with their line, and whether each is a function or class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno, True
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = (each for target in targets for each in ast.walk(target) if isinstance(each, ast.Name))
            yield from ((each.id, each.lineno, False) for each in names)
        elif isinstance(node, ast.stmt | ast.ExceptHandler):
            yield from _made(node)
