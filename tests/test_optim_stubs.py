"""The stub file is what the classes are."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from downslope import optim
from downslope.optim import CLASSES, stubs

FILE = Path(optim.__file__).with_suffix(".pyi")


def test_the_file_is_up_to_date() -> None:
    assert FILE.read_text() == stubs.text(), f"write it anew: python -m downslope.optim.stubs > {FILE.name}"


@pytest.mark.parametrize("name", CLASSES)
def test_editors_complete_the_signature(name: str) -> None:
    """Names, order and defaults, read from the file as an editor does."""
    (found,) = (n for n in ast.parse(FILE.read_text()).body if isinstance(n, ast.ClassDef) and n.name == name)
    (init,) = (n for n in found.body if isinstance(n, ast.FunctionDef))
    signature = inspect.signature(CLASSES[name])
    places = [p.name for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [a.arg for a in init.args.args] == ["self", *places]
    assert [*places, *(a.arg for a in init.args.kwonlyargs)] == list(signature.parameters)
    defaults = [ast.literal_eval(d) for d in (*init.args.defaults, *init.args.kw_defaults) if d is not None]
    assert defaults.pop(0) is ...  # without parameters it is a rule
    assert defaults == [p.default for p in signature.parameters.values() if p.default is not p.empty]
    assert ast.get_docstring(found) == inspect.getdoc(CLASSES[name])


def test_the_stub_names_all_that_is_public() -> None:
    tree = ast.parse(FILE.read_text())
    names = {n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef)}
    names |= {n.target.id for n in tree.body if isinstance(n, ast.AnnAssign)}
    names |= {alias.name for n in tree.body if isinstance(n, ast.ImportFrom) for alias in n.names}
    assert {*optim.__all__} <= names
