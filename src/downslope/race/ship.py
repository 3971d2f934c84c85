"""Tasks and formulas that are defined in a script or a notebook, sent to another process by value."""

from __future__ import annotations

import pickle
import sys
from typing import Any


def packed(thing: Any, *functions: Any) -> bytes:
    """The bytes of a thing. Functions of `__main__` go with their code in them, and so do those of the modules of
    `functions` that came from a file by itself, which nothing could import.

    Raises whatever pickle has against it."""
    try:
        import cloudpickle
    except ImportError:  # without the extra `race`; what can be imported elsewhere goes by its name
        return pickle.dumps(thing)
    modules = {sys.modules.get(getattr(function, "__module__", "")) for function in functions}
    alone = [module for module in modules if module is not None and getattr(module, "__spec__", None) is None]
    for module in alone:
        cloudpickle.register_pickle_by_value(module)
    try:
        return cloudpickle.dumps(thing)  # type: ignore[no-any-return, unused-ignore]
    finally:
        for module in alone:
            cloudpickle.unregister_pickle_by_value(module)


def unpacked(content: bytes) -> Any:
    """The thing again. Raises whatever pickle has against it."""
    return pickle.loads(content)
