"""`downslope new`: a task file to start from."""

from __future__ import annotations

import os
import shlex
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from ..errors import RunError

EXAMPLE = "Example: downslope new my_task.py"


def new(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write, such as my_task.py.")],
) -> None:
    """Write a commented task file, which trains as it is and is meant to be changed.

    Never touches a file that is there.
    """
    if path.suffix != ".py":
        raise RunError(f"{path}: a task is a Python file; give a name that ends in .py, such as my_task.py")
    write_new(path, resources.files("downslope.tasks").joinpath("_template.py").read_bytes())
    print(f"{path}: written; train it with: downslope train {shlex.quote(str(path))}")


def write_new(path: Path, content: bytes) -> None:
    """Write a file that was not there, whole or not at all. Raises RunError if one is there or it cannot be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if os.path.lexists(path):
            raise FileExistsError
        try:
            with open(temporary, "xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _place(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise RunError(f"{path}: exists already and is left as it is; name another file, or remove it first") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise RunError(f"{path}: cannot be written: {reason}; name a file in a folder that you can write to") from error


def _place(temporary: Path, path: Path) -> None:
    """Give the file its name, unless another one took it meanwhile, which a rename would overwrite."""
    try:
        os.link(temporary, path)
    except OSError:  # it was taken, or this disk has no hard links
        if os.path.lexists(path):
            raise FileExistsError from None
        temporary.rename(path)
