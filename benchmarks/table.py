"""The figures as a table: on the terminal and in the documentation, from the same cells."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from . import loop, storage
from .cases import Case, best_eager
from .peers import NOT_EAGER, OPTIMIZERS, TITLES
from .shapes import SHAPES, SINGLES
from .targets import mean_speedup, targets
from .trials import KINDS

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
COLUMNS = ["optimizer", "ours ms", "best peer", "ms", "speed-up", "floor ms", "/ floor", "in place"]
COMPILED = ["compiled", "in s"]
TRIALS = ["digits", "ours", "Optuna", "speed-up", "Optuna, two processes", "speed-up of it"]
LOOP = ["how", "ms", "over by hand"]
WATCHING = ["loop", "ms a step", "watched ×", "processor ×", "the watch says", "report, s", "its forks, s"]
Rows = list[list[str]]


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def row(case: Case, label: str, compiled: bool) -> list[str]:
    best = best_eager(case)
    peer = [TITLES[best], _ms(case["peers"][best]["ms"]), f"{case['peers'][best]['ratio']:.2f}"] if best else 3 * ["–"]
    over = case["over_floor"]
    bounds = [_ms(case["floor_ms"]["copy"]), f"{over['copy']:.2f}", f"{over['in place']:.2f}"]
    if case["shape"] not in SHAPES:  # tensors of one element: the bytes say nothing
        bounds = 3 * ["–"]
    cells = [label, _ms(case["peers"]["ours"]["ms"]), *peer, *bounds]
    if compiled:
        has = "compile" in case["peers"]
        cells += [_ms(case["peers"]["compile"]["ms"]) if has else "–", f"{case['compile_seconds']:.0f}" if has else "–"]
    return cells


def tables(results: dict[str, Any]) -> list[tuple[str, list[str], Rows]]:
    """Title, columns and cells of each table: one a shape, the composite and the overhead, then the targets."""
    steps = results["steps"]
    compiled = any("compile" in case["peers"] for case in steps)
    columns = COLUMNS + (COMPILED if compiled else [])
    made = []
    for name, shape in SHAPES.items():
        cases = [case for case in steps if case["shape"] == name]
        if not cases:
            continue
        rows = [row(case, OPTIMIZERS[case["optimizer"]].title, compiled) for case in cases]
        if mean := mean_speedup(steps, name):
            rows.append(["geomean", "", "", "", f"{mean[0]:.2f}", *([""] * (len(columns) - 5))])
        made.append((f"{shape.title}: {_count(cases[0])}", columns, rows))
    others = []
    if composite := results.get("clip_and_average"):
        others.append(row(composite, f"AdamW + clip + average, {SHAPES[composite['shape']].title}", compiled))
    if overhead := results.get("overhead"):
        others.append(row(overhead, f"Adam, {SINGLES.title}: overhead alone", compiled))
    if others:
        made.append(("Clipping and averaging in the same pass; overhead", columns, others))
    if muon := results.get("muon"):
        title = f"Muon on {muon['matrices']} matrices of a transformer {muon['width']} wide"
        made.append((title, ["what", "ms", "× products"], muon_rows(muon)))
    if once := _once(results):
        made.append(("Paid once", ["what", "seconds"], once))
    if runs := results.get("loop"):
        made.append((f"The training loop: {loop.EPOCHS} epochs of the digits CNN, one thread", LOOP, loop_rows(runs)))
    if runs := results.get("watching"):
        made.append(("Watching at its default budget, one thread", WATCHING, watching_rows(runs)))
    if stored := results.get("storage"):
        made.append(("AdamW, states in fewer bits", storage.COLUMNS, storage.rows(stored)))
    if races := results.get("trials"):
        made.append(("Trials a minute: two cores, trials of 300 steps", TRIALS, trial_rows(races)))
    if races := results.get("trials_gpu"):
        made.append(("Trials a minute on a GPU, trials of 300 steps", TRIALS[:4], trial_rows(races)))
    verdicts = [[each.name, each.wanted, each.found, _verdict(each.met)] for each in targets(results)]
    made.append(("Targets", ["target", "wanted", "found", "verdict"], verdicts))
    return made


MUON = {"products": "its matrix products alone", "ours": "ours", "torch": "torch.optim.Muon, in bfloat16"}


def muon_rows(found: dict[str, Any]) -> Rows:
    """A step of ours and of torch's, beside the products that it cannot do without."""
    ratio = {"products": 1.0, **found["ratio"]}
    return [[MUON[name], f"{found['ms'][name]:.2f}", f"{ratio[name]:.2f}"] for name in MUON if name in found["ms"]]


def loop_rows(runs: dict[str, Any]) -> Rows:
    """Each way to train the same run, beside the loop by hand."""
    return [
        [loop.TITLES[name], f"{1000 * found['seconds']:.0f}", f"{found['ratio']:.3f}"] for name, found in runs.items()
    ]


def watching_rows(runs: dict[str, Any]) -> Rows:
    """Each loop: a step without the watch, the time with it over that, the same of the processor's time, what the watch
    itself has measured, and what its report takes at the end: by itself, which is counted, and for forked runs."""
    return [
        [
            found["title"],
            _ms(1000 * found["seconds"] / found["steps"]),
            *(f"{found[name]:.3f}" for name in ("ratio", "processor")),
            f"{found['said']:.1%}",
            f"{found['report']:.2f}",
            f"{found['forks']:.1f}",
        ]
        for found in runs.values()
    ]


