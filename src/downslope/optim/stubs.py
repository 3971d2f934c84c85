"""What editors and type checkers read instead of the classes, which are made at run time.

`python -m downslope.optim.stubs > src/downslope/optim/__init__.pyi`
"""

from __future__ import annotations

import inspect
from typing import Any

from .around import OWN
from .base import Optimizer
from .classes import CLASSES
from .settings import CHOICES

HEAD = '''"""Written by `python -m downslope.optim.stubs`; do not edit."""

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, dtype
from torch.optim.optimizer import ParamsT

from ..schedules import Plateau, Schedule
from .backward import fuse_backward as fuse_backward
from .base import Optimizer as Optimizer
from .classes import Torch
from .route import Route as Route
from .route import Rule as Rule
from .route import for_model as for_model
from .sam import SAM as SAM

Setting = float | Tensor | Schedule | Plateau
StateDtype = dtype | str | dict[str, dtype | str] | None

TORCH: dict[str, Torch]
OPTIMIZERS: dict[str, type[Optimizer]]

def by_name(name: str) -> type[Optimizer]: ...
def optimizer(function: Callable[..., Any]) -> type[Optimizer]: ...
'''

OWN_TYPES = {
    "max_norm": "float | None",
    "clip_value": "float | None",
    "ema": "float | None",
    "skip_nonfinite": "bool",
    "cautious": "bool",
    "centralize": "bool",
    "lookahead": "int | tuple[int, float] | None",
    "nesterov_form": "float | None",
    "grafted": "Optimizer | Rule | None",
    "state_dtype": "StateDtype",
    "param_mode": 'Literal["nearest", "stochastic", "split"]',
    "rounding_seed": "int",
}


def text() -> str:
    """The stub file."""
    return "\n".join([HEAD, *(_class(name, made) for name, made in CLASSES.items())])


def _class(name: str, made: type[Optimizer]) -> str:
    lines = [f"class {name}(Optimizer):", *_doc(made.__doc__ or ""), "", "    def __init__(", "        self,"]
    star = False
    for p in inspect.signature(made).parameters.values():
        if p.kind is p.KEYWORD_ONLY and not star:
            lines.append("        *,")
            star = True
        written = "params: ParamsT = ..." if p.name == "params" else _parameter(p.name, p.default)
        lines.append(f"        {written},")
    return "\n".join([*lines, "    ) -> None: ...", ""])


def _doc(doc: str) -> list[str]:
    first, *rest = doc.splitlines()
    quoted = [f'    """{first}', *(f"    {line}".rstrip() for line in rest)]
    return [f'{quoted[0]}"""'] if not rest else [*quoted, '    """']


def _parameter(name: str, default: Any) -> str:
    kind = OWN_TYPES[name] if name in OWN else "str | None" if name in CHOICES else _type(default)
    written = f'"{default}"' if isinstance(default, str) else repr(default)  # as the formatter writes it
    return f"{name}: {kind} = {written}"


def _type(default: Any) -> str:
    if isinstance(default, tuple):
        return f"tuple[{', '.join('Setting | None' if each is None else 'Setting' for each in default)}]"
    return "bool" if isinstance(default, bool) else "bool | None" if default is None else "Setting"


if __name__ == "__main__":
    print(text(), end="")
