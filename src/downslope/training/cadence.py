"""When to save again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

SHARE = 0.05  # of the time that saving may take


class Cadence:
    """Due after so many seconds; later where saving takes long, so that it stays a small share of the time. 0 is always
    due."""

    def __init__(self, seconds: float):
        self.seconds = self.wait = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        return time.monotonic() - self._last >= self.wait

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """Around what saves."""
        begin = time.monotonic()
        yield
        self._last = time.monotonic()
        if self.seconds > 0:
            self.wait = max(self.seconds, (self._last - begin) / SHARE)
