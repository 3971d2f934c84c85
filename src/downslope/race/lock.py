"""Who writes in a folder: one process at a time, for as long as it lives."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

from ..errors import RunError
from ..training.files import guard

try:
    import fcntl
except ImportError:  # Windows has no flock; two races in one folder are then the user's to avoid
    fcntl = None  # type: ignore[assignment]


class Lock:
    """A lock on a file, held until `release` or the death of this process. Raises RunError if another holds it."""

    def __init__(self, path: Path) -> None:
        self._file = guard(path, os.open, os.O_RDWR | os.O_CREAT, 0o666)
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return  # a file system without locks, as some shared ones are
            holder = os.pread(self._file, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(self._file)
            self._file = -1
            raise RunError(
                f"{path.parent}: another race writes there ({holder}); wait for it to end, or name another folder "
                "with --out FOLDER"
            ) from None
        with contextlib.suppress(OSError):  # a full disk must not stop a race that has room elsewhere
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
