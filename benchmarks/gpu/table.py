"""The figures as tables, and whether they reach their targets."""

from __future__ import annotations

from typing import Any

from ..measure import geometric_mean
from ..table import markdown_table
from ..targets import Target

BEGIN, END = "<!-- gpu: begin -->", "<!-- gpu: end -->"


def targets(results: dict[str, Any]) -> list[Target]:
    """The verdicts over a results file's contents."""
    large = [case for case in results["steps"] if case["shape"] == "gpt"]
    found = []
    worst = max(large, key=lambda case: case["over_copy"], default=None)
    text = f"{worst['over_copy']:.3f} × ({worst['optimizer']})" if worst else "not measured"
    met = worst["over_copy"] <= 1.1 if worst else None
    found.append(Target("time over the copy floor, every element-wise formula, 1 B", "≤ 1.1 ×", text, met))
    adamw = next((case for case in large if case["optimizer"] == "AdamW"), None)
    found.append(_at_least("AdamW against torch's fused, 1 B", adamw, "fused", 1.0))
    others = [c["ratio"]["foreach"] for c in large if "foreach" in c["ratio"] and "fused" not in c["ratio"]]
    mean = geometric_mean(others) if others else None
    shown = f"{mean:.2f} × ({len(others)})" if mean else "not measured"
    found.append(Target("mean speed-up over foreach elsewhere, 1 B", "≥ 2 ×", shown, mean >= 2 if mean else None))
    found.append(_at_least("clip + step + average, 1 B", results.get("clip_and_average"), "by hand", 1.7))
    for label, case in (results.get("fewer_bits") or {}).items():
        for name in [n for n in (*case["ratio"], *case["notes"]) if n != "ours"]:
            found.append(_at_least(f"AdamW with {label} against {name}", case, name, 1.2))
    return found


def _at_least(name: str, case: dict[str, Any] | None, peer: str, least: float) -> Target:
    wanted = f"≥ {least:g} ×"
    if case is None or peer not in case["ratio"]:
        return Target(name, wanted, (case or {}).get("notes", {}).get(peer, "not measured"), None)
    ratio = case["ratio"][peer]
    return Target(name, wanted, f"{ratio:.2f} ×", ratio >= least)


def tables(results: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, columns and cells of each table, the targets first."""
    verdicts = {True: "met", False: "NOT MET", None: "open"}
    made = [
        (
            "On a GPU: targets",
            ["target", "wanted", "found", "verdict"],
            [[t.name, t.wanted, t.found, verdicts[t.met]] for t in targets(results)],
        )
    ]
    cases = [*results["steps"]]
    cases += [case for case in (results.get("clip_and_average"), results.get("replayed")) if case]
    cases += (results.get("fewer_bits") or {}).values()
    rows = []
    for case in cases:
        peers = ", ".join(f"{name} {ratio:.2f}" for name, ratio in case["ratio"].items() if name != "ours")
        floor = f"{case['over_copy']:.3f}" if case["over_copy"] else "–"
        rows.append([case["label"], f"{case['ms']['ours']:.3f}", floor, peers or "–"])
    made.append(("On a GPU: a step", ["optimizer", "ours ms", "/ copy floor", "peers: their time over ours"], rows))
    return made


def machine_line(results: dict[str, Any]) -> str:
    m = results["machine"]
    rate = max((case["copy_gbs"] for case in results["steps"]), default=0)
    return f"{m['device']}, torch {m['torch']}, triton {m['triton']}; {m['date']}. Copies {rate:.0f} GB/s."


def markdown(results: dict[str, Any] | None) -> str:
    """What stands between the markers of docs/performance.md."""
    if results is None:
        return "Not measured yet: `make bench-gpu` on a machine with a CUDA GPU writes this table."
    parts = [f"Device: {machine_line(results)}"]
    parts += [f"### {title}\n\n{markdown_table(columns, rows, left=1)}" for title, columns, rows in tables(results)]
    notes = {f"- {case['label']}, {name}: {text}" for case in _all(results) for name, text in case["notes"].items()}
    return "\n\n".join([*parts, *(["\n".join(sorted(notes))] if notes else [])])


def _all(results: dict[str, Any]) -> list[dict[str, Any]]:
    return [*results["steps"], *(results.get("fewer_bits") or {}).values()]
