"""The optimizers: torch.optim's as drop-ins under their own names, and a class for each other formula."""

from __future__ import annotations

from typing import Any

from ..errors import SettingError, nearest
from .backward import fuse_backward
from .base import Optimizer
from .classes import CLASSES, TORCH
from .make import optimizer
from .route import Route, for_model
from .sam import SAM

globals().update(CLASSES)

OPTIMIZERS: dict[str, type[Optimizer]] = {name.lower(): made for name, made in CLASSES.items()}
"""Every class by its name in lower case, as the command line takes it."""

# Of torch.optim, what no formula says.
STAY = {
    "LBFGS": "searches along a line, and evaluates its closure several times a step",
    "SparseAdam": "updates the rows of a sparse gradient alone",
}

ALIASES = {"schedulefree": "schedulefreeadamw"}


def by_name(name: str) -> type[Optimizer]:
    """The class of a name, whatever its case, dashes and underscores. Raises SettingError with the nearest names."""
    plain = name.lower().replace("_", "").replace("-", "")
    found = OPTIMIZERS.get(ALIASES.get(plain, plain))
    for stays, why in STAY.items() if found is None else ():
        if stays.lower() == plain:
            raise SettingError(f"{stays} stays torch's: use torch.optim.{stays}, which {why}")
    if found is None:
        raise SettingError(f"unknown optimizer {name!r}; {nearest(name, OPTIMIZERS)}")
    return found


def __getattr__(name: str) -> Any:
    if name in STAY:
        raise AttributeError(f"{name} stays torch's: use torch.optim.{name}, which {STAY[name]}")
    raise AttributeError(f"downslope.optim has no optimizer {name!r}; {nearest(name, CLASSES)}")


__all__ = [
    "OPTIMIZERS",
    "TORCH",
    "SAM",
    "Optimizer",
    "Route",
    "by_name",
    "for_model",
    "fuse_backward",
    "optimizer",
    *CLASSES,
]
