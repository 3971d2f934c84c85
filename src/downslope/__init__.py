"""downslope: the optimizer workbench for PyTorch."""

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
from .version import __version__
