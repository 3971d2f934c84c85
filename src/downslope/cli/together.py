"""The command line in several processes, as torchrun starts it: what is wrong is said once."""

from __future__ import annotations

import os
import sys
from typing import Any, NoReturn

from ..errors import DownslopeError

INTERRUPTED = 130


def run(app: Any) -> NoReturn:
    """Run the command line in one of the processes and end it.

    The first that fails says why; the others, which are lost without it, end without a word."""
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP warns of an option that costs next to nothing
    from ..training import distributed

    status = 0
    try:
        status = app(standalone_mode=False) or 0
    except DownslopeError as error:
        if distributed.first_to_fail():
            print(f"downslope: {error}", file=sys.stderr)
        _leave_at_once(2)
    except KeyboardInterrupt:
        if distributed.leads():
            print("downslope: interrupted", file=sys.stderr)
        _leave_at_once(INTERRUPTED)
    except Exception as error:
        if hasattr(error, "show") and hasattr(
            error, "exit_code"
        ):  # wrong use, the same in all; typer has its own click
            if distributed.leads():
                error.show()
            _leave_at_once(error.exit_code)
        if distributed.first_to_fail():
            from . import unforeseen

            print(f"downslope: {unforeseen(error)}", file=sys.stderr)
        _leave_at_once(1)
    sys.exit(status)


def _leave_at_once(status: int) -> NoReturn:
    """Without torch's good-byes, which wait for the others."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
