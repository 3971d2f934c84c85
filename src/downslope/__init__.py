"""downslope: the optimizer workbench for PyTorch.

Write an optimizer as its formula with the functions here and make it a torch optimizer with `optimizer`; the known ones
are in `downslope.optim`, schedules for their settings in `downslope.schedules`.
"""

from . import optim, schedules
from .compiler.functions import (
    abs,
    atan2,
    clip,
    cos,
    exp,
    floor,
    isfinite,
    log,
    maximum,
    minimum,
    sign,
    sin,
    sqrt,
    tanh,
    where,
)
from .errors import DownslopeError, FormulaError, RunError, SettingError, StateError
from .optim import optimizer
from .version import __version__

__all__ = [
    "DownslopeError",
    "FormulaError",
    "RunError",
    "SettingError",
    "StateError",
    "__version__",
    "abs",
    "atan2",
    "clip",
    "cos",
    "exp",
    "floor",
    "isfinite",
    "log",
    "maximum",
    "minimum",
    "optim",
    "optimizer",
    "schedules",
    "sign",
    "sin",
    "sqrt",
    "tanh",
    "where",
]
