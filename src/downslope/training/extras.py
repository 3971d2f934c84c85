"""Packages that only some jobs need."""

from __future__ import annotations

from importlib.util import find_spec

from ..errors import RunError

NAMES = {"sklearn": "scikit-learn"}  # where the package is not installed under the name it is imported by


def need(*modules: str, extra: str, job: str) -> None:
    """Check that the packages of an extra can be imported, without importing them.

    Raises RunError with the one command that installs what is missing.
    """
    missing = [NAMES.get(module, module) for module in modules if find_spec(module) is None]
    if missing:
        raise RunError(
            f"{job} needs {' and '.join(missing)}, not installed here; install with: pip install 'downslope[{extra}]'"
        )
