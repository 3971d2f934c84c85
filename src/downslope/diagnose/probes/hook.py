"""Hooks that stay with the model they watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


class Hook:
    """A hook that copies and pickles of a watched model leave behind, and that a compiler leaves out of its graph."""

    def __init__(self, call: Callable[..., Any]):
        self.call = call

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        if not torch.compiler.is_compiling():
            self.call(*args, **kwargs)

    def __deepcopy__(self, memo: Any) -> Any:
        return _nothing

    def __reduce__(self) -> Any:
        return _the_nothing, ()


def _nothing(*args: Any, **kwargs: Any) -> None: ...


def _the_nothing() -> Any:
    return _nothing
