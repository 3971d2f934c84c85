"""Writing files so that a crash, a full disk or a second look never finds half of one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..errors import RunError


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write to a temporary file beside it, sync, rename: the file is the old one or the new one, never a part.

    Raises RunError when it cannot be written; the old file is then still there and the temporary one is not.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> RunError:
    """The error for a file that the system would not write."""
    reason = error.strerror or str(error)
    return RunError(
        f"{path}: cannot be written: {reason}; what was finished before is kept: mend this and go on with --resume, "
        "or start anew with another --out FOLDER"
    )
