"""Keeping torch.compile out of a method without importing it."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import torch

Function = Callable[..., Any]


def untraced(method: Function) -> Function:
    """Keep torch.compile out of a method. torch's own decorator imports the compiler for that at the first call, which
    takes more than a second; where nobody has imported it, nobody traces."""
    plain = inspect.unwrap(method)

    @wraps(plain)
    def call(*args: Any, **settings: Any) -> Any:
        run = _disabled(plain) if "torch._dynamo" in sys.modules else plain
        return run(*args, **settings)

    call._torchdynamo_disable = True  # type: ignore[attr-defined]
    return call


@cache
def _disabled(method: Function) -> Function:
    return torch.compiler.disable(method)
