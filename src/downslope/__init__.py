"""downslope: the optimizer workbench for PyTorch.

Write an optimizer as its formula with the functions here and make it a torch optimizer with `optimizer`; the known ones
are in `downslope.optim`, schedules for their settings in `downslope.schedules`. `check` a `Task` before it is trained,
`train` it, and `race` optimizers on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import DownslopeError, FormulaError, RunError, SettingError, StateError
from .lazy import lazy
from .version import __version__

if TYPE_CHECKING:
    from . import optim, schedules
    from .check import check
    from .compiler.functions import (
        abs,
        atan2,
        clip,
        column_max,
        column_mean,
        columns,
        cos,
        diagonal,
        eigenvectors,
        exp,
        floor,
        identity,
        inverse_root,
        isfinite,
        log,
        maximum,
        mean,
        minimum,
        newton_schulz,
        noise,
        norm,
        overall,
        permutation,
        qr,
        row_max,
        row_mean,
        rows,
        sign,
        sin,
        solve,
        spectral_bound,
        sqrt,
        sum,
        tanh,
        transpose,
        upper_triangle,
        where,
    )
    from .diagnose.curvature import critical_point
    from .diagnose.watch import watch
    from .optim import optimizer
    from .race.runner import race
    from .training.branch import whatif
    from .training.run import train
    from .training.task import Task

__all__ = [
    "DownslopeError",
    "FormulaError",
    "RunError",
    "SettingError",
    "StateError",
    "Task",
    "__version__",
    "abs",
    "atan2",
    "check",
    "clip",
    "column_max",
    "column_mean",
    "columns",
    "cos",
    "critical_point",
    "diagonal",
    "eigenvectors",
    "exp",
    "floor",
    "identity",
    "inverse_root",
    "isfinite",
    "log",
    "maximum",
    "mean",
    "minimum",
    "newton_schulz",
    "noise",
    "norm",
    "optim",
    "optimizer",
    "overall",
    "permutation",
    "qr",
    "race",
    "row_max",
    "row_mean",
    "rows",
    "schedules",
    "sign",
    "sin",
    "solve",
    "spectral_bound",
    "sqrt",
    "sum",
    "tanh",
    "train",
    "transpose",
    "upper_triangle",
    "watch",
    "whatif",
    "where",
]

# Where a name lives. It is imported when it is first asked for, so that the command line answers before torch is there.
_HOME = {
    **dict.fromkeys(__all__, "compiler.functions"),
    "optim": "",
    "schedules": "",
    "critical_point": "diagnose.curvature",
    "optimizer": "optim",
    "Task": "training.task",
    "check": "check",
    "race": "race.runner",
    "train": "training.run",
    "watch": "diagnose.watch",
    "whatif": "training.branch",
}

__getattr__, __dir__ = lazy(__name__, _HOME)
