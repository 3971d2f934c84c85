"""A run's state on disk: whole or not there, and nothing in it that could run code."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

import torch

from ..errors import RunError
from .files import write_atomic

FORMAT = 1


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, strings, lists and dictionaries; the old file stays until the new one is whole.

    Raises RunError when it cannot be written."""
    save_plain(path, {"format": FORMAT, **state})


def save_plain(path: Path, value: Any) -> None:
    """Write what `torch.load` reads, in the same way."""

    def write(file: IO[bytes]) -> None:
        try:
            torch.save(value, file)
        except RuntimeError as error:  # torch's complaint about a file that was cut off hides the system's
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise

    write_atomic(path, write)


def load(path: Path) -> dict[str, Any]:
    """The state in a file, on the CPU. Raises RunError for one that is not whole or not a checkpoint."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no one error for a broken file
        reason = str(error).split("\n")[0][:120]
        raise RunError(
            f"{path}: is not a whole checkpoint ({reason}); nothing was changed: put a copy of it back, or start anew "
            "with another --out FOLDER"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        found = state.get("format") if isinstance(state, dict) else type(state).__name__
        raise RunError(f"{path}: has format {found!r}, this downslope reads format {FORMAT}")
    return state
