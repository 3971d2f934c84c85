"""What becomes of a watch when the program ends, as it should or by a crash: the report up to there is kept."""

from __future__ import annotations

import atexit
import sys
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .watch import Watch

_expected: weakref.WeakSet[Watch] = weakref.WeakSet()
_owed: set[Watch] = set()  # those that are to write a report live until they have


def expect(watch: Watch) -> None:
    """A watch is open: if nobody closes it, it is closed when the program ends."""
    _expected.add(watch)
    if watch.out is not None:
        _owed.add(watch)


def done(watch: Watch) -> bool:
    """It has been closed; was it open until now?"""
    was = watch in _expected
    _expected.discard(watch)
    _owed.discard(watch)
    return was


def crashed(watch: Watch, error: BaseException) -> None:
    """An exception has left the loop: say and write what was seen until then, without forks, which could fail alike."""
    if not done(watch):
        return
    try:
        report = watch.report(forks=False)
        report.notes.append(f"the loop ended by {type(error).__name__} after {report.steps} steps")
        if watch.out is not None:
            report.save(watch.out if watch.leads else watch.out / f"process-{watch.rank}")
        if report.findings:
            print(f"\n{report}", file=sys.stderr)
    except Exception as other:
        print(f"downslope.watch: no report ({type(other).__name__}: {other})", file=sys.stderr)


@atexit.register
def _at_the_end() -> None:
    """The interpreter leaves the exception that has ended the program in sys.last_value."""
    error = getattr(sys, "last_value", None)
    for watch in list(_expected):
        if error is not None:
            crashed(watch, error)
        elif watch.out is not None:
            watch.close()
