"""Run the benchmarks, print their tables and keep the figures."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from . import cases, floor, loop, machine, matrices, startup, storage, table, trials, watching
from .peers import OPTIMIZERS, TITLES, has_ours
from .shapes import SHAPES

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "cpu.json"
DOCS = HERE.parent / "docs" / "performance.md"
FULL = cases.Effort()
QUICK = cases.Effort(rounds=2, budget=1.0, quick=True)
QUICK_OPTIMIZERS, QUICK_SHAPES = "sgd,adam", "small"
Say = Callable[[str], None]


def chosen(text: str, known: dict[str, Any], option: str) -> list[str]:
    """The names in a comma-separated list, in the table's order."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in known:
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(known)}", param_hint=option)
    return [name for name in known if name in names]


def write(path: Path, text: str) -> None:
    """All of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def write_docs(results: Path, docs: Path) -> None:
    """Put the tables of a results file into the page, which is made if it is not there."""
    if not results.exists():
        raise typer.BadParameter(f"no results in {results.name} yet; run `python -m benchmarks` first")
    page = docs.read_text(encoding="utf-8") if docs.exists() else table.PAGE
    write(docs, table.between_markers(page, table.markdown(json.loads(results.read_text(encoding="utf-8")))))


def summary_line(case: cases.Case, label: str, seconds: float) -> str:
    best = cases.best_eager(case)
    against = (
        f"{TITLES[best]} {case['peers'][best]['ms']:.3f}, {case['peers'][best]['ratio']:.2f} ×" if best else "alone"
    )
    return (
        f"{label:<36} ours {case['peers']['ours']['ms']:8.3f} ms; {against}; {case['over_floor']['copy']:.2f} × floor "
        f"({case['rounds']} rounds, {seconds:.0f} s)"
    )


def measure_all(names: list[str], shapes: list[str], extras: bool, effort: cases.Effort, say: Say) -> dict[str, Any]:
    """All figures of a run, as they stand in the results file."""

    def run(label: str, make: Callable[[], cases.Case]) -> cases.Case:
        start = time.perf_counter()
        case = make()
        say(summary_line(case, label, time.perf_counter() - start))
        return case

    results: dict[str, Any] = {"machine": machine.describe(), "bandwidth": floor.bandwidth(effort.quick), "steps": []}
    disagreeing = cases.check_agreement(names)
    for shape in shapes:
        for name in names:
            label = f"{OPTIMIZERS[name].title}, {SHAPES[shape].title}"
            case = run(label, lambda name=name, shape=shape: cases.step_case(name, shape, effort))
            case["notes"] |= disagreeing.get(name, {})
            results["steps"].append(case)
    if extras:
        composite = "small" if effort.quick else "transformer"
        results["clip_and_average"] = run(
            "AdamW + clip + average", lambda: cases.clip_and_average_case(effort, composite)
        )
        results["overhead"] = run("Adam, overhead", lambda: cases.overhead_case(replace(effort, compile=False)))
        say("Muon beside its matrix products")
        results["muon"] = matrices.measure(2, 1, 32, 1.0) if effort.quick else matrices.measure()
        say("states in fewer bits")
        results["storage"] = storage.measure_all(effort)
        say("first steps and imports, in fresh processes")
        results["first_step"] = startup.first_step_seconds(1 if effort.quick else 3)
        results["imports"] = startup.import_seconds(1 if effort.quick else 5)
        results["loop"] = loop.measure(1 if effort.quick else loop.PAIRS)
        say("runs that are watched, beside ones that are not")
        results["watching"] = watching.measure(1 if effort.quick else watching.PAIRS, effort.quick)
        say("trials that train together, beside Optuna")
        results["trials"] = trials.measure(1, 8, ("mlp",)) if effort.quick else trials.measure()
        results["trials_gpu"] = {} if effort.quick else trials.gpu()
    return results


def main(
    only: Annotated[str, typer.Option(help=f"Optimizers: {', '.join(OPTIMIZERS)}.")] = "",
    shapes: Annotated[str, typer.Option(help=f"Shapes: {', '.join(SHAPES)}.")] = "",
    rounds: Annotated[int, typer.Option(min=1, help="Most rounds a case.")] = FULL.rounds,
    budget: Annotated[float, typer.Option(help="Seconds of rounds a case; three run in any event.")] = FULL.budget,
    compile: Annotated[bool, typer.Option("--compile", help="Race torch.compile too: minutes a case.")] = False,
    compile_limit: Annotated[float, typer.Option(help="Seconds to compile one step.")] = FULL.compile_limit,
    quick: Annotated[bool, typer.Option("--quick", help="Two rounds of little: does it run? No figure holds.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Keep the figures here; without it a full run alone is kept.")
    ] = None,
    docs: Annotated[bool, typer.Option("--write-docs", help="Write docs/performance.md; measure nothing.")] = False,
) -> None:
    """Time a step of torch's eleven element-wise optimizers, beside their peers and beside the floor of memory.

    Example: python -m benchmarks --only adam,sgd --shapes small,100m
    """
    console = Console()
    if docs:
        write_docs(out or RESULTS, DOCS)
        console.print("wrote docs/performance.md")
        return
    names = chosen(only or (QUICK_OPTIMIZERS if quick else ",".join(OPTIMIZERS)), OPTIMIZERS, "--only")
    where = chosen(shapes or (QUICK_SHAPES if quick else ",".join(SHAPES)), SHAPES, "--shapes")
    missing = [OPTIMIZERS[name].title for name in names if not has_ours(OPTIMIZERS[name].title)]
    if missing:
        raise typer.BadParameter(f"downslope.optim has no {', '.join(missing)}; leave them out with --only")
    limits = replace(QUICK, compile_limit=20.0) if quick else cases.Effort(rounds, budget, compile_limit=compile_limit)
    effort = replace(limits, compile=compile)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    full = len(names) == len(OPTIMIZERS) and len(where) == len(SHAPES)
    results = measure_all(names, where, quick or full, effort, say)
    kept = bool(out) or (full and not quick)
    if kept:  # before the tables: a closed pipe loses nothing
        write(out or RESULTS, json.dumps(results, indent=1) + "\n")
    table.show(results, console)
    say(f"wrote {(out or RESULTS).name}" if kept else "a partial run: figures not kept; --out FILE keeps them")


if __name__ == "__main__":
    typer.run(main)
