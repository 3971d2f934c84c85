"""The road: each part imports only what stands before it. And the public surface, name by name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import downslope

SOURCE = Path(downslope.__file__).parent
ROAD = [
    "version", "errors", "lazy", "user_code", "rng", "modes", "layers",
    "compiler", "formulas", "backends", "schedules", "optim", "diagnose", "tasks", "training", "check", "race",
    "landscape", "textbook", "report", "playground", "cli",
]  # fmt: skip
INSIDE_COMPILER = [
    "ops", "shapes", "graph", "ranges", "cut", "sections", "functions", "formula", "trace", "listing", "simplify",
    "wrap", "transform", "plan",
]  # fmt: skip
FILES = sorted(SOURCE.rglob("*.py"))


def imported(file: Path) -> list[tuple[str, ...]]:
    """What a file imports of downslope, as paths below the package."""
    found = []
    package = file.relative_to(SOURCE).parent.parts
    for statement in ast.walk(ast.parse(file.read_text())):
        if isinstance(statement, ast.ImportFrom) and statement.level:
            base = package[: len(package) - statement.level + 1]
            path = (*base, *(statement.module or "").split(".")) if statement.module else base
            found += [(*path, name.name) for name in statement.names]
        elif isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("downslope"):
            inside = (statement.module or "").split(".")[1:]
            found += [(*inside, name.name) if inside else _home(name.name) for name in statement.names]
        elif isinstance(statement, ast.Import):
            found += [tuple(n.name.split(".")[1:]) for n in statement.names if n.name.startswith("downslope")]
    return [path for path in found if path]


def _home(name: str) -> tuple[str, ...]:
    """Where a name of the public surface lives: what stands behind `from downslope import train`."""
    return (*filter(None, downslope._HOME.get(name, ".compiler.functions").split(".")), name)


@pytest.mark.parametrize("file", FILES, ids=[str(f.relative_to(SOURCE)) for f in FILES])
def test_a_part_imports_only_what_stands_before_it(file: Path) -> None:
    part = file.relative_to(SOURCE).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    assert part in ROAD, f"{part} has no place on the road"
    for path in imported(file):
        assert path[0] in ROAD, path
        assert ROAD.index(path[0]) <= ROAD.index(part), f"{part} imports {'.'.join(path)}"
        if part == "compiler" == path[0] and len(path) > 1 and file.stem != "__init__":
            assert INSIDE_COMPILER.index(path[1]) < INSIDE_COMPILER.index(file.stem), f"{file.stem} imports {path[1]}"


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    long = {str(f.relative_to(SOURCE)): n for f in FILES if (n := f.read_text().count("\n")) > 400}
    assert not long


PUBLIC = {
    "DownslopeError", "FormulaError", "RunError", "SettingError", "StateError", "Task", "__version__", "abs",
    "atan2", "check", "clip", "column_max", "column_mean", "columns", "cos", "critical_point", "diagonal",
    "eigenvectors", "exp", "floor", "identity", "inverse_root", "isfinite", "log", "maximum", "mean",
    "minimum", "newton_schulz", "noise", "norm", "optim", "optimizer", "overall", "permutation", "qr", "race",
    "row_max", "row_mean", "rows", "schedules", "sign", "sin", "solve", "spectral_bound", "sqrt", "sum",
    "tanh", "train", "transpose", "upper_triangle", "watch", "whatif", "where",
}  # fmt: skip


def test_the_public_surface_is_this_list() -> None:
    assert set(downslope.__all__) == PUBLIC
    missing = [name for name in PUBLIC if not getattr(getattr(downslope, name), "__doc__", None)]
    assert missing == [], f"without a docstring: {missing}"
