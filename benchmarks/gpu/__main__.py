"""Run the GPU's benchmarks, print their tables and keep the figures."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from ..__main__ import DOCS, HERE, chosen, write
from ..table import between_markers
from . import entrants, run, table

RESULTS = HERE / "results" / "gpu.json"


def _triton() -> str:
    try:
        return version("triton")
    except PackageNotFoundError:
        return "none"


def measure_all(bench: run.Bench, names: list[str]) -> dict[str, Any]:
    """All figures of a run, as they stand in the results file."""
    device = bench.device
    title = "CPU" if device.type == "cpu" else torch.get_device_module(device).get_device_name(device)
    results: dict[str, Any] = {
        "machine": {
            "device": title,
            "torch": torch.__version__,
            "triton": _triton(),
            "date": datetime.now(UTC).date().isoformat(),
        },
        "steps": run.steps(bench, names, "gpt"),
    }
    results["steps"] += run.steps(bench, [n for n in names if n in ("SGD", "AdamW", "RMSprop")], "transformer")
    results["clip_and_average"] = run.clip_and_average(bench)
    results["fewer_bits"] = run.fewer_bits(bench)
    results["replayed"] = run.replayed(bench)
    return results


def write_docs(results: Path, docs: Path) -> None:
    """Put the tables into the page; that nothing was measured yet, where nothing was."""
    found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else None
    page = docs.read_text(encoding="utf-8")
    write(docs, between_markers(page, table.markdown(found), table.BEGIN, table.END))


def main(
    only: Annotated[str, typer.Option(help="Optimizers, such as AdamW,Lion; all element-wise ones without it.")] = "",
    device: Annotated[str, typer.Option(help="Where to measure.")] = "cuda",
    quick: Annotated[bool, typer.Option("--quick", help="Small tensors: does it run? No figure holds.")] = False,
    out: Annotated[Path | None, typer.Option(help="Keep the figures here.")] = None,
    docs: Annotated[bool, typer.Option("--write-docs", help="Write docs/performance.md; measure nothing.")] = False,
) -> None:
    """Time a step of every element-wise optimizer on a GPU, beside its peers and the rate of a copy.

    Example: python -m benchmarks.gpu --only AdamW,Lion
    """
    console = Console()
    if docs:
        write_docs(out or RESULTS, DOCS)
        console.print("wrote docs/performance.md")
        return
    there = torch.device(device)
    if there.type != "cpu" and not torch.get_device_module(there).is_available():
        raise typer.BadParameter(f"torch finds no {there.type} device here; nothing measured", param_hint="--device")
    known = {name.lower(): name for name in entrants.element_wise()}
    names = [known[name] for name in chosen(only or ",".join(known), known, "--only")]
    bench = run.Bench(there, quick, lambda line: console.print(line, highlight=False, markup=False, soft_wrap=True))
    results = measure_all(bench, names)
    keep = out or (RESULTS if not quick and len(names) == len(known) and there.type != "cpu" else None)
    if keep:
        write(keep, json.dumps(results, indent=1) + "\n")
        if keep == RESULTS:
            write_docs(RESULTS, DOCS)
    for title, columns, rows in table.tables(results):
        shown = Table(*columns, title=title, title_justify="left")
        for cells in rows:
            shown.add_row(*cells)
        console.print(shown)
    console.print(f"wrote {keep.name}" if keep else "a partial run: figures not kept; --out FILE keeps them")


if __name__ == "__main__":
    typer.run(main)
