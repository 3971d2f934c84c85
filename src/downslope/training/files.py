"""Writing files and folders so that a crash, a full disk or a second look never finds half of one."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from ..errors import RunError

Content = str | bytes | Callable[[IO[bytes]], None]


def write_atomic(path: Path, content: Content) -> None:
    """Write to a temporary file beside it, sync, rename: the file is the old one or the new one, never a part.

    `content` is what to write, or a function that writes it into the open file. Raises RunError when it cannot be
    written; the old file is then still there and the temporary one is not.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


def cannot_write(path: Path, error: OSError) -> RunError:
    """The error for a file that the system would not write."""
    reason = error.strerror or str(error)
    return RunError(
        f"{path}: cannot be written: {reason}; what was finished before is kept: mend this and go on with --resume, "
        "or start anew with another --out FOLDER"
    )


def guard(path: Path, call: Any, *args: Any) -> Any:
    """`call(path, *args)`, where what the system has against it becomes a RunError."""
    try:
        return call(path, *args)
    except OSError as error:
        raise cannot_write(path, error) from error


def entries(path: Path) -> list[str]:
    """What a folder holds, temporary files of an interrupted write left out."""
    return sorted(name for name in guard(path, os.listdir) if not name.endswith(".tmp"))


def claim(path: Path, what: str, resume: str) -> bool:
    """Make a folder for `what` (a race, a run), or take an empty one; returns whether it was made. Raises RunError if
    something is there already; `resume` says how to go on with it."""
    made = not path.exists()
    if path.is_dir() and (found := entries(path)):
        raise RunError(
            f"{path}: exists and is not empty ({found[0]}{', ...' if len(found) > 1 else ''}); "
            f"go on with the {what} in it by adding {resume}, or name another folder with --out FOLDER"
        )
    if path.exists() and not path.is_dir():
        raise RunError(f"{path}: is a file, and a {what} needs a folder; name another one with --out FOLDER")
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written: {error.strerror}; name a folder that can be made, with --out FOLDER"
        ) from error
    return made


def give_up(path: Path, names: set[str], made: bool) -> None:
    """Take these files away again, and the folder if it was made for them, where there is nothing else in it."""
    if path.is_dir() and {each.name for each in path.iterdir()} == names:
        for name in names:
            (path / name).unlink()
        if made:
            path.rmdir()


def stamped(name: str, stamp: str) -> Path:
    """runs/NAME-STAMP, with a number added when that is taken."""
    path = Path("runs") / f"{name}-{stamp}"
    taken = 1
    while path.exists():
        taken += 1
        path = path.with_name(f"{path.name.split('.')[0]}.{taken}")
    return path


def pretty(value: dict[str, Any]) -> str:
    """JSON for people too."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


# A journal is a file of one JSON object a line, only ever appended to: each line in one write, at once.


def open_journal(path: Path) -> int:
    """Its file descriptor."""
    return guard(path, os.open, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)  # type: ignore[no-any-return]


def append(path: Path, journal: int, record: dict[str, Any]) -> None:
    """Add a line. Raises RunError when the disk will not take it."""
    line = json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    while line:  # a short write, then the error, is how a full disk shows itself
        line = line[guard(path, lambda _, rest: os.write(journal, rest), line) :]
