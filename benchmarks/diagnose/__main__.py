"""Run the cases, keep a journal, and write the page."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.__main__ import write

from . import figures, journal, page
from .judge import by_name
from .remarks import REMARKS
from .split import Case, cases

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "diagnose.json"
DOCS = HERE.parents[1] / "docs" / "diagnosis-accuracy.md"
JOURNAL = HERE.parents[1] / ".bench-diagnose.jsonl"


def chosen(split: str, only: str) -> list[Case]:
    if split not in ("tuning", "kept", "all"):
        raise typer.BadParameter(f"{split!r} is not one of tuning, kept, all", param_hint="--split")
    found = [case for case in cases(split) if only.lower() in case.name.lower()]
    if not found:
        raise typer.BadParameter(f"no case has {only!r} in its name (kind / setting / seed)", param_hint="--only")
    return found


def run(todo: list[Case], done: dict[str, Any], log: Path, jobs: int, budget: float | None, mark: str) -> None:
    """Run what the journal has not; each result is in it as soon as it is there."""
    began, count = time.monotonic(), 0
    # each case on one thread; started anew, so that nothing of this process is in it
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(by_name, case.name, budget) for case in todo]
        for each in as_completed(waiting):
            entry = journal.finite(each.result())
            journal.add(log, entry, mark)
            done[entry["case"]] = entry
            count += 1
            typer.echo(f"{count}/{len(todo)} {time.monotonic() - began:.0f} s  {line(entry)}")


def line(entry: dict[str, Any]) -> str:
    said = ", ".join(entry["found"]) or "nothing said"
    if not entry["holds"]:
        return f"{entry['case']}: left out, not {'healthy' if entry['healthy'] else 'sick'} enough; {said}"
    good = not entry["found"] if entry["healthy"] else figures.right_first(entry)
    return f"{entry['case']}: {said}{'' if good else '  <- WRONG'}"


def main(
    split: Annotated[str, typer.Option(help="tuning, kept or all.")] = "all",
    only: Annotated[str, typer.Option(help="Cases whose name (kind / setting / seed) holds this.")] = "",
    jobs: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
    budget: Annotated[float, typer.Option(help="Of the watch; 1 looks at every step and is reproducible.")] = 1.0,
    premises: Annotated[
        bool, typer.Option("--premises", help="Is sick sick, healthy healthy? Nothing watches.")
    ] = False,
    log: Annotated[Path, typer.Option(help="The journal; a run that was cut off goes on from it.")] = JOURNAL,
    docs: Annotated[bool, typer.Option("--write-docs", help="Write the page from the results; run nothing.")] = False,
) -> None:
    """How often downslope.watch names the right cause first, and speaks where nothing is wrong.

    Example: python -m benchmarks.diagnose --split tuning --only "rate a tenth"
    """
    if docs:
        publish(json.loads(RESULTS.read_text(encoding="utf-8")))
        return
    found = chosen(split, only)
    mark = f"{journal.fingerprint()}/{'premises' if premises else budget}"
    done = journal.read(log, mark)
    todo = [case for case in found if case.name not in done]
    typer.echo(f"{len(found)} cases, {len(found) - len(todo)} of them in the journal")
    run(todo, done, log, jobs, None if premises else budget, mark)
    entries = [done[case.name] for case in found]
    show(entries)
    if not only and not premises and budget == 1.0:
        publish(merge(entries))


def show(entries: list[dict[str, Any]]) -> None:
    sick, healthy = figures.sick(entries), figures.healthy(entries)
    typer.echo(f"right cause first: {figures.share(sick, figures.right_first)}")
    typer.echo(f"anything said of healthy runs: {figures.share(healthy, figures.anything)}")


def merge(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Results with these in place of what they had of the same split, and without cases that are no longer in it."""
    before: list[dict[str, Any]] = []
    with contextlib.suppress(FileNotFoundError):
        before = json.loads(RESULTS.read_text(encoding="utf-8"))["entries"]
    new = {entry["split"] for entry in entries}
    planned = {case.name: case.split for case in cases()}
    kept = [e for e in before if e["split"] not in new and planned.get(e["case"]) == e["split"]]
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    return {"date": date, "machine": page.machine(), "entries": [*kept, *entries]}


def publish(results: dict[str, Any]) -> None:
    write(RESULTS, json.dumps(results, indent=0) + "\n")
    write(DOCS, page.page(results, REMARKS))
    typer.echo(f"wrote {RESULTS.name} and {DOCS.name}")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    typer.run(main)