def trial_rows(races: dict[str, Any]) -> Rows:
    """Trials a minute of each network: ours together, and the same from Optuna and torch."""
    rows = []
    for name, found in races.items():
        a_minute, ratio = found["a minute"], found["ratio"]
        peers = [[f"{a_minute[peer]:.0f}", f"{ratio[peer]:.2f}"] for peer in ratio]
        rows.append([KINDS[name].title, f"{a_minute['ours']:.0f}", *(cell for pair in peers for cell in pair)])
    return rows


def peer_rows(results: dict[str, Any]) -> Rows:
    """Every peer's time over ours, a row for each case: what the tables above pick the best from."""
    names = [name for name in TITLES if name not in {"ours", "by hand"}]
    return [
        [OPTIMIZERS[case["optimizer"]].title, SHAPES[case["shape"]].title]
        + [f"{case['peers'][name]['ratio']:.2f}" if name in case["peers"] else "–" for name in names]
        for case in results["steps"]
    ]


def _count(case: Case) -> str:
    million, tensors = case["elements"] / 1e6, case["tensors"]
    return f"{tensors} tensor{'s' if tensors > 1 else ''}, {million:.1f} M"


def _once(results: dict[str, Any]) -> Rows:
    rows = []
    if first := results.get("first_step"):
        shape = SHAPES[first["shape"]].title
        rows.append([f"Adam and its first step, {shape}: ours", f"{first['ours']:.3f}"])
        rows.append([f"Adam and its first step, {shape}: torch fused", f"{first['fused']:.3f}"])
    rows += [[f"{name}, after torch", f"{seconds:.3f}"] for name, seconds in (results.get("imports") or {}).items()]
    return rows


def _verdict(met: bool | None) -> str:
    return {True: "met", False: "NOT MET", None: "open"}[met]


def machine_line(results: dict[str, Any]) -> str:
    machine, rates = results["machine"], results["bandwidth"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, {machine['vector']}, "
        f"{machine['cache_mib']:g} MiB last-level cache; {machine['system']}, Python {machine['python']}, "
        f"torch {machine['torch']}, downslope {machine['downslope']}; {machine['date']}. "
        f"Copies {rates['memory copy']:.1f} GB/s from memory and {rates['cache copy']:.1f} from cache; "
        f"adds in place at {rates['memory in place']:.1f} and {rates['cache in place']:.1f}."
    )


def show(results: dict[str, Any], console: Console) -> None:
    for title, columns, rows in tables(results):
        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for index, name in enumerate(columns):
            left = index == 0 or title == "Targets"
            table.add_column(name, justify="left" if left else "right", overflow="fold")
        for cells in rows:
            table.add_row(*cells)
        console.print(table)
    console.print(machine_line(results), highlight=False)


def markdown_table(columns: list[str], rows: Rows, left: int) -> str:
    rule = ["---" if index < left else "---:" for index in range(len(columns))]
    lines = [columns, rule, *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def markdown(results: dict[str, Any]) -> str:
    """What stands between the markers of docs/performance.md."""
    parts = [f"Machine: {machine_line(results)}"]
    found = tables(results)
    for title, columns, rows in [found[-1], *found[:-1]]:
        parts += [f"### {title}", markdown_table(columns, rows, left=4 if title == "Targets" else 1)]
    names = [TITLES[name] for name in TITLES if name not in {"ours", "by hand"}]
    parts += ["### Every peer: its time over ours"]
    parts += [markdown_table(["optimizer", "shape", *names], peer_rows(results), left=2)]
    if notes := _notes(results):
        parts += ["### Notes", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts)


def _notes(results: dict[str, Any]) -> list[str]:
    """Peers that ran and failed, or computed something else; that torch has no fused kernel needs no note."""
    found = {}
    for case in results["steps"]:
        for name, text in case["notes"].items():
            if name in case["peers"] or text.startswith("failed") or name in NOT_EAGER:
                found[f"{OPTIMIZERS[case['optimizer']].title}, {TITLES[name]}: {text}"] = None
    return list(found)


def between_markers(page: str, text: str, begin: str = BEGIN, end: str = END) -> str:
    """The page with the text between its markers; ValueError if the markers are not there once, in order."""
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"the page needs the lines {begin} and {end}, once each and in this order")
    head, tail = page.split(begin)[0], page.split(end)[1]
    return f"{head}{begin}\n\n{text}\n\n{end}{tail}"


PAGE = f"""# Performance

What one optimizer step costs, beside torch's loop, `foreach`, fused and compiled steps and pytorch_optimizer, and
beside what memory allows. `make bench` measures it again on your machine, in about ten minutes; the figures are in
`benchmarks/results/cpu.json`.

How to read it:

- All peers of a row ran in the same rounds, each once a round in random order, on the same parameters and gradients.
  *ms* is the median over rounds; *speed-up* is the median of the ratios within rounds, peer over ours, so that 2 means
  that ours takes half the time. A step too short for the clock was repeated within its turn, its data warm in cache.
- The *best peer* is the fastest eager one for this row: torch's loop, foreach or fused, or pytorch_optimizer. *by hand*
  is torch's fused AdamW after `clip_grad_norm_(foreach=True)`, followed by a `_foreach_lerp_` for the average.
- The *floor* is the bytes that a step must move (read the parameter, the gradient and the states; write the parameter
  and the states) over the rate of a copy, measured in the same rounds; where everything fits in half of the last-level
  cache, it is the rate of a copy that stays in it.
- A copy also fetches the lines that it overwrites, and nobody counts those. An optimizer writes the lines that it has
  read, so that it can come out below this floor. *in place* is ours over the stricter floor from `a += b`.

{BEGIN}
{END}

## On a GPU

<!-- gpu: begin -->
<!-- gpu: end -->
"""
