"""`downslope tasks`: what can be trained without writing anything."""

from __future__ import annotations

import json
from typing import Annotated

import typer

EXAMPLE = "Example: downslope tasks"


def tasks(
    as_json: Annotated[bool, typer.Option("--json", help="Print it for a machine to read.")] = False,
) -> None:
    """List the bundled tasks: what they are, how much data, their settings, and a known good score.

    A task of your own is a Python file; `downslope new my_task.py` writes one to start from.
    """
    from ..report.task_list import as_rows, print_tasks
    from ..training.task import bundled, by_name

    rows = as_rows(map(by_name, bundled()))
    if as_json:
        print(json.dumps(rows, indent=2))
    else:
        print_tasks(rows)
