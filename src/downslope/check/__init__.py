"""Checks before training: data, initialisation, gradients, can it learn at all. Each gives a verdict.

`downslope.check(task)` is the function `check` in here; the package itself answers to a call in the same way, so that
`downslope.check` does the same whether or not something was imported from it before."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from .run import CHECKS, check
from .verdict import GRADES, Verdict, Verdicts

__all__ = ["CHECKS", "GRADES", "Verdict", "Verdicts", "check"]


class _Callable(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Verdicts:
        return check(*args, **options)


sys.modules[__name__].__class__ = _Callable
