"""The bundled tasks by name."""

from __future__ import annotations

from importlib import import_module

from ..errors import RunError, nearest
from .task import Task

TASKS = {"digits": "digits"}  # name -> the module beside this one that holds it as TASK


def by_name(name: str) -> Task:
    """The task of that name; raises RunError with the nearest names for an unknown one."""
    if name not in TASKS:
        raise RunError(f"{name}: there is no task of that name; {nearest(name, TASKS)}")
    return import_module(f".{TASKS[name]}", __package__).TASK
